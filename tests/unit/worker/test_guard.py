"""No step that holds the loop is missed, whenever the watching thread gets its turns."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tradewind.model.loop import CoroutineKind
from tradewind.worker.guard import Blocked, LoopGuard, Owner

pytestmark = pytest.mark.blocks_the_loop


class Watch(LoopGuard):
    """A guard whose thread begins its work when `may_watch` is set, and then says what it was told."""

    def __init__(self) -> None:
        super().__init__(self._told, warn_after=0.05, kill_after=60.0)
        self.may_watch = threading.Event()
        self.reports: asyncio.Queue[Blocked] = asyncio.Queue()

    def _told(self, blocked: Blocked) -> None:
        self.reports.put_nowait(blocked)

    def _watch(self) -> None:
        self.may_watch.wait()
        super()._watch()

    async def report_of(self, owner: Owner) -> Blocked:
        async with asyncio.timeout(60):
            while (report := await self.reports.get()).owner is not owner:
                pass
        return report


async def test_the_first_step_may_come_before_the_thread_has_begun() -> None:
    guard = Watch()
    await guard.start()

    async def holds() -> int:
        guard.may_watch.set()
        return sum(range(20_000_000))  # in C: no other thread gets a turn

    owner = Owner(CoroutineKind("d", "t"))
    try:
        await asyncio.create_task(guard.wrap(holds(), owner))
        assert (await guard.report_of(owner)).function == "holds"
    finally:
        guard.may_watch.set()
        await guard.stop()


async def test_a_step_that_begins_while_the_thread_goes_to_sleep_keeps_it_awake() -> None:
    class Drowsy(Watch):
        """Goes to sleep when a step has begun that it did not see begin."""

        def __init__(self) -> None:
            super().__init__()
            self.drowsy = threading.Event()
            self.begun = threading.Event()

        def _sleep_until_needed(self, seen: float) -> None:
            if seen > 0.0:
                self.drowsy.set()
                self.begun.wait()
            super()._sleep_until_needed(seen)

    guard = Drowsy()
    guard.may_watch.set()
    await guard.start()

    async def steps() -> None:
        pass

    async def blocks() -> None:
        guard.begun.set()
        threading.Event().wait(2.0)

    owner = Owner(CoroutineKind("d", "t"))
    try:
        await asyncio.create_task(guard.wrap(steps(), owner))
        async with asyncio.timeout(60):
            await asyncio.to_thread(guard.drowsy.wait)
        blocker = Owner(CoroutineKind("d", "blocks"))
        await asyncio.create_task(guard.wrap(blocks(), blocker))
        assert "blocks" in (await guard.report_of(blocker)).stack
    finally:
        guard.begun.set()
        await guard.stop()
