"""Triggers and watchers on the runtime's loop and in async hosts: the same from outside, and what a death costs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import until, why
from tests.services.deferring import deferred, ended, result, started, states
from tests.services.fired import payloads
from tests.services.in_hosts import begun, running
from tests.services.wire import Wire, wired
from tradewind.host import Runtime
from tradewind.model.loop import CoroutineKind, OffenceKind
from tradewind.services import watch_keeper

FLOW = """
from tradewind import (
    DAG, BaseOperator, BaseSensorOperator, PokeReturnValue, StartTriggerArgs, TaskFailedEvent, TaskSkippedEvent,
    TaskSuccessEvent, defer, task)

class Waiting(BaseOperator):
    def __init__(self, *, waits_for, limit=None, **arguments):
        super().__init__(**arguments)
        self.waits_for, self.limit = waits_for, limit
    async def execute(self, context):
        self.defer(trigger=self.waits_for, method_name="go_on", timeout=self.limit)
    async def go_on(self, context, event=None):
        return event

class Broken(Trigger):
    how: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.how == "raises":
            raise ValueError("the queue is gone")
        if self.how == "exits":
            raise SystemExit("enough")
        if self.how == "is-silent":
            return
        if self.how == "awaits-what-is-cancelled":
            nobody = asyncio.get_running_loop().create_future()
            nobody.cancel()
            await nobody
        if self.how == "ends-its-host":
            await answer("run before-the-end")
            os._exit(3)
        if self.how == "blocks":
            time.sleep(0.2)
        yield TriggerEvent(os.getpid() if self.how == "blocks" else object())

class Ending(Trigger):
    kind: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield {"success": TaskSuccessEvent(xcoms={"return_value": "from the trigger"}),
               "failed": TaskFailedEvent(), "skipped": TaskSkippedEvent()}[self.kind]

"""

BASIC = """
class Starts(BaseOperator):
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs("tests.wired", "done", {"name": "s"})
    async def execute(self, context):
        raise AssertionError("it begins with its trigger")
    async def done(self, context, event):
        return event

class Slow(BaseSensorOperator):
    async def poke(self, context):
        return PokeReturnValue(True, os.getpid()) if await answer("run poke") else False

with DAG("d", schedule=None):
    Waiting(task_id="wait", waits_for=Wired("a"))
    Waiting(task_id="late", waits_for=Wired("never"), limit=timedelta(seconds=2))
    Starts(task_id="starts")
    Slow(task_id="sensor", poke_interval=0.01)
    for kind in ("success", "failed", "skipped"):
        Waiting(task_id=kind, waits_for=Ending(kind))
    for how in ("raises", "exits", "is-silent", "awaits-what-is-cancelled", "gives-what-cannot-be-stored"):
        Waiting(task_id=how, waits_for=Broken(how))
"""

ONE = """
with DAG("d", schedule=None):
    for name in ("a", "b"):
        Waiting(task_id=name, waits_for=Wired(name))
"""

DEADLY = """
with DAG("d", schedule=None):
    Waiting(task_id="deadly", waits_for=Broken("ends-its-host"))
    Waiting(task_id="a", waits_for=Wired("a"))
"""

BLOCKS = """
with DAG("blocks", schedule=None, is_paused_upon_creation=False):
    Waiting(task_id="wait", waits_for=Broken("blocks"))
