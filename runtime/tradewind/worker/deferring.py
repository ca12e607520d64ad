"""Deferral as an attempt does it: from what was raised to what the instance waits for, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tradewind.authoring.deferral import TaskDeferred, resumed_call, wait_of
from tradewind.authoring.pace import current_pace
from tradewind.model.errors import TaskTimeout
from tradewind.model.outcomes import Outcome, Wait
from tradewind.model.states import OutcomeKind
from tradewind.worker.endings import outcome_of_error
from tradewind.worker.steps import Work


class Suspended(BaseException):
    """Raised where code of ours gives the slot back. Not an Exception: `except Exception` lets it by."""

    def __init__(self, *waits: Wait) -> None:
        super().__init__(*waits)
        self.waits = waits


def outcome_of_raised(work: Work | None, error: BaseException) -> Outcome:
    """What an exception that left user code means, deferral included."""
    if isinstance(error, Suspended):
        return Outcome(OutcomeKind.DEFERRED, waits=error.waits)
    if work is None or not isinstance(error, TaskDeferred):
        return outcome_of_error(error)
    try:
        wait = wait_of(error, now=current_pace.get().now(), until=_until(work), operator=work.operator)
    except Exception as wrong:
        return outcome_of_error(wrong)
    return Outcome(OutcomeKind.DEFERRED, waits=(wait,))


def _until(work: Work) -> datetime | None:
    """When the try has taken as long as it may: waiting counts."""
    limit = work.attempt.task.execution_timeout
    return None if limit is None else work.attempt.first_started_at + timedelta(seconds=limit)


def time_left(work: Work, *, has_waited: bool = False) -> float | None:
    """Seconds that are left of `execution_timeout`; None where there is none. Raises TaskTimeout."""
    limit = work.attempt.task.execution_timeout
    if limit is None or not (has_waited or work.attempt.resume is not None):
        return limit
    gone = (current_pace.get().now() - work.attempt.first_started_at).total_seconds()
    if gone >= limit:
        raise TaskTimeout(f"execution_timeout of {limit:g} s has passed while the task was deferred")
    return limit - gone


def call_of(work: Work) -> Callable[[Any], Any]:
    """What the attempt calls with its context: `execute`, or the method that goes on after a wait."""
    resume = work.attempt.resume
    operator = work.operator
    if resume is None or not resume.method:
        return operator.execute

    method, arguments = resumed_call(resume)
    return lambda context: operator.resume_execution(method, arguments, context)
