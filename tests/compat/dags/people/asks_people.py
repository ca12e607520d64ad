"""People choose, approve, pick a branch and fill in a form, as the standard provider's example has it."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.hitl import (
    ApprovalOperator,
    HITLBranchOperator,
    HITLEntryOperator,
    HITLOperator,
)
from airflow.sdk import DAG, Param, task
from airflow.sdk.bases.notifier import BaseNotifier


class Tells(BaseNotifier):
    template_fields = ("message",)

    def __init__(self, message):
        self.message = message

    def notify(self, context):
        url = HITLOperator.generate_link_to_ui_from_context(context=context, base_url="http://localhost:8080")
        self.log.info("%s: answer at %s", self.message, url)


asked = Tells("{{ task.subject }} {{ task.options }} {{ task.params }}")
done = Tells("answered: {{ ti.xcom_pull(task_ids=task.task_id) }}")

with DAG(dag_id="asks_people", schedule=None, start_date=datetime.datetime(2021, 1, 1)):
    fill_in = HITLEntryOperator(
        task_id="fill_in",
        subject="Which word?",
        params={"word": Param("", type="string", minLength=2), "n": Param(3, "how many", type="integer")},
        notifiers=[asked],
    )
    choose = HITLOperator(task_id="choose", subject="Which ones?", options=["a", "b", "c"], multiple=True)
    by_itself = HITLOperator(
        task_id="by_itself",
        subject="Too late for this one",
        options=["x", "y"],
        defaults=["x"],
        execution_timeout=datetime.timedelta(seconds=0.01),
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="Is that right?",
        body="The word is {{ ti.xcom_pull(task_ids='fill_in')['params_input']['word'] }}",
        respondents="ann",
        notifiers=asked,
        on_success_callback=done.notify,
    )
    pick = HITLBranchOperator(
        task_id="pick", subject="Where to?", options=["Left", "right"], options_mapping={"Left": "left"}
    )

    @task
    def left():
        return "left"

    @task
    def right():
        return "right"

    [fill_in, choose, by_itself] >> approve >> pick >> [left(), right()]
