"""Watched coroutines behave as if nobody watched, and what they start is known."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator

import pytest

from tradewind.model.loop import CoroutineKind, LoopOffence, OffenceKind
from tradewind.worker.guard import (
    LoopGuard,
    Owner,
    RunDelay,
    UserExit,
    current_owner,
    stack_in_dump,
    stack_of_main_thread,
)
from tradewind.worker.loop_tally import KINDS_MAX, LoopTally
from tradewind.worker.loop_watch import LoopWatch, watch_of_running_loop

KIND = CoroutineKind("d", "t")


class Watched:
    def __init__(self) -> None:
        self.offences: list[LoopOffence] = []
        self.watch = LoopWatch(self._told)
        self.owner = Owner(KIND)

    def _told(self, offence: LoopOffence, owner: Owner) -> None:
        assert owner is self.owner
        self.offences.append(offence)

    def start(self, coroutine: object) -> asyncio.Task[object]:
        assert asyncio.iscoroutine(coroutine)
        self.owner = self.watch.begin(KIND)
        return self.watch.start_task(coroutine, self.owner, contextvars.copy_context())


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    await made.watch.start()
    assert watch_of_running_loop() is made.watch
    yield made
    await made.watch.stop()
    assert watch_of_running_loop() is None


async def test_results_errors_and_names(watched: Watched) -> None:
    async def named() -> str:
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        return str(getattr(task.get_coro(), "__qualname__", ""))

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    assert str(await watched.start(named())).endswith("named")
    with pytest.raises(ValueError, match="no"):
        await watched.start(fails())
    assert watched.owner.seconds > 0


async def test_exits_become_errors(watched: Watched) -> None:
    async def leaves() -> None:
        await asyncio.sleep(0)
        raise SystemExit(3)

    with pytest.raises(UserExit):
        await watched.start(leaves())


async def test_cancelling(watched: Watched) -> None:
    said: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            said.append("cancelled")
            await asyncio.sleep(0)
            said.append("cleaned up")
            raise

    task = watched.start(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said == ["cancelled", "cleaned up"]


async def test_cancelled_before_its_first_step(watched: Watched) -> None:
    """Without a complaint that it was never awaited."""

    async def never() -> None:
        raise AssertionError("it was begun")

    task = watched.start(never())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    guard = LoopGuard(lambda _: None)
    unused = guard.wrap(never(), watched.owner)
    del unused, task
    gc.collect()


async def test_errors_thrown_in_are_caught_inside(watched: Watched) -> None:
    async def swallows() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"
        return ""

    task = watched.start(swallows())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "swallowed"


async def test_what_it_starts_is_its_own(watched: Watched) -> None:
    inner: list[Owner | None] = []

    async def child() -> None:
        inner.append(current_owner.get())

    async def parent() -> None:
        for _ in range(10):
            await asyncio.gather(*(child() for _ in range(10)))
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    task = watched.start(parent())
    owner = watched.owner
    await task
    assert inner == [owner] * 101
    assert len(owner.tasks) < 50, "those that have ended are let go"
    assert owner.left_behind() == []
    assert current_owner.get() is None


async def test_leftovers_are_cancelled_and_named(watched: Watched) -> None:
    ended: list[str] = []

    async def polls() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("polls")

    started: list[asyncio.Task[None]] = []  # a loop holds its tasks weakly

    async def leaks() -> None:
        loop = asyncio.get_running_loop()
        started.append(loop.create_task(polls(), name="on purpose", context=contextvars.Context()))
        started.append(loop.create_task(polls(), name="poller"))
        await asyncio.sleep(0)

    await watched.start(leaks())
    names = await watched.watch.end_leftovers(watched.owner)
    assert [name.partition(" ")[0] for name in names] == ["poller"]
    assert ended == ["polls"]
    [offence] = watched.offences
    assert (offence.offence, offence.kind, offence.tasks) == (OffenceKind.LEAKED, KIND, tuple(names))
    assert not started[0].done()
    started[0].cancel()
    assert await watched.watch.end_leftovers(watched.owner) == []


def test_sums_are_bounded_and_add_up() -> None:
    tally = LoopTally("loop")
    for n in range(KINDS_MAX + 10):
        owner = Owner(CoroutineKind("d", f"t{n % (KINDS_MAX + 5)}"))
        tally.began(owner)
        tally.ended(owner, 0.5)
    running = Owner(CoroutineKind("d", f"t{KINDS_MAX}"))
    running.seconds = 2.0
    tally.began(running)
    uses = tally.uses()
    assert len(uses) == KINDS_MAX
    assert uses[0][:4] == (running.kind, "loop", 2, 1)
    assert uses[0].loop_seconds == 2.5
    assert tally.dropped == 10


DUMP = """Thread 0x0000000000000002 (most recent call first):
  File "/lib/threading.py", line 331 in wait

Thread 0x0000000000000001 (most recent call first):
  File "/dags/a.py", line 7 in holds
  File "/x/tradewind/worker/guard.py", line 120 in _stepping
"""


def test_stacks_in_dumps() -> None:
    found = stack_in_dump(DUMP, 1)
    assert found is not None
    assert found[:3] == ("/dags/a.py", 7, "holds")
    assert stack_in_dump(DUMP, 2) is None, "no guarded step"
    main = stack_of_main_thread(DUMP)
    assert main is not None
    assert main[:3] == ("/dags/a.py", 7, "holds")
    assert stack_of_main_thread("") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_thread_that_gets_no_processor_is_not_to_blame() -> None:
    delay = RunDelay(threading.get_native_id())
    delay.restart()
    assert delay.since() >= 0.0
    crowd = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        assert delay.since() > 0.0
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    assert RunDelay(None).restart() == 0.0
