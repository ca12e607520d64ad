"""Operators that meet other DAGs and other interpreters, in processes, on a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.standalone import standalone

pytestmark = pytest.mark.slow

DAGS = """
import sys
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator
from tradewind.standard.external_task import ExternalTaskSensor
from tradewind.standard.trigger_dag_run import TriggerDagRunOperator
from tradewind.standard.virtualenv import ExternalPythonOperator, PythonVirtualenvOperator


class Own(TriggerDagRunOperator):
    def execute(self, context):
        print("own code")
        return super().execute(context)


def total(numbers, ds):
    import sys
    print("counting in", sys.prefix)
    return sum(numbers)


with DAG("billing", schedule=None, is_paused_upon_creation=False):
    PythonOperator(task_id="bill", python_callable=lambda dag_run: dag_run.conf["customer"])

with DAG("shop", schedule=None, is_paused_upon_creation=False) as dag:
    (
        Own(task_id="own", trigger_dag_id="billing", conf={"customer": 7, "day": "{{ ds }}"}, wait_for_completion=True)
        >> TriggerDagRunOperator(
            task_id="same_day", trigger_dag_id="billing", logical_date="{{ ts }}", conf={"customer": 8}
        )
        >> [
            ExternalTaskSensor(
                task_id="loop", external_dag_id="billing", external_task_id="bill", poke_interval=0.2
            ),
            ExternalTaskSensor(
                task_id="process", external_dag_id="billing", external_task_id="bill", poke_interval=0.2,
                executor="local", check_existence=True,
            ),
        ]
        >> PythonVirtualenvOperator(
            task_id="inside", python_callable=total, op_args=[[1, 2]], system_site_packages=False
        )
        >> ExternalPythonOperator(
            task_id="outside", python_callable=total, op_kwargs={"numbers": [3, 4]}, python=sys.executable
        )
        >> BashOperator(task_id="shows", bash_command="echo {{ ti.xcom_pull(['inside', 'outside']) }}")
    )
"""


@pytest.mark.spec("1:P1", "1:G1", "1:G4")
async def test_a_shop_of_operators(own_home: Path) -> None:
    folder = own_home / "dags"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.py").write_text(DAGS, encoding="utf-8")
    async with standalone(own_home) as system:
        done = await system.tradewind("dags", "trigger", "shop", "--wait")
        shown = await system.tradewind("dags", "list-runs", "--dag-id", "billing", "--output", "plain")
        log = await system.tradewind("tasks", "states-for-dag-run", "shop", "--output", "plain")
    assert done.code == 0, done.output + done.errors + log.output
    assert shown.output.count("success") == 2, shown.output
