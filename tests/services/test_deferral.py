# pyright: reportUnusedExpression=false
"""Tasks that defer, on a real runtime: how they go on, triggers of one's own, what goes wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

import pytest

from tests.services.conftest import StartRuntime, run_to_end, why
from tests.services.deferring import Gate, Waiting, clean, deferred, ended, eventually, gate, result, seen, started
from tradewind import (
    DAG,
    BaseOperator,
    BaseSensorOperator,
    BaseTrigger,
    PokeReturnValue,
    StartTriggerArgs,
    TaskDeferred,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    Trigger,
    TriggerEvent,
    defer,
    get_current_context,
    task,
)
from tradewind.standard.moment_triggers import DateTimeTrigger


@pytest.fixture
def start(start_on_each: StartRuntime) -> StartRuntime:
    clean()
    return start_on_each


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


def waited(event: Any, name: str) -> Any:
    """The event that a function waits for."""
    if event is None:
        defer(Gate(name))
    return event


async def test_every_kind_of_function_defers(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:

        @task.branch
        def choose(event: Any = None) -> str:
            return str(waited(event, "branch"))

        @task
        async def left() -> None: ...

        @task
        async def right() -> None: ...

        @task.short_circuit
        async def go(event: Any = None) -> bool:
            return bool(waited(event, "circuit"))

        @task.sensor(poke_interval=0.001)
        async def there(event: Any = None) -> PokeReturnValue:
            return PokeReturnValue(True, waited(event, "sensor"))

        @task.bash
        def command() -> str:
            return f"echo {waited(get_current_context().get('event'), 'bash')}"

        @task(map_index_template="{{ task.op_kwargs['n'] }}")
        async def each(n: int, event: Any = None) -> Any:
            return waited(event, f"mapped{n}")

        choose() >> [left(), right()]
        go()
        there()
        command()
        each.expand(n=[0, 1])
    runtime = await start(dag)
    run = await started(runtime, "d")
    given = {"branch": "right", "circuit": "yes", "sensor": "found", "bash": "hello", "mapped0": "x", "mapped1": "y"}
    for name, value in given.items():
        gate(name).set_result(value)
    found = await ended(runtime, run)
    assert found.pop("left") == "skipped"
    assert set(found.values()) == {"success"}
    assert [await result(runtime, run, name) for name in ("there", "command")] == ["found", "hello"]


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
    await runtime.control.run_cancel("d", run.dag_run_id)
    await eventually(lambda: seen[4:] == ["kill a", "cleanup a"])


# ------------------------------------------------------------------------------- what goes wrong


class Broken(Trigger):
    """Fails as it is told."""

    how: str = "raises"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.how == "raises":
            raise ValueError("the queue is gone")
        if self.how == "says nothing":
            return
        if self.how == "yields no event":
            yield cast("TriggerEvent", {"rows": 1})
        if self.how == "raises GeneratorExit":
            raise GeneratorExit
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
        ("raises GeneratorExit", "GeneratorExit"),
        ("says nothing", "Broken exited without sending an event"),
        ("yields no event", "it has to yield a TriggerEvent"),
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
