"""Virtual time: event loops whose clock jumps to the next deadline when nothing is ready.

A test that waits an hour takes no time and always comes out the same. Several loops on one
`VirtualTime` are several processes on one clock: `VirtualTime.pass_by` runs them in turn until
none has anything to do, then moves the clock to the earliest deadline of any of them. A loop that
is left out of the turn is a process that hangs; one that is never run again, a process that was killed.

::

    time = VirtualTime()
    loop = time.new_loop()
    task = loop.create_task(something_slow())
    time.pass_by([loop], 3600)
    assert task.done()

What would be given to a thread runs at once. There are no sockets and no child processes: what waits for the
outside would wait for ever.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple, Unpack

from tradewind.model.keys import AttemptId, RunId, run_id_of

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock when virtual time is 0."""

_DUE: Final = max(time.get_clock_info("monotonic").resolution, 1e-12)
"""A loop runs timers that are due within so many seconds now, and does not wait for them."""

_NEVER: Final = float("inf")
_TURNS_MAX: Final = 2_000
_ITERATIONS_MAX: Final = 2_000


class EndlessActivity(Exception):
    """The loops never come to rest although time stands still: something spins."""


class VirtualTime:
    """Seconds since `EPOCH` for any number of loops."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """The wall clock."""
        return EPOCH + timedelta(seconds=self.seconds)

    def new_loop(self) -> VirtualLoop:
        """A loop on this time. Close it after use."""
        return VirtualLoop(self)

    def pass_by(self, loops: Sequence[VirtualLoop], seconds: float, at_rest: Callable[[], None] | None = None) -> None:
        """Runs the loops for so many seconds; `at_rest` is called whenever none has anything to do, before
        the clock moves. With 0 seconds: until all are at rest. Raises EndlessActivity.
        """
        end = self.seconds + seconds
        while True:
            self._run_ready(loops)
            if at_rest is not None:
                at_rest()
            upcoming = min((loop.next_deadline for loop in loops), default=_NEVER)
            if upcoming > end:
                self.seconds = max(end, self.seconds)
                return
            self.seconds = max(upcoming, self.seconds)

    def _run_ready(self, loops: Sequence[VirtualLoop]) -> None:
        for _ in range(_TURNS_MAX):
            had_work = [loop.run_ready() for loop in loops]  # each loop gets its turn, whatever the others say
            if not any(had_work):
                return
        raise EndlessActivity(f"{_TURNS_MAX} turns at {self.now()} and no end")


class _NoInput(selectors.SelectSelector):
    """Never waits: tells the loop's owner until when it would have waited, and hands control back."""

    def __init__(self) -> None:
        super().__init__()
        self.iterations = 0
        self._rested_at = 0
        self.rest: Callable[[float | None], None] = lambda timeout: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing ever comes from outside."""
        if timeout is not None and timeout < _DUE:
            self.iterations += 1
            if self.iterations > self._rested_at + _ITERATIONS_MAX:
                raise EndlessActivity(f"{_ITERATIONS_MAX} iterations of a loop and no end")
        else:
            self._rested_at = self.iterations
            self.rest(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. Made by `VirtualTime.new_loop`."""

    def __init__(self, time: VirtualTime) -> None:
        self._virtual_time = time
        self._no_input = _NoInput()
        super().__init__(self._no_input)
        self._no_input.rest = self._rest
        self.next_deadline = _NEVER
        """The moment (virtual seconds) of its earliest timer, as of the last `run_ready`."""

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual_time.seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Runs the function here and now: there are no threads in virtual time."""
        done: asyncio.Future[_T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def run_ready(self) -> bool:
        """Runs what is ready, without letting time pass. Whether there was anything."""
        before = self._no_input.iterations
        self.run_forever()
        return self._no_input.iterations > before

    def _rest(self, timeout: float | None) -> None:
        self.next_deadline = _NEVER if timeout is None else self.time() + timeout
        self.stop()


class VirtualClock:
    """`ports.Clock` on virtual time, its chance and identities from a seed."""

    def __init__(self, time: VirtualTime, seed: int | str = 0) -> None:
        self._time = time
        self._random = random.Random(seed)  # noqa: S311  the same again for the same seed
        self._last_run_id = RunId(0)

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return self._time.now()

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._time.seconds

    def draw(self) -> float:
        """A random number in [0, 1)."""
        return self._random.random()

    def attempt_id(self) -> AttemptId:
        """16 bytes that the seed chooses."""
        return AttemptId(self._random.randbytes(16))

    def run_id(self) -> RunId:
        """A new run id, greater than every one before."""
        ms = int(self._time.now().timestamp() * 1000)
        self._last_run_id = RunId(max(run_id_of(ms, self._random.getrandbits(22)), self._last_run_id + 1))
        return self._last_run_id
