# pyright: reportUnusedExpression=false
"""Sensors on a real runtime: slots, modes, ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, run_to_end, until, why
from tradewind import DAG, FileSensor, PokeReturnValue, task
from tradewind.authoring.sensor import BaseSensorOperator
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import InstanceRow
from tradewind.ports import RunFilter
from tradewind.standard.time_sensors import DateTimeSensorAsync, TimeDeltaSensor, WaitSensor


async def instances(runtime: Runtime, dag_id: str) -> list[InstanceRow]:
    """Of all runs of the DAG."""
    runs, _ = await runtime.control.reads.run_list(RunFilter(dag_id))
    return [row for run in runs for row in await runtime.control.reads.instance_list(run.run_id)]


def stuck(delivered: asyncio.Event, mode: Any, *, is_async: bool = False, **settings: Any) -> DAG:
    """Three sensors a day that wait for ever, each before a task: the sixth day finds no slot."""
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    last = began + timedelta(days=5)  # also when midnight comes meanwhile
    with DAG("shops", schedule="@daily", start_date=began, end_date=last, catchup=True, **settings) as dag:
        for n in range(3):

            def poke() -> bool:
                return delivered.is_set()

            async def poke_on_loop() -> bool:
                return delivered.is_set()

            sensor = task.sensor(task_id=f"wait_{n}", mode=mode, poke_interval=0.2, timeout=600)
            wait = sensor(poke_on_loop if is_async else poke)

            @task(task_id=f"load_{n}")
            async def load() -> None: ...

            wait() >> load()

        @task
        async def other() -> None: ...

        other()
    return dag


@pytest.mark.spec("1:N7", "1:N8", "1:N9", "1:UC-F")
async def test_sensors_that_keep_their_slots_use_all_of_them_up(start: StartRuntime) -> None:
    delivered = asyncio.Event()
    with DAG("elsewhere", schedule=None) as elsewhere:

        @task
        async def free() -> None: ...

        free()
    runtime = await start(stuck(delivered, "poke", max_active_runs=6), elsewhere)
    await runtime.control.dag_pause("shops", paused=False)

    async def is_full() -> bool:
        rows = await instances(runtime, "shops")
        return sum(row.state == "running" for row in rows) == 16 and len(rows) == 6 * 7

    await until(runtime, is_full)
    sensing = [row for row in await instances(runtime, "shops") if row.task_id.startswith("wait")]
    assert sum(row.state == "running" for row in sensing) == 16
    assert sum(row.started_at is None for row in sensing) == 2
    late = max((await runtime.control.reads.run_list(RunFilter("shops")))[0], key=lambda run: run.logical_date)
    (blocked, *_) = [row.task_id for row in sensing if row.started_at is None]
    reasons = await runtime.control.why_waiting("shops", late.dag_run_id, blocked)
    assert any("max_active_tasks" in reason or "16" in reason for reason in reasons), reasons
    assert (await run_to_end(runtime, "elsewhere")).state == "success"  # the jam is this DAG's own
    delivered.set()

    async def all_done() -> bool:
        runs, _ = await runtime.control.reads.run_list(RunFilter("shops"))
        return all(run.state == "success" for run in runs)

    await until(runtime, all_done)


@pytest.mark.spec("1:N4", "1:N8", "1:UC-F")
@pytest.mark.parametrize(
    ("mode", "settings"), [("reschedule", {}), ("poke", {"concurrency": 50}), ("poke", {"is_async": True})]
)
async def test_rescheduling_or_more_slots_or_a_coroutine_cure_it(
    start: StartRuntime, mode: str, settings: dict[str, Any]
) -> None:
    delivered = asyncio.Event()
    runtime = await start(stuck(delivered, mode, max_active_runs=6, **settings))
    await runtime.control.dag_pause("shops", paused=False)

    async def others_ran() -> bool:
        rows = [row for row in await instances(runtime, "shops") if row.task_id == "other"]
        return len(rows) == 6 and all(row.state == "success" for row in rows)

    async def all_poked() -> bool:
        rows = [row for row in await instances(runtime, "shops") if row.task_id.startswith("wait")]
        return len(rows) == 18 and all(row.started_at is not None for row in rows)

    await until(runtime, others_ran)
    await until(runtime, all_poked)
    delivered.set()


def one(made: Any) -> DAG:
    with DAG("d", schedule=None) as dag:
        made()
    return dag


class Broken(BaseSensorOperator):
    """Raises twice, then is satisfied."""

    pokes = 0

    async def poke(self, context: Any) -> bool:
        Broken.pokes += 1
        if Broken.pokes < 3:
            raise ValueError("not now")
        return True


@pytest.mark.parametrize(
    ("arguments", "state", "pokes"),
    [
        ({}, "failed", 1),
        ({"retries": 2, "retry_delay": 0}, "success", 3),
        ({"soft_fail": True}, "failed", 1),
        ({"silent_fail": True}, "success", 3),
        ({"never_fail": True}, "skipped", 1),
    ],
)
async def test_pokes_that_raise(start: StartRuntime, arguments: dict[str, Any], state: str, pokes: int) -> None:
    Broken.pokes = 0
    runtime = await start(one(lambda: Broken(task_id="t", poke_interval=0.01, **arguments)))
    run = await run_to_end(runtime, "d")
    (row,) = await runtime.control.reads.instance_list(run.run_id)
    assert row.state == state
    assert Broken.pokes == pokes


class Late(BaseSensorOperator):
    """Has less time than an interval from its second look on, so its time is out then and not before."""

    looks = 0

    def poke(self, context: Any) -> bool:
        Late.looks += 1
        if Late.looks == 2:
            self.timeout = 0.09
        return False


@pytest.mark.spec("1:N3")
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize(("soft", "state"), [({}, "failed"), ({"soft_fail": True}, "skipped")])
async def test_the_time_is_out_over_all_slices(
    start: StartRuntime, mode: Any, soft: dict[str, Any], state: str
) -> None:
    Late.looks = 0
    runtime = await start(one(lambda: Late(task_id="t", mode=mode, poke_interval=0.1, retries=5, **soft)))
    run = await run_to_end(runtime, "d")
    (row,) = await runtime.control.reads.instance_list(run.run_id)
    assert row.state == state
    assert "Snap. Time is OUT." in await why(runtime, run, "t")
    attempts = await runtime.control.reads.attempt_list(run.run_id, "t")
    assert {attempt.try_number for attempt in attempts} == {1}  # a time-out is not tried again
    assert len(attempts) == (1 if mode == "poke" else 2)


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
async def test_a_poke_can_leave_a_value(start: StartRuntime, mode: Any) -> None:
    answers = [PokeReturnValue(False, "early"), PokeReturnValue(True, {"n": 1})]
    seen: list[Any] = []
    with DAG("d", schedule=None) as dag:

        @task.sensor(mode=mode, poke_interval=0.01)
        async def wait() -> PokeReturnValue:
            return answers.pop(0)

        @task
        async def after(value: Any) -> None:
            seen.append(value)

        after(wait())
    runtime = await start(dag)
    assert (await run_to_end(runtime, "d")).state == "success"
    assert seen == [{"n": 1}]


@pytest.mark.spec("1:N5", "1:N6")
async def test_a_late_file(start: StartRuntime, tmp_path: Path) -> None:
    with DAG("d", schedule=None) as dag:
        FileSensor(task_id="data", filepath=str(tmp_path / "data-*.csv"), poke_interval=0.05, mode="reschedule")
        FileSensor(task_id="deep", filepath=str(tmp_path / "**/done"), recursive=True, poke_interval=0.05)
    runtime = await start(dag)
    run = await runtime.control.run_trigger(TriggerRequest("d", unpause=True))

    async def has_poked() -> bool:
        return any(row.state == "up_for_reschedule" for row in await instances(runtime, "d"))

    await until(runtime, has_poked)
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("data-1.csv", "a/b/done"):
        (tmp_path / name).touch()
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"


async def test_moments_are_waited_for_exactly_and_without_slots(start: StartRuntime) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    with DAG("d", schedule=None) as dag:
        DateTimeSensorAsync(task_id="moment", target_time=soon)  # asks every minute, sleeps until then
        WaitSensor(task_id="wait", time_to_wait=timedelta(seconds=0.2))
        TimeDeltaSensor(task_id="delta", delta=0.3, poke_interval=0.05)
        DateTimeSensorAsync(task_id="late", target_time=soon + timedelta(days=1), timeout=0.3, soft_fail=True)
    assert {spec.task_id: spec.executor for spec in dag.to_spec().tasks} == dict.fromkeys(dag.task_ids, "inline")
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    states = {row.task_id: row for row in await runtime.control.reads.instance_list(run.run_id)}
    assert {name: row.state.value for name, row in states.items()} == {
        "moment": "success", "wait": "success", "delta": "success", "late": "skipped",
    }  # fmt: skip
    at = states["moment"].ended_at
    assert at is not None
    assert soon <= at < soon + timedelta(seconds=50), "it asks every minute"


class Asking(BaseSensorOperator):
    """Is never satisfied; or does not come back from its first look."""

    def __init__(self, *, hangs: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.hangs = hangs

    async def poke(self, context: Any) -> bool:
        if self.hangs:
            await asyncio.Event().wait()
        return False


@pytest.mark.parametrize("flag", ["soft_fail", "silent_fail", "never_fail"])
async def test_an_execution_timeout_interrupts_a_poke_and_no_flag_hides_it(start: StartRuntime, flag: str) -> None:
    limits: dict[str, Any] = {"execution_timeout": timedelta(seconds=0.1), "timeout": 60, "poke_interval": 0.03}
    with DAG("d", schedule=None) as dag:
        for hangs in (True, False):
            Asking(task_id=f"hangs_{hangs}", hangs=hangs, **limits, **{flag: True})
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    for task_id in dag.task_ids:
        assert "execution_timeout of 0.1 s has passed" in await why(runtime, run, task_id)


async def test_a_shared_poll_that_hangs_keeps_nobody(start: StartRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sensor ends with its own time: who asks, and who waits for the answer."""
    monkeypatch.setattr("tradewind.worker.sensing.POKE_AT_LEAST", 0.05)
    options: list[dict[str, Any]] = [{"timeout": 0.3, "retries": 2}, {"timeout": 0.1}, {"silent_fail": True}]
    with DAG("d", schedule=None, default_args={"timeout": 0.1}) as dag:
        for n, given in enumerate(options):
            Asking(task_id=f"shares_{n}", hangs=True, shared_key="one for all", **given)
        Asking(task_id="softly", hangs=True, shared_key="one for all", soft_fail=True)
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    rows = {row.task_id: row for row in await runtime.control.reads.instance_list(run.run_id)}
    assert {row.task_id for row in rows.values() if row.state == "failed"} == set(rows) - {"softly"}
    assert rows["softly"].state == "skipped"
    assert rows["shares_0"].try_number == 1, "a time-out is not tried again"
    assert "Snap. Time is OUT." in await why(runtime, run, "shares_1")
