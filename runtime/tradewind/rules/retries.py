"""After what delay a try is followed by another."""

from __future__ import annotations

import math
from typing import Final

from tradewind.model.specs import TaskSpec

LONGEST_BACKOFF: Final = 86_400.0
"""Seconds. With back-off no delay is longer, whatever `max_retry_delay` allows."""

_MOST_DOUBLINGS: Final = 64
"""2**64 s times any delay that matters is over every limit; more would overflow a float."""


def retry_delay(task: TaskSpec, try_number: int, draw: float, asked: float | None = None) -> float:
    """How many seconds to wait after the try `try_number` (from 1) has failed, until the next.

    `asked` are the seconds that the task's retry policy wants: these, at most `max_retry_delay`.

    Without back-off that is `retry_delay`. With `retry_exponential_backoff` it is a whole number of
    seconds between b and 2b - 1, chosen by `draw` (in [0, 1)), where b is `retry_delay` doubled with
    each try, rounded up, at least 1; at most a day, and at most `max_retry_delay`.
    """
    if asked is not None:
        return asked if task.max_retry_delay is None else min(asked, task.max_retry_delay)
    if not task.retry_exponential_backoff:
        return task.retry_delay
    doublings = min(max(try_number, 1) - 1, _MOST_DOUBLINGS)
    base = max(1.0, float(math.ceil(min(task.retry_delay * 2.0**doublings, LONGEST_BACKOFF))))
    delay = min(base + math.floor(draw * base), LONGEST_BACKOFF)
    if task.max_retry_delay is not None:
        delay = min(delay, task.max_retry_delay)
    return delay
