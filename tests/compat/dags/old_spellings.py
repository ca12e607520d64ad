"""Imports and arguments as files for Airflow 1.10 have them."""

from datetime import timedelta

import airflow
from airflow import DAG
from airflow.contrib.sensors.python_sensor import PythonSensor
from airflow.models import Variable  # noqa: F401
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.latest_only_operator import LatestOnlyOperator
from airflow.operators.python_operator import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.utils.trigger_rule import TriggerRule

default_args = {
    "owner": "somebody",
    "depends_on_past": False,
    "start_date": airflow.utils.dates.days_ago(3),
    "email": ["somebody@example.com"],
    "email_on_failure": False,
    "email_on_retry": False,
    "retries": 1,
    "retry_delay": timedelta(minutes=5),
}

dag = DAG(
    "old_spellings",
    default_args=default_args,
    description="What the second version still understood",
    schedule_interval="@daily",
    dagrun_timeout=timedelta(minutes=60),
    concurrency=8,
)


def push(ds, ti, **kwargs):
    ti.xcom_push(key="day", value=ds)
    return {"made": kwargs["params"]["size"], "next": kwargs["next_ds"]}


def pull(**context):
    found = context["task_instance"].xcom_pull(task_ids=["push", "push"], key="day")
    return [found[0] == context["ds"], context["templates_dict"]["at"]]


start = DummyOperator(task_id="start", dag=dag)
push_task = PythonOperator(task_id="push", python_callable=push, provide_context=True, params={"size": 4}, dag=dag)
pull_task = PythonOperator(
    task_id="pull", python_callable=pull, provide_context=True, templates_dict={"at": "{{ ds_nodash }}"}, dag=dag
)
say = BashOperator(
    task_id="say",
    bash_command="""
    {% for i in range(2) %}
        echo "{{ ds }} {{ macros.ds_add(ds, 7) }} {{ params.text }}"
        echo "{{ prev_ds }} {{ execution_date.year }} {{ macros.datetime.now().year > 2000 }}"
    {% endfor %}
    """,
    params={"text": "hello"},
    xcom_push=True,
    dag=dag,
)
choose = BranchPythonOperator(task_id="choose", python_callable=lambda: "left", dag=dag)
left = DummyOperator(task_id="left", dag=dag)
right = DummyOperator(task_id="right", dag=dag)
join = DummyOperator(task_id="join", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, dag=dag)
stop = ShortCircuitOperator(task_id="stop", python_callable=lambda: False, dag=dag)
never = DummyOperator(task_id="never", dag=dag)
latest = LatestOnlyOperator(task_id="latest", dag=dag)
there = PythonSensor(task_id="there", python_callable=lambda: True, poke_interval=3600, dag=dag)

start >> push_task >> pull_task
start >> say
start >> choose >> [left, right] >> join
join.set_downstream(stop)
never.set_upstream(stop)
start >> there >> latest
