"""Trial runs that wait for nothing: an event loop that skips to its next timer when nothing else is to be done.

Code runs as long as it takes, in coroutines, threads and child processes; only when all of it rests, the
time until the earliest timer is left out. So a sensor that asks every hour asks again at once, and one that
waits for another task's work still sees it done first.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple, Unpack

from tradewind.authoring.pace import Pace
from tradewind.services.clock import SystemClock

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_LOOK_EVERY: Final = 0.2
"""Seconds after which a resting thread looks whether it is to stop."""


class SkippingLoop(asyncio.SelectorEventLoop):
    """Its time is the machine's plus what has been skipped."""

    def __init__(self) -> None:
        self.skipped = 0.0
        """Seconds left out so far."""
        self.busy = 0
        """Calls in threads that do not rest."""
        super().__init__(_Skipping(self))

    def time(self) -> float:
        """Seconds; what is skipped counts."""
        return super().time() + self.skipped

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """As usual; until the call has ended no time is skipped."""
        self.busy += 1
        done = super().run_in_executor(executor, func, *args)
        done.add_done_callback(self._ended)
        return done

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As usual: threads get `timeout` seconds (None, and before Python 3.12: any time); none of them is skipped."""
        self.busy += 1
        try:
            if sys.version_info >= (3, 12):
                await super().shutdown_default_executor(timeout)
            else:
                await super().shutdown_default_executor()
        finally:
            self.busy -= 1

    def _ended(self, _: object) -> None:
        self.busy -= 1


class _Skipping(selectors.DefaultSelector):
    """Where the loop would wait for nothing but a timer, that time has passed."""

    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As usual while threads work or sockets and pipes are open (one is the loop's own)."""
        if timeout is None or timeout <= 0 or self._loop.busy or len(self.get_map()) > 1:
            return super().select(timeout)
        ready = super().select(0)
        if not ready and not self._loop.busy:
            self._loop.skipped += timeout
        return ready


class SkippingClock(SystemClock):
    """`ports.Clock` on the time of such a loop."""

    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return super().now() + timedelta(seconds=self._loop.skipped)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return super().monotonic() + self._loop.skipped


class SkippingPace(Pace):
    """What tasks on such a loop, and in its threads, wait by."""

    def __init__(self, loop: SkippingLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return super().now() + timedelta(seconds=self._loop.skipped)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return super().monotonic() + self._loop.skipped

    def rest(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Waits in this thread by the loop's time. True where `stop` was set meanwhile."""
        pause = _Rest(self._loop, seconds)
        self._loop.call_soon_threadsafe(pause.begin)
        while not pause.over.wait(_LOOK_EVERY):
            if stop is not None and stop.is_set():
                self._loop.call_soon_threadsafe(pause.end)
                return True
        return False


class _Rest:
    """One thread's wait, as the loop sees it."""

    def __init__(self, loop: SkippingLoop, seconds: float) -> None:
        self.over = threading.Event()
        self._loop = loop
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The thread rests from now on."""
        self._loop.busy -= 1
        self._timer = self._loop.call_later(self._seconds, self.end)

    def end(self) -> None:
        """The thread works again. Twice is allowed."""
        if self._timer is not None and not self.over.is_set():
            self._timer.cancel()
            self._loop.busy += 1
            self.over.set()
