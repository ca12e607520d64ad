"""A sensor that has waited long enough and a task that has run too long are two things, and told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.authored import load, ran, states

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

DAGS = """
from datetime import datetime

from airflow import DAG
from airflow.exceptions import AirflowSensorTimeout, AirflowTaskTimeout
from airflow.sensors.base import BaseSensorOperator
from airflow.sensors.python import PythonSensor

def told(context):
    both = (AirflowSensorTimeout, AirflowTaskTimeout)
    kinds = [kind.__name__ for kind in both if isinstance(context["exception"], kind)]
    with open("FOLDER/told.txt", "a") as out:
        out.write(f"{context['task'].task_id}: {context['exception']} {kinds}\\n")

class GivesUp(BaseSensorOperator):
    def poke(self, context):
        raise AirflowSensorTimeout("enough")

class Restless(BaseSensorOperator):
    def poke(self, context):
        try:
            raise AirflowTaskTimeout("slow")
        except AirflowSensorTimeout:
            return True

settings = {"on_failure_callback": told, "retries": 1, "retry_delay": 0}
with DAG("waits", start_date=datetime(2026, 1, 1), schedule_interval=None, default_args=settings):
    PythonSensor(task_id="waits", python_callable=lambda: False, timeout=0.05, poke_interval=0.01)
    GivesUp(task_id="gives_up")
    Restless(task_id="restless")
"""


@pytest.mark.spec("1:N3")
def test_sensor_timeouts_are_no_task_timeouts_and_not_tried_again(tmp_path: Path) -> None:
    (dag,) = load(tmp_path, DAGS.replace("FOLDER", str(tmp_path))).values()
    report = ran(dag)
    assert states(report) == dict.fromkeys(("waits", "gives_up", "restless"), "failed")
    assert {row.task_id: row.try_number for row in report.instances} == {"waits": 1, "gives_up": 1, "restless": 2}
    assert "Snap. Time is OUT." in report.errors["waits"]
    told = sorted((tmp_path / "told.txt").read_text().splitlines())
    assert told == [
        "gives_up: enough ['SensorTimeout']",
        "restless: slow ['TaskTimeout']",
        "waits: Snap. Time is OUT. ['SensorTimeout']",
    ]
