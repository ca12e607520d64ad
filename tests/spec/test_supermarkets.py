"""Promotions of four supermarkets: deliveries that come when they come, DAGs that start others, runs with a payload."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.services.conftest import until
from tests.spec.running_system import SECONDS, System, rest_api, running_system
from tradewind.control_ports import TriggerRequest
from tradewind.model.rows import RunRow

pytestmark = pytest.mark.blocks_the_loop

COUPONING = """
import shutil
from datetime import datetime
from pathlib import Path

from airflow import DAG
from airflow.operators.dummy import DummyOperator
from airflow.operators.python import PythonOperator
from airflow.sensors.filesystem import FileSensor
from airflow.sensors.python import PythonSensor

SHARED = Path("PLACE")


def _wait_for_supermarket(supermarket_id):
    supermarket_path = SHARED / supermarket_id
    data_files = list(supermarket_path.glob("data-*.csv"))
    success_file = supermarket_path / "_SUCCESS"
    return data_files and success_file.exists()


def _copy_to_raw(supermarket_id):
    raw = SHARED / "raw" / supermarket_id
    raw.mkdir(parents=True)
    return [str(shutil.copy(file, raw)) for file in sorted((SHARED / supermarket_id).glob("data-*.csv"))]


with DAG("couponing_app", start_date=datetime(2026, 1, 1), schedule_interval="0 0 * * *", concurrency=50,
         catchup=False, end_date=datetime(2026, 1, 1)):
    create_metrics = DummyOperator(task_id="create_metrics")
    for supermarket_id in range(1, 5):
        name = f"supermarket{supermarket_id}"
        sensor = {"task_id": f"wait_for_{name}", "poke_interval": 0.05, "mode": "reschedule"}
        if supermarket_id == 1:
            wait = FileSensor(filepath=f"PLACE/{name}/data-*.csv", **sensor)
        else:
            wait = PythonSensor(
                python_callable=_wait_for_supermarket, op_kwargs={"supermarket_id": name}, timeout=600, **sensor
            )
        copy = PythonOperator(
            task_id=f"copy_to_raw_{name}", python_callable=_copy_to_raw, op_kwargs={"supermarket_id": name}
        )
        process = DummyOperator(task_id=f"process_{name}")
        wait >> copy >> process >> create_metrics

with DAG("never_delivered", start_date=datetime(2026, 1, 1), schedule_interval=None):
    PythonSensor(
        task_id="wait",
        python_callable=_wait_for_supermarket,
        op_args=["nobody"],
        timeout=0.1,
        poke_interval=0.05,
    ) >> DummyOperator(task_id="after")
"""


def deliver(folder: Path, number: int, *, complete: bool = True) -> None:
    place = folder / f"supermarket{number}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "data-01.csv").write_text("product,price\n")
    if complete:
        (place / "_SUCCESS").touch()


@pytest.mark.spec("1:UC-F", "1:15:Shared filesystem")
async def test_deliveries_come_one_by_one_and_one_never(tmp_path: Path, database_url: str) -> None:
    shared = tmp_path / "data"
    async with running_system(tmp_path, database_url) as system:
        system.write(COUPONING.replace("PLACE", str(shared)))
        await system.knows("couponing_app", "never_delivered")
        assert (await system.specs())["couponing_app"].max_active_tasks == 50
        control = system.runtime.control
        deliver(shared, 1)
        started = await control.run_trigger(TriggerRequest("couponing_app", unpause=True, dag_run_id="today"))

        async def stands(expected: dict[str, str]) -> None:
            async def so() -> bool:
                found = await system.states(started)
                assert "failed" not in found.values(), found
                return all(found.get(name) in state.split("|") for name, state in expected.items())

            await until(system.runtime, so, SECONDS)

        waits = "running|up_for_reschedule|scheduled"
        others = {f"wait_for_supermarket{n}": waits for n in (2, 3, 4)}
        await stands({"process_supermarket1": "success", **others, "create_metrics": "none"})
        deliver(shared, 2, complete=False)
        deliver(shared, 3)
        await stands({"process_supermarket3": "success", "wait_for_supermarket2": waits})
        deliver(shared, 2)
        deliver(shared, 4)
        run = await control.run_wait(started.run_id, SECONDS)
        assert set((await system.states(run)).values()) == {"success"}
        assert sorted(path.parent.name for path in (shared / "raw").rglob("data-01.csv")) == [
            f"supermarket{n}" for n in (1, 2, 3, 4)
        ]
        assert any(line.startswith("Poking for file ") for line in await system.log(run, "wait_for_supermarket1"))
        late = await system.run("never_delivered")
        assert await system.states(late) == {"wait": "failed", "after": "upstream_failed"}
        said = "\n".join(await system.log(late, "wait"))
        assert "Poking callable: <function _wait_for_supermarket at 0x" in said
        assert "SensorTimeout: Snap. Time is OUT." in said


SPLIT = """
from datetime import datetime

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.dummy import DummyOperator
from airflow.operators.trigger_dagrun import TriggerDagRunOperator

