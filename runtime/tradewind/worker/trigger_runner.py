"""Carries out waits: triggers, and sensors that wait for their next poke, as coroutines beside the attempts.

A wait ends with its first event, an error, or by being ended from outside: then the trigger's coroutine is cancelled
and its `on_kill` awaited before the end is reported. `cleanup` is awaited in each case. What a trigger does wrong
stays with its task: it is resumed with the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor as Threads
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from tradewind.authoring.access import BlockingServices, CurrentAttempt, TaskServices, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.deferral import load_trigger, trigger_of
from tradewind.authoring.stored_values import packed
from tradewind.authoring.triggers import BaseTaskEndEvent, BaseTrigger, TriggerEvent
from tradewind.authoring.xcom import encode
from tradewind.model.attempts import Attempt, RunFacts, WaitStart
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Outcome, XComPut
from tradewind.model.states import OutcomeKind, TaskState
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.worker import steps
from tradewind.worker.attempt import end_from_trigger, watch_sensor
from tradewind.worker.endings import error_info
from tradewind.worker.log import AttemptLog, current_log
from tradewind.worker.sensing import SENSOR_KIND
from tradewind.worker.steps import say

T = TypeVar("T")

KILL_LIMIT: Final = 30.0
"""Seconds that `on_kill` and `cleanup` of a trigger may take."""
LEFT_BEHIND_AFTER: Final = 5.0
"""Seconds that a trigger has to end after its cancellation."""

_KIND_OF: Final = {
    TaskState.SUCCESS: OutcomeKind.SUCCESS,
    TaskState.SKIPPED: OutcomeKind.SKIPPED,
    TaskState.FAILED: OutcomeKind.FAILED,
}


class WaitHost(Protocol):
    """Who is told how waits end."""

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        """A wait has its answer, with an `outcome` that ends the task as well. Then `on_committed(accepted)`."""
        ...

    def wait_ended(self, key: WaitKey) -> None:
        """A wait that was to be ended is gone."""
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
class Means:
    """What the executor lends to the waits that it carries."""

    host: WaitHost
    dags: Dags
    services: TaskServices
    blocking: BlockingServices
    threads: Threads
    open_log: Callable[[Attempt], AttemptLog | None]
    spawn: Callable[[Coroutine[Any, Any, None], Attempt], asyncio.Task[None]]
    """Starts a coroutine of user code as a task of its own, under the loop's guard."""


class _Flight:
    """A wait in progress. `is_ending`: told to go; `again`: begun once more while it was ending."""

    __slots__ = ("again", "has_answered", "is_ending", "start", "task")

    def __init__(self, start: WaitStart) -> None:
        self.start = start
        self.task: asyncio.Task[None] | None = None
        self.is_ending = False
        self.has_answered = False
        self.again: WaitStart | None = None


