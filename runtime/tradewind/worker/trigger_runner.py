"""Keeps the waits of one executor: triggers, and sensors that wait for their next poke, as coroutines beside the
attempts, each on this loop or in an async host.

A wait ends with its first event, an error, or by being ended from outside: then its coroutine is cancelled and the
trigger's `on_kill` awaited before the end is reported.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.worker.steps import say
from tradewind.worker.trigger_life import KILL_LIMIT, Life, LifeMeans, Report, TriggerLife

LEFT_BEHIND_AFTER: Final = 5.0
"""Seconds that a trigger has to end after its cancellation."""


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


def _nowhere(start: WaitStart, report: Report) -> Life | None:
    return None


@dataclass(frozen=True, slots=True)
class Means:
    """What the executor lends to the waits that it carries."""

    host: WaitHost
    here: LifeMeans
    spawn: Callable[[Coroutine[Any, Any, None], Attempt], asyncio.Task[None]]
    """Starts a coroutine of user code as a task of its own, under the loop's guard."""
    elsewhere: Callable[[WaitStart, Report], Life | None] = _nowhere
    """The life of a wait that has to be lived in another process; None: this one is lived here."""


class _Flight:
    """A wait in progress. `again`: begun once more while it was ending."""

    __slots__ = ("again", "has_answered", "life", "start", "task")

    life: Life

    def __init__(self, start: WaitStart) -> None:
        self.start = start
        self.task: asyncio.Task[None] | None = None
        self.has_answered = False
        self.again: WaitStart | None = None


class TriggerRunner:
    """The waits of one executor."""

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
                self._launch(start)
            elif flight.has_answered or flight.life.is_ending:
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
                self._launch(start, is_unknown=True)
                continue
            flight.again = None
            if not flight.life.is_ending:
                flight.life.is_ending = True
                if flight.task is not None:
                    flight.task.cancel()
                    self._do(self._see_it_go(flight))

    def of(self, run_ids: AbstractSet[RunId]) -> list[WaitStart]:
        """The waits of these runs: those not answered yet, and those told to go that are not gone."""
        mine = [flight for key, flight in self._flights.items() if key.run_id in run_ids]
        return [flight.start for flight in mine if flight.life.is_ending or not flight.has_answered]

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

    def _launch(self, start: WaitStart, *, is_unknown: bool = False) -> None:
        """Begins it; `is_unknown`: only to be killed."""
        flight = self._flights[start.key] = _Flight(start)

        async def report(answer: WaitAnswer, outcome: Outcome | None) -> bool:
            return await self._report(flight, answer, outcome)

        life = self._means.elsewhere(start, report)
        is_here = life is None
        flight.life = life = life or TriggerLife(self._means.here, start, report)
        life.is_ending = is_unknown
        work = life.kill() if is_unknown else life.run()
        if is_here:
            flight.task = self._means.spawn(work, start.attempt)
        else:
            flight.task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        flight.task.add_done_callback(lambda _: self._landed(flight))

    def _landed(self, flight: _Flight) -> None:
        key = flight.start.key
        if self._flights.get(key) is flight:
            del self._flights[key]
            if flight.life.is_ending:
                self._means.host.wait_ended(key)
            if flight.again is not None:
                self._launch(flight.again)

    async def _see_it_go(self, flight: _Flight) -> None:
        """One that does not end is left behind."""
        task = flight.task
        assert task is not None
        _, pending = await asyncio.wait({task}, timeout=LEFT_BEHIND_AFTER + KILL_LIMIT)
        if pending:
            log = self._means.here.open_log(flight.start.attempt)
            say(log, "The trigger did not end when it was told to and is left behind", level="WARNING")
            flight.life.abandon()
            self._landed(flight)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        chore = asyncio.ensure_future(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _report(self, flight: _Flight, answer: WaitAnswer, outcome: Outcome | None) -> bool:
        """Returns when the answer is committed: whether it was taken."""
        committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def settle(accepted: bool) -> None:
            if not committed.done():
                committed.set_result(accepted)

        flight.has_answered = True
        self._means.host.wait_answered(flight.start.key, answer, outcome, settle)
        return await committed
