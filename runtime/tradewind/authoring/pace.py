"""The time that waiting tasks live in: the machine's own, or, in trial runs, one that skips the waiting.

Sensors ask here for the time and wait here. What sets another pace sets `current_pace` around all that it starts.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final


class Pace:
    """Time as it passes."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def rest(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Waits in this thread. True where `stop` was set meanwhile."""
        if stop is not None:
            return stop.wait(seconds)
        time.sleep(seconds)
        return False


current_pace: Final[ContextVar[Pace]] = ContextVar("tradewind_pace", default=Pace())  # noqa: B039 - has no state


def now() -> datetime:
    """The wall clock of the current pace, aware, in UTC."""
    return current_pace.get().now()
