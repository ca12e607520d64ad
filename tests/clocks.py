"""A clock for runtimes in tests that depend on the time of day."""

from __future__ import annotations

from datetime import datetime, timedelta

from tradewind.services.clock import SystemClock


class ClockFrom(SystemClock):
    """Starts at a moment that the test has chosen, and goes on as time does."""

    def __init__(self, begin: datetime) -> None:
        super().__init__()
        self._begin = begin
        self._made = self.monotonic()

    def now(self) -> datetime:
        """The wall clock, aware, in the zone of the beginning."""
        return self._begin + timedelta(seconds=self.monotonic() - self._made)