"""


@asynccontextmanager
async def carrying(folder: Path, text: str, isolation: str) -> AsyncGenerator[tuple[Runtime, Wire]]:
    async with wired() as (wire, far_end), running(folder, far_end + FLOW + text, isolation) as runtime:
        yield runtime, wire


def is_elsewhere(pid: int) -> bool:
    return pid != os.getpid()


BOTH = pytest.mark.parametrize("isolation", ["loop", "host"])


@BOTH
async def test_waits_of_every_kind(tmp_path: Path, isolation: str) -> None:
    """They go on, end their task, fail with what their trigger did wrong, and take too long: alike in both places."""
    async with carrying(tmp_path, BASIC, isolation) as (runtime, wire):
        run = await started(runtime, "d")
        await wire.until("run a", "run s", "run never", "run poke")
        wire.give("poke", "false")
        await wire.until("run poke", "run poke")
        await deferred(runtime, run, "wait", "starts", "sensor")
        wire.give("a", '{"n": 1}')
        wire.give("s", '"now"')
        wire.give("poke", "true")
        found = await ended(runtime, run)
        assert {name for name, state in found.items() if state == "success"} == {"wait", "starts", "sensor", "success"}
        assert {name for name, state in found.items() if state == "skipped"} == {"skipped"}
        assert [await result(runtime, run, name) for name in ("wait", "starts", "success")] == [
            {"n": 1},
            "now",
            "from the trigger",
        ]
        said = {
            "raises": "ValueError: the queue is gone",
            "exits": "SystemExit: enough",
            "is-silent": "Trigger flow.Broken exited without sending an event",
            "awaits-what-is-cancelled": "CancelledError",
            "gives-what-cannot-be-stored": "cannot be stored",
            "late": "TaskDeferralTimeout: Trigger timeout",
        }
        for task_id, words in said.items():
            assert found[task_id] == "failed"
            assert words in await why(runtime, run, task_id)
        await wire.until("cleanup a", "kill never", "cleanup never")
        assert wire.of("a") == ["run", "ack", "cleanup"]
        assert wire.of("never") == ["run", "kill", "cleanup"]
        assert is_elsewhere(wire.pids["run a"]) == (isolation == "host")
        assert is_elsewhere(await result(runtime, run, "sensor")) == (isolation == "host")


@BOTH
async def test_a_task_that_is_cleared_while_it_waits(tmp_path: Path, isolation: str) -> None:
    """Its trigger is told to go, and is gone when the next one begins; so it is when its run is ended."""
    async with carrying(tmp_path, ONE, isolation) as (runtime, wire):
        run = await started(runtime, "d")
        await wire.until("run a", "run b")
        await runtime.control.instances_clear("d", run.dag_run_id, ["a"])
        await wire.until("run a", "run a")
        assert wire.of("a") == ["run", "kill", "cleanup", "run"]
        await runtime.control.run_cancel("d", run.dag_run_id)
        await wire.until("cleanup a", "cleanup a", "cleanup b")
        assert wire.of("a")[4:] == ["kill", "cleanup"]
        assert wire.of("b") == ["run", "kill", "cleanup"]


async def test_kill_of_a_host_loses_no_wait(tmp_path: Path) -> None:
    """They are begun again in another one; what is told to go meanwhile is killed there."""
    async with carrying(tmp_path, ONE, "host") as (runtime, wire):
        run = await started(runtime, "d")
        await wire.until("run a", "run b")
        first = wire.pids["run a"]
        os.kill(first, signal.SIGKILL)
        await wire.until(*["run a", "run b"] * 2)
        assert wire.pids["run a"] not in (first, os.getpid())
        wire.give("a", "1")
        await wire.until("cleanup a")
        assert wire.of("a") == ["run", "run", "ack", "cleanup"]
        second = wire.pids["run b"]
        os.kill(second, signal.SIGSTOP)
        await runtime.control.run_cancel("d", run.dag_run_id)

        async def has_ended() -> bool:
            return (await states(runtime, run))["b"] != "deferred"

        os.kill(second, signal.SIGKILL)
        await wire.until("kill b", "cleanup b")
        await until(runtime, has_ended)
        assert wire.of("b") == ["run", "run", "kill", "cleanup"]
        assert wire.pids["kill b"] != second
        assert await result(runtime, run, "a") == 1


async def test_a_trigger_that_ends_its_host_fails_and_hurts_no_other(tmp_path: Path) -> None:
    async with carrying(tmp_path, DEADLY, "host") as (runtime, wire):
        run = await started(runtime, "d")
        await wire.until("run a", "run before-the-end")
        wire.give("before-the-end", "1")
        await wire.until("run a", "run a")
        wire.give("a", '"alive"')
        assert await ended(runtime, run) == {"deadly": "failed", "a": "success"}
        reason = await why(runtime, run, "deadly")
        assert "The trigger has ended the process that carried it" in reason
        assert "exit code 3 while trigger deadly of DAG d held its loop" in reason
        report = runtime.control.loop_report()
        assert report.isolated == (CoroutineKind("d", "deadly", "trigger"),)
        assert [one.offence for one in report.offences] == [OffenceKind.ENDED_ITS_HOST]


@pytest.mark.blocks_the_loop
@BOTH
async def test_the_third_offence_of_a_trigger_sends_new_ones_away(
    tmp_path: Path, isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with carrying(tmp_path, BLOCKS, isolation) as (runtime, _):
        places: list[Any] = []
        for count in range(1, 5):
            run = await begun(runtime, "blocks")
            await runtime.control.run_wait(run.run_id, 60)
            places.append(await result(runtime, run, "wait"))

            async def is_told(count: int = count) -> bool:
                return len(runtime.control.loop_report().offences) >= count

            await until(runtime, is_told)
        kind = CoroutineKind("blocks", "wait", "trigger")
        assert places[0] == places[1] == places[2] != places[3]
        assert is_elsewhere(places[0]) == (isolation == "host")
        assert is_elsewhere(places[3])
        report = runtime.control.loop_report()
        assert report.isolated == (kind,)
        assert [facts.own_kind for facts in report.hosts if facts.pid == places[3]] == [kind]
        assert [r.levelname for r in caplog.records if "in an async host of its own" in r.getMessage()] == ["WARNING"]


WATCHES = """
from tradewind import DAG, Asset, BaseEventTrigger, task
from tradewind.authoring.assets import AssetWatcher

