"""DAGs that start and wait for others."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sensors.external_task import ExternalTaskMarker, ExternalTaskSensor

with DAG("starts_another", start_date=datetime(2021, 1, 1), schedule="@once"):
    TriggerDagRunOperator(task_id="start", trigger_dag_id="nobody_has_it", conf={"message": "hello"})

with DAG("waits_for_another", start_date=datetime(2021, 1, 1), schedule="@daily", catchup=False):
    ExternalTaskMarker(task_id="marks", external_dag_id="starts_another", external_task_id="start")
    ExternalTaskSensor(
        task_id="waits",
        external_dag_id="starts_another",
        external_task_id="start",
        allowed_states=["success"],
        failed_states=["failed", "skipped"],
        execution_delta=timedelta(hours=1),
        poke_interval=600,
        timeout=1200,
        mode="reschedule",
    )
