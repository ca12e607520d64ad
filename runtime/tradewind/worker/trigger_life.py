"""One wait from its begin to its end: the trigger, or the sensor between its pokes, as a coroutine on the running loop.

It ends with its first event, an error, or by being cancelled. `cleanup` is awaited in each case, `on_kill` where it is
cancelled because its task was ended. What a trigger does wrong stays with its task: it is resumed with the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor as Threads
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tradewind.authoring.access import BlockingServices, CurrentAttempt, TaskServices, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.deferral import load_trigger, trigger_of
from tradewind.authoring.stored_values import packed
from tradewind.authoring.trigger_kinds import path_of
from tradewind.authoring.triggers import BaseTaskEndEvent, BaseTrigger, TriggerEvent
from tradewind.authoring.xcom import encode
from tradewind.model.attempts import Attempt, RunFacts, WaitStart
from tradewind.model.errors import AuthoringError
from tradewind.model.outcomes import Outcome, XComPut
from tradewind.model.states import OutcomeKind, TaskState
from tradewind.model.waits import WaitAnswer
from tradewind.worker import steps
from tradewind.worker.attempt import end_from_trigger, is_torn_down, watch_sensor
from tradewind.worker.endings import error_info
from tradewind.worker.log import AttemptLog, current_log
from tradewind.worker.sensing import SENSOR_KIND
from tradewind.worker.steps import say

KILL_LIMIT: Final = 30.0
"""Seconds that `on_kill` and `cleanup` of a trigger may take."""

NOT_MADE: Final = "The trigger could not be made, so its on_kill was not called"

_KIND_OF: Final = {
    TaskState.SUCCESS: OutcomeKind.SUCCESS,
    TaskState.SKIPPED: OutcomeKind.SKIPPED,
    TaskState.FAILED: OutcomeKind.FAILED,
}

Report = Callable[[WaitAnswer, Outcome | None], Awaitable[bool]]
"""Takes the answer, with an outcome that ends the task as well; returns when it is committed: whether it was taken."""


class Life(Protocol):
    """A wait that is carried out, here or elsewhere."""

    is_ending: bool
    """Its task has been ended: `on_kill` is owed when it is cancelled."""

    async def run(self) -> None:
        """Until it has ended, its clean-up included. Cancelled, it leaves."""
        ...

    async def kill(self) -> None:
        """Has `on_kill` called for a trigger that is not under way."""
        ...

    def abandon(self) -> None:
        """It does not end though it was cancelled, and is left to itself."""
        ...


class Dags(Protocol):
    """Where DAG objects come from."""

    def get(self, run: RunFacts) -> DAG | None:
        """The DAG, if it is here."""
        ...

    async def load(self, run: RunFacts) -> DAG:
        """Imports its file."""
        ...


@dataclass(frozen=True, slots=True)
class LifeMeans:
    """What the loop lends to the waits on it."""

    dags: Dags
    services: TaskServices
    blocking: BlockingServices
    threads: Threads
    open_log: Callable[[Attempt], AttemptLog | None]


class TriggerLife:
    """A wait on this loop."""

    def __init__(self, means: LifeMeans, start: WaitStart, report: Report) -> None:
        self._means = means
        self._start = start
        self._report = report
        self.is_ending = False

    def abandon(self) -> None:
        """As `Life.abandon`: nothing here can end it."""

    async def run(self) -> None:
        """As `Life.run`."""
        start = self._start
        task = asyncio.current_task()
        log = self._enter()
        answer, outcome, event = WaitAnswer(), None, None
        trigger: BaseTrigger | None = None
        events: AsyncIterator[TriggerEvent] | None = None
        try:
            dag = await self._dag()
            if start.wait.kind == SENSOR_KIND:
                outcome = await watch_sensor(current_attempt.get(), dag, start.wait, self._means.threads)
            else:
                trigger = await self._made(dag)
                events = trigger.run()
                event = _checked(await anext(events), trigger)
                answer = WaitAnswer(packed(event.payload, f"the payload of {type(trigger).__name__}"))
                outcome = await self._end_event(event, dag)
        except StopAsyncIteration:
            answer = WaitAnswer(
                error=f"Trigger {start.wait.kind} exited without sending an event: its run() has to yield one"
            )
        except asyncio.CancelledError as error:
            if is_cancelled():
                await self._gone(trigger, events, log)
                return
            answer = WaitAnswer(error=error_info(error).traceback)  # what it awaited was cancelled, not the wait
        except BaseException as error:
            if isinstance(error, GeneratorExit) and is_torn_down(task):
                raise
            answer = WaitAnswer(error=error_info(error).traceback)
        if answer.error is not None:
            say(log, f"The trigger failed\n{answer.error.rstrip()}", level="ERROR")
        with suppress(asyncio.CancelledError):
            if await self._report(answer, outcome) and event is not None and event.ack is not None:
                await self._bounded(event.ack(), log)
        await self._bounded(_close(trigger, events), log)

    async def kill(self) -> None:
        """As `Life.kill`."""
        self.is_ending = True
        if self._start.wait.kind == SENSOR_KIND:
            return
        log = self._enter()
        try:
            trigger = await self._made(await self._dag())
        except Exception as error:
            say(log, f"{NOT_MADE}\n{error_info(error).traceback.rstrip()}", level="ERROR")
            return
        await self._gone(trigger, None, log)

    async def _gone(
        self, trigger: BaseTrigger | None, events: AsyncIterator[TriggerEvent] | None, log: AttemptLog | None
    ) -> None:
        if self.is_ending and trigger is not None:
            await self._bounded(trigger.on_kill(), log)
        await self._bounded(_close(trigger, events), log)

    # ------------------------------------------------------------------------------ parts

    def _enter(self) -> AttemptLog | None:
        means, attempt = self._means, self._start.attempt
        log = means.open_log(attempt)
        current_log.set(log)
        current_attempt.set(CurrentAttempt(attempt, means.services, means.blocking))
        return log

    async def _dag(self) -> DAG:
        run = self._start.attempt.run
        return self._means.dags.get(run) or await self._means.dags.load(run)

    async def _made(self, dag: DAG) -> BaseTrigger:
        start = self._start
        await load_trigger(start.wait.kind, dag)
        trigger = trigger_of(start.wait.kind, start.wait.args, dag)
        trigger.task_instance = steps.begin(current_attempt.get(), dag, None).context["ti"]
        trigger.trigger_id = start.key.origin.hex()
        return trigger

    async def _end_event(self, event: TriggerEvent, dag: DAG) -> Outcome | None:
        """What an event means that ends its task; the task's callbacks are called."""
        if not isinstance(event, BaseTaskEndEvent):
            return None
        puts = tuple(XComPut(name, encode(value, where=name)) for name, value in (event.xcoms or {}).items())
        reason = None if event.task_instance_state is TaskState.SUCCESS else "its trigger says so"
        outcome = Outcome(_KIND_OF[event.task_instance_state], puts, reason=reason)
        return await end_from_trigger(current_attempt.get(), dag, outcome, self._means.threads)

    async def _bounded(self, work: Any, log: AttemptLog | None) -> None:
        """Awaits clean-up of the author's, which may fail and may not hang."""
        try:
            async with asyncio.timeout(KILL_LIMIT):
                await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            say(log, f"Cleaning up after the trigger failed\n{error_info(error).traceback.rstrip()}", level="ERROR")


def is_cancelled() -> bool:
    """Whether the running task itself was told to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _checked(event: object, trigger: BaseTrigger) -> TriggerEvent:
    """Raises AuthoringError for what is no event."""
    if not isinstance(event, TriggerEvent):
        raise AuthoringError(
            f"trigger {path_of(type(trigger))}: run() yielded {event!r}; it has to yield a TriggerEvent: "
            "`yield TriggerEvent(payload)`"
        )
    return event


async def _close(trigger: BaseTrigger | None, events: AsyncIterator[TriggerEvent] | None) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
    if trigger is not None:
        await trigger.cleanup()
