"""Waits with a known end: one heap, one loop timer for the earliest, no coroutine per wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from tradewind.ports import Clock

T = TypeVar("T")

LONGEST_SLEEP: Final = 3600.0
"""Seconds after which the wall clock is looked at again, should it have been set."""


class Timers(Generic[T]):
    """Calls `on_due(moment, item)` on the loop once the wall clock has reached the moment."""

    def __init__(self, clock: Clock, on_due: Callable[[datetime, T], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._heap: list[tuple[datetime, int, T]] = []
        self._count = 0
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for: datetime | None = None

    def arm(self, at: datetime, item: T) -> None:
        """Waits for `at`. A moment in the past is due in the next turn of the loop."""
        self._count += 1
        heappush(self._heap, (at, self._count, item))
        if self._armed_for is None or at < self._armed_for:
            self._schedule()

    def stop(self) -> None:
        """Forgets all waits."""
        self._heap.clear()
        self._armed_for = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap:
            self._armed_for = None
            return
        self._armed_for = self._heap[0][0]
        seconds = (self._armed_for - self._clock.now()).total_seconds()
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(min(max(seconds, 0.0), LONGEST_SLEEP), self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, _, item = heappop(self._heap)
            self._on_due(at, item)
        self._schedule()
