# pyright: reportUnusedExpression=false
"""Tasks that defer, on a real runtime: operators of the core, TaskFlow, triggers of one's own, what goes wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.conftest import NewDatabase
from tests.services.conftest import StartRuntime, pass_on, run_to_end, until, why
from tradewind import DAG, Asset, BaseOperator, EmptyOperator, EventSchedule, FileSensor, task
from tradewind.authoring.deferral import TaskDeferred, defer
from tradewind.authoring.sensor import BaseSensorOperator
from tradewind.authoring.triggers import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    Trigger,
    TriggerEvent,
    trigger,
)
from tradewind.authoring.xcom import decode
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.rows import RunRow
from tradewind.ports import Store
from tradewind.standard.asset_trigger import AssetEventTrigger
from tradewind.standard.external_task import ExternalTaskSensor
from tradewind.standard.moment_triggers import DateTimeTrigger
from tradewind.standard.process_trigger import ProcessTrigger
from tradewind.standard.time_sensors import DateTimeSensor, DateTimeSensorAsync, TimeDeltaSensorAsync, TimeSensor
from tradewind.standard.trigger_dag_run import TriggerDagRunOperator
from tradewind.store.memory import MemoryStore
from tradewind.store.memory import new_database as memory_database
from tradewind.store.migrate import migrate_url
from tradewind.store.postgres import PostgresStore
from tradewind_executors.inline import InlineExecutor

KEY = "0" * 43 + "="


@pytest.fixture(params=["memory", "postgres"])
async def start(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: NewDatabase
) -> AsyncGenerator[StartRuntime]:
    """Starts a runtime on a database that outlives it; sync tasks run in threads."""
    store: Store = MemoryStore(memory_database())
    if request.param == "postgres":
        url = await new_database()
        await migrate_url(url)
        store = PostgresStore(url, secret_key=KEY)
    overrides = {"scheduler.drain_timeout": 0.2}
    config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
    inline = InlineExecutor()
    parts = Parts(store=store, executors={"inline": inline, "local": inline}, watch_files=False)
    stop = asyncio.Event()
    lives: list[asyncio.Task[None]] = []

    async def live(dags: tuple[DAG, ...], up: asyncio.Future[Runtime]) -> None:
        async with Runtime(config, dags=dags, parts=parts) as runtime:
            up.set_result(runtime)
            await stop.wait()

    async def started(*dags: DAG) -> Runtime:
        up: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()
        life = asyncio.create_task(live(dags, up))
        life.add_done_callback(partial(pass_on, up))
        lives.append(life)
        return await up

    yield started
    stop.set()
    await asyncio.gather(*lives)
    await store.close()


gates: dict[str, asyncio.Future[Any]] = {}
seen: list[str] = []


@pytest.fixture(autouse=True)
def clean() -> None:
    gates.clear()
    seen.clear()


def gate(name: str) -> asyncio.Future[Any]:
    if name not in gates:
        gates[name] = asyncio.get_running_loop().create_future()
    return gates[name]


@trigger(kind="tests.gate")
class Gate(Trigger):
    """Fires with what is put into the gate of this name."""

    name: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen.append(f"run {self.name}")

        async def ack() -> None:
            seen.append(f"ack {self.name}")

        yield TriggerEvent(await asyncio.shield(gate(self.name)), ack=ack)

    async def cleanup(self) -> None:
        seen.append(f"cleanup {self.name}")

    async def on_kill(self) -> None:
        seen.append(f"kill {self.name}")


class Waiting(BaseOperator):
    """Defers to a trigger, and returns what it gave."""

    def __init__(self, *, waits_for: BaseTrigger, more: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.waits_for = waits_for
        self.more = more

    async def execute(self, context: Any) -> Any:
        self.defer(trigger=self.waits_for, method_name="go_on", kwargs=self.more)

    def go_on(self, context: Any, event: Any = None, **more: Any) -> Any:
        return {"event": event, **more}


async def started(runtime: Runtime, dag_id: str, **wish: Any) -> RunRow:
    return await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True, **wish))


async def states(runtime: Runtime, run: RunRow) -> dict[str, str]:
    return {row.task_id: row.state.value for row in await runtime.control.reads.instance_list(run.run_id)}


async def deferred(runtime: Runtime, run: RunRow, *task_ids: str) -> None:
    async def waits() -> bool:
        found = await states(runtime, run)
        return all(found.get(task_id) == "deferred" for task_id in task_ids)

    await until(runtime, waits)


async def ended(runtime: Runtime, run: RunRow) -> dict[str, str]:
    await runtime.control.run_wait(run.run_id, 20)
    return await states(runtime, run)


async def result(runtime: Runtime, run: RunRow, task_id: str) -> Any:
    value = await runtime.control.reads.xcom_get(run.run_id, task_id, "return_value")
    return None if value is None else decode(value)


# ------------------------------------------------------------------------------- going on


async def test_a_task_goes_on_in_its_method_with_the_event(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        Waiting(task_id="wait", waits_for=Gate("a"), more={"since": datetime(2026, 1, 1, tzinfo=UTC)})
    runtime = await start(dag)
    run = await started(runtime, "d")
    await deferred(runtime, run, "wait")
    gate("a").set_result({"n": 1})
    assert await ended(runtime, run) == {"wait": "success"}
    assert await result(runtime, run, "wait") == {"event": {"n": 1}, "since": datetime(2026, 1, 1, tzinfo=UTC)}
    await eventually(lambda: seen == ["run a", "ack a", "cleanup a"])


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_defers_and_is_called_again_with_the_event(start: StartRuntime, *, is_async: bool) -> None:
    with DAG("d", schedule=None) as dag:

        @task(task_id="wait")
        async def on_loop(name: str, event: Any = None, round_: int = 0) -> Any:
            if event is None or round_ < 2:
                defer(Gate(f"{name}{round_}"), kwargs={"round_": round_ + 1})
            return [event, round_]

        @task(task_id="wait")
        def in_thread(name: str, event: Any = None, round_: int = 0) -> Any:
            if event is None or round_ < 2:
                raise TaskDeferred(
                    trigger=Gate(f"{name}{round_}"), method_name="execute", kwargs={"round_": round_ + 1}
                )
            return [event, round_]

        (on_loop if is_async else in_thread)("g")
    runtime = await start(dag)
    run = await started(runtime, "d")
    gate("g0").set_result("first")
    gate("g1").set_result("second")
    assert await ended(runtime, run) == {"wait": "success"}
    assert await result(runtime, run, "wait") == ["second", 2]
    rows = await runtime.control.reads.instance_list(run.run_id)
    assert [row.try_number for row in rows] == [1], "deferring is no further try"


async def test_a_trigger_ends_the_task_itself(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        for kind in ("success", "failed", "skipped"):
            Waiting(task_id=kind, waits_for=Ending(kind))
    runtime = await start(dag)
    run = await started(runtime, "d")
    assert await ended(runtime, run) == {"success": "success", "failed": "failed", "skipped": "skipped"}
    assert await result(runtime, run, "success") == "from the trigger"


class Ending(Trigger):
    """Ends its task."""

    kind: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        ends = {
            "success": TaskSuccessEvent(xcoms={"return_value": "from the trigger"}),
            "failed": TaskFailedEvent(),
            "skipped": TaskSkippedEvent(),
        }
        yield ends[self.kind]


async def test_a_task_that_is_cleared_while_it_waits_begins_anew_when_its_trigger_is_gone(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        Waiting(task_id="wait", waits_for=Gate("a"))
    runtime = await start(dag)
    run = await started(runtime, "d")
    await eventually(lambda: seen == ["run a"])
    await runtime.control.instances_clear("d", run.dag_run_id, ["wait"])
    await eventually(lambda: len(seen) >= 4)
    assert seen == ["run a", "kill a", "cleanup a", "run a"]
    gates.pop("a", None)
    await runtime.control.run_cancel("d", run.dag_run_id)
    await eventually(lambda: seen[4:] == ["kill a", "cleanup a"])


@pytest.mark.blocks_the_loop
async def test_a_command_ends_with_its_task(start: StartRuntime, tmp_path: Path) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def compute() -> None:
            defer(ProcessTrigger.start(f"echo $$ > {tmp_path}/pid; sleep 600", folder=tmp_path / "out"))

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


# ------------------------------------------------------------------------------- what goes wrong


class Broken(Trigger):
    """Fails as it is told."""

    how: str = "raises"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.how == "raises":
            raise ValueError("the queue is gone")
        if self.how == "says nothing":
            return
        if self.how == "awaits what is cancelled":
            nobody = asyncio.get_running_loop().create_future()
            nobody.cancel()
            await nobody
        yield TriggerEvent(object())


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "ValueError: the queue is gone"),
        ("awaits what is cancelled", "CancelledError"),
        ("says nothing", "Trigger exited without sending an event"),
        ("gives what cannot be stored", "cannot be stored"),
    ],
)
async def test_a_trigger_that_fails_fails_its_task(start: StartRuntime, how: str, said: str) -> None:
    with DAG("d", schedule=None) as dag:
        Waiting(task_id="wait", waits_for=Broken(how))
        Waiting(task_id="other", waits_for=Ending("success"))
    runtime = await start(dag)
    run = await started(runtime, "d")
    assert await ended(runtime, run) == {"wait": "failed", "other": "success"}
    reason = await why(runtime, run, "wait")
    assert "TaskDeferralError: Trigger failure" in reason
    assert said in reason


async def test_a_wait_that_takes_too_long_fails(start: StartRuntime) -> None:
    class Impatient(BaseOperator):
        async def execute(self, context: Any) -> Any:
            self.defer(trigger=Gate("never"), method_name="go_on", timeout=timedelta(seconds=0.1))

        def go_on(self, context: Any, event: Any = None) -> None: ...

    with DAG("d", schedule=None) as dag:
        Impatient(task_id="own")
        Waiting(task_id="task", waits_for=Gate("nor this"), execution_timeout=timedelta(seconds=0.1))
    runtime = await start(dag)
    run = await started(runtime, "d")
    assert await ended(runtime, run) == {"own": "failed", "task": "failed"}
    assert "TaskDeferralTimeout: Trigger timeout" in await why(runtime, run, "own")
    await eventually(lambda: {"kill never", "cleanup never"} <= set(seen))


class Unknown(BaseTrigger):
    """Says of itself what it is told."""

    said: ClassVar[Any] = None

    def __init__(self) -> None:
        super().__init__()

    def serialize(self) -> Any:
        return self.said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("nothing", r"serialize\(\) has to return the class's path and a dict"),
        (("no.such.Trigger", {"a": 1}), "there is no such trigger class"),
        ((f"{__name__}.Unknown", {"a": 1}), "arguments that its constructor does not take"),
        ((f"{__name__}.Gate", {"name": object()}), "cannot be stored"),
    ],
)
async def test_a_trigger_that_cannot_be_stored_fails_while_the_task_runs(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch, said: Any, error: str
) -> None:
    monkeypatch.setattr(Unknown, "said", said)
    with DAG("d", schedule=None) as dag:

        @task
        def wait() -> None:
            defer(Unknown())

        wait()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert run.state == "failed"
    reason = await why(runtime, run, "wait")
    assert re.search(error, reason), reason


async def test_a_method_that_is_not_there_fails_while_the_task_runs(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task
        async def wait() -> None:
            raise TaskDeferred(trigger=Gate("a"), method_name="go_onn")

        wait()
    runtime = await start(dag)
    run = await run_to_end(runtime, "d")
    assert run.state == "failed"
    reason = await why(runtime, run, "wait")
    assert "has no method 'go_onn' to go on with after a wait; it has" in reason
    assert "execute" in reason


# ------------------------------------------------------------------------------- the core's own


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
        TimeSensor(task_id="time", target_time=early.time(), deferrable=True)
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
        assert soon <= at < soon + timedelta(seconds=20), name


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


async def test_a_sensor_with_an_execute_of_its_own(start: StartRuntime) -> None:
    """As sensors of provider packages are written: `super().execute()` where they do not defer."""

    class Both(BaseSensorOperator):
        def __init__(self, *, deferrable: bool, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.deferrable = deferrable
            self.asked = 0

        def execute(self, context: Any) -> Any:
            if not self.deferrable:
                super().execute(context)
                return f"asked {self.asked} times"
            self.defer(trigger=DateTimeTrigger(datetime.now(UTC)), method_name="execute_complete")

        def execute_complete(self, context: Any, event: Any = None) -> str:
            return "deferred"

        def poke(self, context: Any) -> bool:
            self.asked += 1
            return self.asked > 2

    with DAG("d", schedule=None) as dag:
        Both(task_id="defers", deferrable=True)
        Both(task_id="asks", deferrable=False, poke_interval=0.001)
        Both(task_id="fails", deferrable=False, poke_interval=0.01, timeout=0.0, soft_fail=True)
    runtime = await start(dag)
    run = await started(runtime, "d")
    found = await ended(runtime, run)
    assert await result(runtime, run, "defers") == "deferred"
    assert await result(runtime, run, "asks") == "asked 3 times"
    assert found == {"defers": "success", "asks": "success", "fails": "skipped"}


async def test_a_task_that_starts_with_a_trigger_of_ones_own(start: StartRuntime) -> None:
    class Starts(BaseOperator):
        start_from_trigger = True
        start_trigger_args = StartTriggerArgs(
            trigger_cls="tests.gate", trigger_kwargs={"name": "s"}, next_method="done", next_kwargs={"more": (1, 2)}
        )

        def execute(self, context: Any) -> Any:
            raise AssertionError("it begins with its trigger")

        async def done(self, context: Any, event: Any, more: Any) -> Any:
            return [event, more]

    with DAG("d", schedule=None) as dag:
        Starts(task_id="wait")
    runtime = await start(dag)
    run = await started(runtime, "d")
    await deferred(runtime, run, "wait")
    gate("s").set_result("now")
    assert await ended(runtime, run) == {"wait": "success"}
    assert await result(runtime, run, "wait") == ["now", (1, 2)]


async def test_tasks_that_an_attempt_has_to_start(start: StartRuntime) -> None:
    """Templates are rendered and instances known in attempts alone; they need no `execute` for that."""

    class Starts(BaseOperator):
        start_from_trigger = True

        def __init__(self, *, name: str, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.start_trigger_args = StartTriggerArgs("tests.gate", "done", {"name": name}, timeout=timedelta(hours=1))

        async def done(self, context: Any, event: Any) -> Any:
            return event

    with DAG("d", schedule=None) as dag:
        Starts(task_id="rendered", name="{{ task.task_id }}")
        Starts.partial(task_id="mapped").expand(name=["a", "b"])
    runtime = await start(dag)
    for name in ("rendered", "a", "b"):
        gate(name).set_result(name)
    run = await started(runtime, "d")
    assert set((await ended(runtime, run)).values()) == {"success"}
    assert await result(runtime, run, "rendered") == "rendered"