class TriggerRunner:
    """The waits of one executor, on the running loop."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._flights: dict[WaitKey, _Flight] = {}
        self._is_stopping = False
        self._chores: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def begin(self, starts: Sequence[WaitStart]) -> None:
        """Carries these out. One that is under way goes on; one that is about to go is begun again after that."""
        for start in starts:
            flight = self._flights.get(start.key)
            if self._is_stopping:
                continue
            if flight is None:
                self._launch(start, self._carry)
            elif flight.has_answered or flight.is_ending:
                flight.again = start

    def end(self, starts: Sequence[WaitStart]) -> None:
        """Ends these and reports each as ended. Of one that is not here the trigger's `on_kill` is called all the
        same: whoever carried it may not have come to that.
        """
        if self._is_stopping:
            return  # whoever goes on with the run ends them
        for start in starts:
            flight = self._flights.get(start.key)
            if flight is None:
                flight = self._launch(start, self._kill_unknown)
                flight.is_ending = True
                continue
            flight.again = None
            if not flight.is_ending:
                flight.is_ending = True
                if flight.task is not None:
                    flight.task.cancel()
                    self._do(self._see_it_go(flight))

    def of(self, run_ids: AbstractSet[RunId]) -> list[WaitStart]:
        """The waits of these runs: those not answered yet, and those told to go that are not gone."""
        mine = [flight for key, flight in self._flights.items() if key.run_id in run_ids]
        return [flight.start for flight in mine if flight.is_ending or not flight.has_answered]

    def drop(self) -> None:
        """Lets go of all waits: they are somebody else's from now on."""
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            if flight.task is not None:
                flight.task.cancel()

    async def stop(self) -> None:
        """Lets go of all waits, which go on in the next life, and waits until they are gone."""
        self._is_stopping = True
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        self.drop()
        if tasks:
            await asyncio.wait(tasks, timeout=LEFT_BEHIND_AFTER)
        for chore in self._chores:
            chore.cancel()
        if self._chores:
            await asyncio.wait(self._chores)

    # ------------------------------------------------------------------------------ a wait

    def _launch(self, start: WaitStart, how: Callable[[_Flight], Coroutine[Any, Any, None]]) -> _Flight:
        flight = self._flights[start.key] = _Flight(start)
        flight.task = self._means.spawn(how(flight), start.attempt)
        flight.task.add_done_callback(lambda _: self._landed(flight))
        return flight

    def _landed(self, flight: _Flight) -> None:
        key = flight.start.key
        if self._flights.get(key) is flight:
            del self._flights[key]
            if flight.is_ending:
                self._means.host.wait_ended(key)
            if flight.again is not None:
                self._launch(flight.again, self._carry)

    async def _see_it_go(self, flight: _Flight) -> None:
        """One that does not end is left behind."""
        task = flight.task
        assert task is not None
        _, pending = await asyncio.wait({task}, timeout=LEFT_BEHIND_AFTER + KILL_LIMIT)
        if pending:
            log = self._means.open_log(flight.start.attempt)
            say(log, "The trigger did not end when it was told to and is left behind", level="WARNING")
            self._landed(flight)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        chore = asyncio.ensure_future(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _carry(self, flight: _Flight) -> None:
        start = flight.start
        log = self._enter(start)
        answer, outcome, event = WaitAnswer(), None, None
        trigger: BaseTrigger | None = None
        events: AsyncIterator[TriggerEvent] | None = None
        try:
            dag = await self._dag(start)
            if start.wait.kind == SENSOR_KIND:
                outcome = await watch_sensor(current_attempt.get(), dag, start.wait, self._means.threads)
            else:
                trigger = await self._made(start, dag)
                events = trigger.run()
                event = await anext(events)
                answer = WaitAnswer(packed(event.payload, f"the payload of {type(trigger).__name__}"))
                outcome = await self._end_event(event, dag)
        except StopAsyncIteration:
            answer = WaitAnswer(error="Trigger exited without sending an event. Dependent tasks will be failed.")
        except asyncio.CancelledError as error:
            if _is_cancelled():
                await self._gone(flight, trigger, events, log)
                return
            answer = WaitAnswer(error=error_info(error).traceback)  # what it awaited was cancelled, not the wait
        except BaseException as error:
            if isinstance(error, GeneratorExit):
                raise
            answer = WaitAnswer(error=error_info(error).traceback)
        if answer.error is not None:
            say(log, f"The trigger failed\n{answer.error.rstrip()}", level="ERROR")
        await self._report(flight, answer, outcome, event, log)
        await self._bounded(_close(trigger, events), log)

    async def _report(
        self,
        flight: _Flight,
        answer: WaitAnswer,
        outcome: Outcome | None,
        event: TriggerEvent | None,
        log: AttemptLog | None,
    ) -> None:
        """Returns when the answer is committed and, where it was taken, acknowledged to where it came from."""
        committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def settle(accepted: bool) -> None:
            if not committed.done():
                committed.set_result(accepted)

        flight.has_answered = True
        self._means.host.wait_answered(flight.start.key, answer, outcome, settle)
        with suppress(asyncio.CancelledError):
            if await committed and event is not None and event.ack is not None:
                await self._bounded(event.ack(), log)

    async def _gone(
        self,
        flight: _Flight,
        trigger: BaseTrigger | None,
        events: AsyncIterator[TriggerEvent] | None,
        log: AttemptLog | None,
    ) -> None:
        if flight.is_ending and trigger is not None:
            await self._bounded(trigger.on_kill(), log)
        await self._bounded(_close(trigger, events), log)

    async def _kill_unknown(self, flight: _Flight) -> None:
        start = flight.start
        if start.wait.kind == SENSOR_KIND:
            return
        log = self._enter(start)
        try:
            trigger = await self._made(start, await self._dag(start))
        except Exception as error:
            text = error_info(error).traceback.rstrip()
            say(log, f"The trigger could not be made, so its on_kill was not called\n{text}", level="ERROR")
            return
        await self._gone(flight, trigger, None, log)

    # ------------------------------------------------------------------------------ parts

    def _enter(self, start: WaitStart) -> AttemptLog | None:
        means = self._means
        log = means.open_log(start.attempt)
        current_log.set(log)
        current_attempt.set(CurrentAttempt(start.attempt, means.services, means.blocking))
        return log

    async def _dag(self, start: WaitStart) -> DAG:
        run = start.attempt.run
        return self._means.dags.get(run) or await self._means.dags.load(run)

    async def _made(self, start: WaitStart, dag: DAG) -> BaseTrigger:
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


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _close(trigger: BaseTrigger | None, events: AsyncIterator[TriggerEvent] | None) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
    if trigger is not None:
        await trigger.cleanup()
