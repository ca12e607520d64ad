"""The clock of a real runtime: wall time, loop time, chance and identities."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime

from tradewind.model.keys import EPOCH_MS, AttemptId, RunId, run_id_of


class SystemClock:
    """`ports.Clock` over the machine's own clocks and randomness."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311  spreads retries, protects nothing
        self._last_run_id = RunId(0)

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def draw(self) -> float:
        """A random number in [0, 1)."""
        return self._random.random()

    def attempt_id(self) -> AttemptId:
        """16 random bytes."""
        return AttemptId(os.urandom(16))

    def run_id(self) -> RunId:
        """A new run id, greater than every one before, even if the wall clock went back."""
        ms = max(time.time_ns() // 1_000_000, EPOCH_MS)
        fresh = run_id_of(ms, self._random.getrandbits(22))
        self._last_run_id = RunId(max(fresh, self._last_run_id + 1))
        return self._last_run_id
