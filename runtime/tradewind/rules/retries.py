"""Whether a try is followed by another, and after what delay."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from tradewind.model.specs import TaskSpec
from tradewind.model.states import OutcomeKind, TaskState

LONGEST_BACKOFF: Final = 86_400.0
"""Seconds. With back-off no delay is longer, whatever `max_retry_delay` allows."""

_MOST_DOUBLINGS: Final = 64
"""2**64 s times any delay that matters is over every limit; more would overflow a float."""

_STATE_AFTER: Final = {
    OutcomeKind.SUCCESS: TaskState.SUCCESS,
    OutcomeKind.SKIPPED: TaskState.SKIPPED,
    OutcomeKind.RESCHEDULED: TaskState.UP_FOR_RESCHEDULE,
    OutcomeKind.DEFERRED: TaskState.DEFERRED,
    OutcomeKind.FAILED_FOR_GOOD: TaskState.FAILED,
}


def retry_delay(task: TaskSpec, try_number: int, draw: float, asked: float | None = None) -> timedelta:
    """How long to wait after the try `try_number` (from 1) has failed, until the next.

    `asked` are the seconds that the task's retry policy wants: these, at most `max_retry_delay`.

    Without back-off that is `retry_delay`. With `retry_exponential_backoff` it is a whole number of
    seconds between b and 2b - 1, chosen by `draw` (in [0, 1)), where b is `retry_delay` doubled with
    each try, rounded up, at least 1; at most a day, and at most `max_retry_delay`.
    """
    if asked is not None:
        return timedelta(seconds=asked if task.max_retry_delay is None else min(asked, task.max_retry_delay))
    if not task.retry_exponential_backoff:
        return timedelta(seconds=task.retry_delay)
    doublings = min(max(try_number, 1) - 1, _MOST_DOUBLINGS)
    base = max(1.0, float(math.ceil(min(task.retry_delay * 2.0**doublings, LONGEST_BACKOFF))))
    delay = min(base + math.floor(draw * base), LONGEST_BACKOFF)
    if task.max_retry_delay is not None:
        delay = min(delay, task.max_retry_delay)
    return timedelta(seconds=delay)


def state_after(kind: OutcomeKind, try_number: int, max_tries: int) -> TaskState:
    """The state of a task instance after a try that ended as `kind`.

    `max_tries` is the instance's own: the number of the last try that may be followed by another
    (its `retries`, more once it was cleared). A lost try is queued again; it counts for nothing.
    """
    fixed = _STATE_AFTER.get(kind)
    if fixed is not None:
        return fixed
    if kind is OutcomeKind.LOST:
        return TaskState.QUEUED
    if kind is OutcomeKind.CANCELLED:
        return TaskState.FAILED
    return TaskState.UP_FOR_RETRY if try_number <= max_tries else TaskState.FAILED
