"""Operators of the slack package."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.models import Variable
from airflow.providers.slack.hooks.slack import SlackHook
from airflow.providers.slack.notifications.slack import send_slack_notification
from airflow.providers.slack.operators.slack import SlackAPIFileOperator, SlackAPIPostOperator
from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator
from airflow.providers.slack.transfers.sql_to_slack_webhook import SqlToSlackWebhookOperator

with DAG(
    "with_slack",
    start_date=datetime(2026, 1, 1),
    schedule=None,
):
    post = SlackAPIPostOperator(
        task_id="post",
        slack_conn_id="chat",
        channel="#launches",
        username="tradewind",
        text="{{ ds }}: {{ params.rocket }} flies",
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "*{{ params.rocket }}*"}}],
        params={"rocket": "R1"},
        on_success_callback=[
            send_slack_notification(slack_conn_id="chat", channel="#told", text="{{ ti.task_id }} is done")
        ],
    )
    upload = SlackAPIFileOperator(
        task_id="upload",
        slack_conn_id="chat",
        channels="C0123456789",
        filename=f"{Variable.get('folder')}/orders.csv",
        title="Orders",
        initial_comment="orders of {{ ds }}",
    )
    hook = SlackWebhookOperator(task_id="hook", slack_webhook_conn_id="incoming", message="{{ ds }}: said by a webhook")
    rows = SqlToSlackWebhookOperator(
        task_id="rows",
        sql_conn_id="db",
        slack_webhook_conn_id="incoming",
        sql="select 'R1' as rocket, 12 as kg",
        slack_message="{{ results_df | tabulate(headers='keys', tablefmt='plain') }}",
    )
    refused = SlackAPIPostOperator(task_id="refused", slack_conn_id="chat", channel="#nowhere", text="x")

    @task(trigger_rule="all_done")
    def by_hook():
        slack = SlackHook(slack_conn_id="chat")
        return {"team": slack.call("auth.test")["team"], "tested": slack.test_connection()[0]}

    post >> upload >> [hook, rows, refused] >> by_hook()
