"""Deferral as an attempt does it: from what was raised to what the instance waits for, and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from tradewind.authoring.deferral import TaskDeferred, resumed_call, wait_of
from tradewind.authoring.durable import Suspended
from tradewind.authoring.pace import current_pace
from tradewind.model.errors import AuthoringError, TaskTimeout
from tradewind.model.moments import moment_after
from tradewind.model.outcomes import Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker.endings import AttemptCancelled, outcome_of_error
from tradewind.worker.steps import Work

LEFT_BEHIND_AFTER: Final = 5.0
"""Seconds that a coroutine has to end after its cancellation."""
_LATE_TASK: Final = 30.0
"""Seconds for a task whose wait took too long: it is executed up to there, so that it can undo what it began."""


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
    return None if limit is None else moment_after(work.attempt.first_started_at, limit)


def time_left(work: Work, *, has_waited: bool = False) -> float | None:
    """Seconds that are left of `execution_timeout`; None where there is none. Raises TaskTimeout."""
    limit = work.attempt.task.execution_timeout
    if limit is None or not (has_waited or work.attempt.resume is not None):
        return limit
    gone = (current_pace.get().now() - work.attempt.first_started_at).total_seconds()
    if gone >= limit:
        resume = work.attempt.resume
        if work.operator.durable and resume is not None and any(answer.timed_out for _, answer in resume.answers):
            return _LATE_TASK  # the wait that took too long says so in the task, after what it gave to on_cancel
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


async def durably(work: Work, body: Awaitable[Any]) -> Any:
    """Awaits the body of a durable task as long as anything of it runs. When all of it waits, it is cancelled where it
    stands and what it waits for is raised as Suspended; where the task is being ended, AttemptCancelled is.
    """
    durable = work.context.durable
    task = asyncio.ensure_future(ending_of(body))
    halted = asyncio.ensure_future(durable.halted.wait())
    try:
        await asyncio.wait({task, halted}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            durable.suspending = True
            task.cancel()
            await asyncio.wait({task}, timeout=LEFT_BEHIND_AFTER)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    finally:
        halted.cancel()
    if durable.suspending and (not task.done() or _was_cancelled(task)):
        resume = work.attempt.resume
        if resume is not None and resume.undoes:
            raise AttemptCancelled("the task was ended while it waited")
        raise Suspended(*durable.waits())
    value, error = task.result()
    if error is not None:
        raise error
    if durable.suspending:
        whose = f"task {work.attempt.key.task_id!r} of DAG {work.attempt.run.dag_id!r}"
        raise AuthoringError(
            f"{whose} has swallowed the CancelledError that takes it off the loop while it waits: "
            "`except BaseException`, or a bare `except`, around a wait has to raise it on"
        )
    return value


def _was_cancelled(task: asyncio.Future[tuple[Any, BaseException | None]]) -> bool:
    return task.cancelled() or isinstance(task.result()[1], asyncio.CancelledError)


async def ending_of(body: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """What it returned or raised: a task that raised SystemExit would end the loop."""
    try:
        return await body, None
    except BaseException as error:
        return None, error