with DAG("ingest_supermarket_data", start_date=datetime.fromisoformat("START"), schedule_interval="0 16 * * *",
         end_date=datetime.fromisoformat("START"), is_paused_upon_creation=False):
    for n in range(1, 5):
        trigger = TriggerDagRunOperator(
            task_id=f"trigger_create_metrics_dag_supermarket_{n}",
            trigger_dag_id="create_metrics",
            conf={"supermarket": n},
        )
        DummyOperator(task_id=f"process_supermarket_{n}") >> trigger

with DAG("create_metrics", start_date=datetime(2026, 1, 1), schedule_interval=None, is_paused_upon_creation=False):
    BashOperator(task_id="metrics", bash_command="echo {{ dag_run.conf['supermarket'] }}")
"""


@pytest.mark.spec("1:UC-F")
async def test_one_dag_starts_another_four_times_and_again_when_it_is_cleared(
    tmp_path: Path, database_url: str
) -> None:
    begin = datetime.now(UTC).replace(hour=16, minute=0, second=0, microsecond=0) - timedelta(days=3)
    async with running_system(tmp_path, database_url) as system:
        system.write(SPLIT.replace("START", begin.isoformat()))
        await system.knows("ingest_supermarket_data", "create_metrics")
        (ingest,) = await system.ended("ingest_supermarket_data", 1)
        assert ingest.logical_date == begin
        first = await system.ended("create_metrics", 4)
        assert await said_by(system, first) == ["1", "2", "3", "4"]
        assert all(run.dag_run_id.startswith("manual__") for run in first)
        control = system.runtime.control
        triggers = [name for name in await system.states(ingest) if name.startswith("trigger")]
        await control.instances_clear("ingest_supermarket_data", ingest.dag_run_id, triggers)
        await control.run_wait(ingest.run_id, SECONDS)
        again = await system.ended("create_metrics", 8)
        assert len(again) == 8
        assert {run.run_id: run.ended_at for run in first}.items() <= {
            run.run_id: run.ended_at for run in again
        }.items()
        assert await said_by(system, again) == sorted([*"1234"] * 2)


async def said_by(system: System, runs: list[RunRow]) -> list[str]:
    return sorted([str((await system.results(run))["metrics"]) for run in runs])


PAYLOAD = """
from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.operators.python import PythonOperator

def print_conf(**context):
    print(context["dag_run"].conf)
    return context["dag_run"].conf

yesterday = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
with DAG("print_dag_run_conf", start_date=yesterday, schedule_interval="@daily", end_date=yesterday):
    PythonOperator(task_id="process", python_callable=print_conf)
"""


@pytest.mark.spec("1:UC-F", "1:UC-I")
async def test_runs_with_a_payload_from_the_command_line_and_from_outside(tmp_path: Path, database_url: str) -> None:
    """By `dags trigger --conf` and by REST, as a pipeline of somebody else's would; and one by the schedule."""
    async with running_system(tmp_path, database_url) as system, rest_api(system) as api:
        system.write(PAYLOAD)
        await system.knows("print_dag_run_conf")
        said = await system.tradewind(
            *("dags", "trigger", "print_dag_run_conf", "--conf", '{"supermarket_id": 1}', "--unpause")
        )
        assert "Created <DagRun print_dag_run_conf @ " in said
        answer = await api.post("dags/print_dag_run_conf/dagRuns", json={"conf": {"supermarket": 2}})
        assert (answer.status, (await answer.json())["conf"]) == (200, {"supermarket": 2})
        runs = await system.ended("print_dag_run_conf", 3)
        assert len(runs) == 3
        answer = await api.get("dags/print_dag_run_conf/dagRuns")
        shown = {run["dag_run_id"]: run for run in (await answer.json())["dag_runs"]}
        kinds = {run["run_type"]: run["external_trigger"] for run in shown.values()}
        assert kinds == {"scheduled": False, "manual": True}, "the grid draws them differently"
        confs = [(shown[run.dag_run_id]["run_type"], (await system.results(run))["process"]) for run in runs]
        assert sorted(confs, key=json.dumps) == [
            ("manual", {"supermarket": 2}),
            ("manual", {"supermarket_id": 1}),
            ("scheduled", {}),
        ]
        by_hand = next(run for run in runs if shown[run.dag_run_id]["conf"] == {"supermarket_id": 1})
        assert "{'supermarket_id': 1}" in await system.log(by_hand, "process")