@trigger(kind="tests.watched")
class Watched(Trigger, BaseEventTrigger):
    how: str = ""
    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            key, payload = await answer("run watch")
            if self.how == "blocks":
                time.sleep(0.2)
            if payload == "unfit":
                payload = object()
            yield TriggerEvent(payload, key=key, ack=functools.partial(say, f"ack {key}"))
            if payload == "last":
                raise ValueError("broken")
    async def cleanup(self) -> None:
        await say("cleanup watch")

with DAG("ship", schedule=[Asset("orders", watchers=[AssetWatcher("w", Watched(HOW))])], catchup=False):
    @task
    async def look(): ...
    look()
"""


async def failures(runtime: Runtime, count: int) -> str:
    async with asyncio.timeout(60):
        while (facts := runtime.control.watches()[0]).failures < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    return str(facts.last_error)


@BOTH
async def test_watchers(tmp_path: Path, isolation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed, then acknowledged; begun again after a failure; let go with the runtime."""
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)
    async with wired() as (wire, far_end):
        async with running(tmp_path, far_end + WATCHES.replace("HOW", '""'), isolation) as runtime:
            for n, (key, payload) in enumerate([("a", "1"), ("b", '"last"'), ("c", '"unfit"'), ("a", "1")], 1):
                await wire.until(*["run watch"] * n)
                wire.give("watch", f'["{key}", {payload}]')
                if payload == '"unfit"':
                    assert "has to be JSON" in await failures(runtime, 2)
                else:
                    await wire.until(f"ack {key}")
            await wire.until("ack a", "ack a", *["run watch"] * 5)
            assert await payloads(runtime) == [1, "last"]
            assert "ack c" not in wire.said
            assert is_elsewhere(wire.pids["run watch"]) == (isolation == "host")
        await wire.until(*["cleanup watch"] * 3)


async def test_kill_of_a_host_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was committed and not acknowledged comes again, and is there once."""
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)
    text = WATCHES.replace("HOW", '""')
    async with wired() as (wire, far_end), running(tmp_path, far_end + text, "host") as runtime:
        await wire.until("run watch")
        first = wire.pids["run watch"]
        store: Any = runtime.services.watches
        commit = store.watch_fired

        async def kills(*args: Any) -> None:
            await commit(*args)
            os.kill(first, signal.SIGKILL)

        monkeypatch.setattr(store, "watch_fired", kills)
        wire.give("watch", '["a", 1]')
        await wire.until("run watch", "run watch")
        monkeypatch.undo()
        assert "signal 9" in str(runtime.control.watches()[0].last_error)
        assert "ack a" not in wire.said
        wire.give("watch", '["a", 1]')
        await wire.until("ack a")
        assert await payloads(runtime) == [1]
        assert wire.pids["run watch"] != first


@pytest.mark.blocks_the_loop
async def test_a_watcher_that_blocks_again_and_again_is_moved(tmp_path: Path) -> None:
    text = WATCHES.replace("HOW", '"blocks"')
    async with wired() as (wire, far_end), running(tmp_path, far_end + text, "loop") as runtime:
        for n in range(1, 4):
            await wire.until(*["run watch"] * n)
            assert not is_elsewhere(wire.pids["run watch"])
            wire.give("watch", f'["{n}", {n}]')
            await wire.until(f"ack {n}")
        async with asyncio.timeout(60):
            while not is_elsewhere(wire.pids["run watch"]):
                await wire.until(*["run watch"] * (wire.said.count("run watch") + 1))
        wire.give("watch", '["4", 4]')
        await wire.until("ack 4")
        assert await payloads(runtime) == [1, 2, 3, 4]
        assert runtime.control.watches()[0].failures == 0
