"""TaskFlow in the manner of the second version: an extract, transform and load, decorators of all kinds, groups."""

import json
from datetime import datetime, timedelta

from airflow.decorators import dag, setup, task, task_group, teardown
from airflow.exceptions import AirflowSkipException
from airflow.models.baseoperator import chain
from airflow.models.param import Param
from airflow.operators.bash import BashOperator
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import get_current_context
from airflow.sensors.base import PokeReturnValue
from airflow.utils.edgemodifier import Label
from airflow.utils.task_group import TaskGroup
from airflow.utils.trigger_rule import TriggerRule


@dag(
    schedule=None,
    start_date=datetime(2021, 1, 1),
    catchup=False,
    tags=["example"],
    params={"rate": Param(2, type="integer", minimum=1)},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
)
def orders_taskflow():
    """A pipeline of three steps."""

    @task()
    def extract():
        return json.loads('{"1001": 301.27, "1002": 433.21, "1003": 502.22}')

    @task(multiple_outputs=True)
    def transform(orders: dict, params=None):
        return {"total": sum(orders.values()) * params["rate"], "count": len(orders)}

    @task
    def load(total: float, count: int, **context):
        print(f"Total order value is: {total:.2f}")
        return [round(total, 2), count, get_current_context()["params"]["rate"] == context["params"]["rate"]]

    summary = transform(extract())
    load(summary["total"], summary["count"])


orders_taskflow()


@dag(schedule="@daily", start_date=datetime(2021, 1, 1), catchup=False, dag_display_name="Branches and groups")
def branches_and_groups():
    @task.branch(task_id="branching")
    def pick():
        return ["keep", "section.inner.first"]

    keep = EmptyOperator(task_id="keep")
    drop = EmptyOperator(task_id="drop")
    join = EmptyOperator(task_id="join", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)

    @task.short_circuit()
    def check(flag):
        return flag

    @task.bash
    def say(what):
        return f"echo {what}"

    @task
    def skipped():
        raise AirflowSkipException

    @task.sensor(poke_interval=3600, timeout=86400, mode="reschedule")
    def wait() -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value="there")

    @task
    def shown(value):
        return value

    with TaskGroup("section", tooltip="Tasks of a section") as section:
        with TaskGroup("inner", tooltip="Inside") as inner:
            first = EmptyOperator(task_id="first")
            second = BashOperator(task_id="second", bash_command="echo 1")
            first >> second
        last = EmptyOperator(task_id="last", trigger_rule="none_failed")
        inner >> last

    chosen = pick()
    chosen >> Label("kept") >> keep >> join
    chosen >> Label("dropped") >> drop >> join
    chosen >> section
    skipped() >> EmptyOperator(task_id="after_skipped")
    chain(check.override(task_id="true")(True), EmptyOperator(task_id="on"))
    chain(check.override(task_id="false")(False), EmptyOperator(task_id="off"))
    shown(wait()) >> say("done")


branches_and_groups()


@dag(schedule=None, start_date=datetime(2021, 1, 1))
def setups_and_teardowns():
    @setup
    def cluster():
        return "c1"

    @teardown
    def gone(cluster_id):
        return f"{cluster_id} is gone"

    @task
    def work(cluster_id):
        raise ValueError("the work fails")

    @task_group
    def section():
        inside = EmptyOperator(task_id="inside").as_setup()
        done = EmptyOperator(task_id="done").as_teardown(setups=inside, on_failure_fail_dagrun=True)
        inside >> BashOperator(task_id="do", bash_command="echo do") >> done

    made = cluster()
    made >> work.override(retries=0)(made) >> gone(made)
    section()


setups_and_teardowns()
