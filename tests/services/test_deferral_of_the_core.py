# pyright: reportUnusedExpression=false
"""Operators, sensors and triggers of the core that defer, on a real runtime."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, run_to_end, why
from tests.services.deferring import Waiting, clean, deferred, ended, eventually, gate, result, started
from tradewind import DAG, Asset, EmptyOperator, EventSchedule, FileSensor, defer, task
from tradewind.standard.asset_trigger import AssetEventTrigger
from tradewind.standard.external_task import ExternalTaskSensor
from tradewind.standard.process_trigger import ProcessTrigger
from tradewind.standard.time_sensors import DateTimeSensor, DateTimeSensorAsync, TimeDeltaSensorAsync, TimeSensor
from tradewind.standard.trigger_dag_run import TriggerDagRunOperator


@pytest.fixture
def start(start_on_each: StartRuntime) -> StartRuntime:
    clean()
    return start_on_each


async def test_moments_defer_to_the_timer(start: StartRuntime) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    early = datetime.now(UTC) - timedelta(hours=1)
    with DAG("d", schedule=None) as dag:
        DateTimeSensor(task_id="moment", target_time=soon, deferrable=True)
        DateTimeSensorAsync(task_id="ends_there", target_time=soon, end_from_trigger=True)
        DateTimeSensorAsync(task_id="starts_there", target_time=soon, start_from_trigger=True)
        DateTimeSensorAsync(
            task_id="only_there", target_time=soon.isoformat(), start_from_trigger=True, end_from_trigger=True
        )
        DateTimeSensorAsync(task_id="passed", target_time=early)
        TimeDeltaSensorAsync(task_id="delta", delta=timedelta(seconds=-3600))
        TimeSensor(task_id="time", target_time=time.min, deferrable=True)
        DateTimeSensorAsync(task_id="late", target_time=soon + timedelta(days=1), timeout=0.2)
        DateTimeSensorAsync(task_id="soft", target_time=soon + timedelta(days=1), timeout=0.2, soft_fail=True)
    runtime = await start(dag)
    run = await started(runtime, "d")
    assert await ended(runtime, run) == {
        **dict.fromkeys(("moment", "ends_there", "starts_there", "only_there", "passed", "delta", "time"), "success"),
        "late": "failed",
        "soft": "skipped",
    }
    attempts = {name: len(await runtime.control.reads.attempt_list(run.run_id, name)) for name in dag.task_ids}
    assert attempts["only_there"] <= attempts["starts_there"] <= attempts["moment"]
    rows = {row.task_id: row for row in await runtime.control.reads.instance_list(run.run_id)}
    for name in ("moment", "ends_there", "starts_there", "only_there"):
        at = rows[name].ended_at
        assert at is not None
        assert soon <= at < soon + timedelta(seconds=50), name


async def test_files(start: StartRuntime, tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "there").touch)
    with DAG("d", schedule=None) as dag:
        FileSensor(task_id="there", filepath=str(tmp_path / "there"), deferrable=True)
        FileSensor(task_id="later", filepath=str(tmp_path / "{{ 'la' ~ 'ter' }}*"), deferrable=True, poke_interval=600)
        FileSensor(task_id="begins", filepath=str(tmp_path / "later"), start_from_trigger=True, poke_interval=600)
        FileSensor(task_id="never", filepath=str(tmp_path / "never"), deferrable=True, timeout=0.2)
    assert {spec.executor for spec in dag.to_spec().tasks} == {"inline"}
    assert [spec.task_id for spec in dag.to_spec().tasks if spec.starts_deferred] == ["begins"]
    runtime = await start(dag)
    run = await started(runtime, "d")
    await deferred(runtime, run, "later", "begins")
    await asyncio.to_thread((tmp_path / "later").touch)
    assert await ended(runtime, run) == {
        "there": "success", "later": "success", "begins": "success", "never": "failed",
    }  # fmt: skip
    assert "Snap. Time is OUT." in await why(runtime, run, "never")


def other_dag(dag_id: str = "other") -> DAG:
    with DAG(dag_id, schedule=None) as dag:

        @task
        async def work() -> None:
            if await gate(dag_id) == "fail":
                raise ValueError("as told")

        @task
        async def more() -> None: ...

        work() >> more()
    return dag


@pytest.mark.parametrize("end", ["success", "fail"])
async def test_tasks_of_other_dags_wake_those_who_wait(start: StartRuntime, end: str) -> None:
    with DAG("d", schedule=None) as dag:
        settings: dict[str, Any] = {"external_dag_id": "other", "deferrable": True, "poke_interval": 600}
        ExternalTaskSensor(task_id="run", failed_states=["failed"], **settings)
        ExternalTaskSensor(task_id="task", external_task_id="work", failed_states=["failed"], **settings)
        ExternalTaskSensor(task_id="skips", external_task_id="work", skipped_states=["failed"], **settings)
        ExternalTaskSensor(task_id="both", external_task_ids=["work", "more"], failed_states=["failed"], **settings)
    runtime = await start(dag, other_dag())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = await started(runtime, "d", logical_date=at)
    await deferred(runtime, run, "run", "task", "skips", "both")
    await started(runtime, "other", logical_date=at)
    gate("other").set_result(end)
    if end == "success":
        assert set((await ended(runtime, run)).values()) == {"success"}
    else:
        assert await ended(runtime, run) == {"run": "failed", "task": "failed", "skips": "skipped", "both": "failed"}
        assert "The external DAG other failed." in await why(runtime, run, "run")
        assert "Some of the external tasks ['work'] in DAG other failed." in await why(runtime, run, "task")


@pytest.mark.parametrize("end", ["success", "fail"])
async def test_a_run_that_a_task_starts_wakes_it(start: StartRuntime, end: str) -> None:
    with DAG("d", schedule=None) as dag:
        TriggerDagRunOperator(
            task_id="start", trigger_dag_id="other", wait_for_completion=True, deferrable=True, poke_interval=600
        )
    runtime = await start(dag, other_dag())
    await runtime.control.dag_pause("other", paused=False)
    run = await started(runtime, "d")
    await deferred(runtime, run, "start")
    gate("other").set_result(end)
    assert await ended(runtime, run) == {"start": "success" if end == "success" else "failed"}
    if end == "fail":
        assert "other failed with failed states failed" in await why(runtime, run, "start")


async def test_assets(start: StartRuntime) -> None:
    orders = Asset("orders", uri="s3://lake/orders")
    with DAG("d", schedule=None) as dag:
        Waiting(task_id="wait", waits_for=AssetEventTrigger.next_of(orders))
    with DAG("sender", schedule=None) as sender:

        @task(outlets=[orders])
        async def send(*, outlet_events: Any = None) -> None:
            outlet_events[orders].extra = {"rows": 3}

        send()
    runtime = await start(dag, sender)
    run = await started(runtime, "d")
    await deferred(runtime, run, "wait")
    assert (await run_to_end(runtime, "sender")).state == "success"
    assert await ended(runtime, run) == {"wait": "success"}
    found = (await result(runtime, run, "wait"))["event"]
    assert found["status"] == "success"
    assert [(event["asset"]["uri"], event["extra"]) for event in found["events"]] == [("s3://lake/orders", {"rows": 3})]


async def test_an_event_from_outside_wakes_those_who_wait_for_it(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        Waiting(task_id="wait", waits_for=AssetEventTrigger(uri="orders", extra={"n": 2}, poke_interval=600))
    with DAG("other", schedule=EventSchedule("orders")) as other:
        EmptyOperator(task_id="nothing")
    runtime = await start(dag, other)
    run = await started(runtime, "d")
    await deferred(runtime, run, "wait")
    await runtime.control.event_take_in("orders", {"n": 1})
    await runtime.control.event_take_in("orders", {"n": 2})
    assert await ended(runtime, run) == {"wait": "success"}
    assert [event["extra"] for event in (await result(runtime, run, "wait"))["event"]["events"]] == [{"n": 2}]


async def test_a_command(start: StartRuntime, tmp_path: Path) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def compute(event: Any = None) -> Any:
            if event is None:
                defer(ProcessTrigger.start("echo 42; exit 7", folder=tmp_path / "out"))
            return [event["exit_code"], (tmp_path / "out/output").read_text()]

        compute()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert run.state == "success"
    assert await result(runtime, run, "compute") == [7, "42\n"]


@pytest.mark.blocks_the_loop
async def test_a_command_ends_with_its_task(start: StartRuntime, tmp_path: Path) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def compute() -> None:
            defer(ProcessTrigger.start(f"echo $$ > '{tmp_path}'/pid; sleep 600", folder=tmp_path / "out"))

        compute()
    runtime = await start(dag)
    run = await started(runtime, "d")
    await deferred(runtime, run, "compute")
    number = tmp_path / "pid"
    await eventually(lambda: bool(number.exists() and number.read_text().strip()))
    command = ProcessTrigger(int(number.read_text()))
    assert command.is_running
    await runtime.control.run_cancel("d", run.dag_run_id)
    await eventually(lambda: not command.is_running)
