"""Triggers that fire when the test says: in any order, late, twice, or never, and that take their time to go.

A wait dies with its runtime; its next owner has to begin it anew. The cluster notes in `faults` when an attempt
starts although its instance still has a trigger in the same runtime that was told to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.errors import ExecutorError
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.testing.simulated_executor import Cluster, SimulatedExecutor


@dataclass(slots=True, eq=False)
class WaitFlight:
    """One trigger in the outside world."""

    start: WaitStart
    carrier: WaitingExecutor
    is_ending: bool = False
    """It was told to go."""
    has_fired: bool = False
    """It has said what it was to say; its clean-up is left."""
    is_cleaning_up: bool = False
    is_gone: bool = False
    was_killed: bool = False
    """Its `on_kill` has run."""
    again: WaitStart | None = None
    """It was begun once more before it was gone."""
    answers: list[bool] = field(default_factory=list[bool])
    """What the runtime has said to its answers."""

    @property
    def is_there(self) -> bool:
        """Whether anything of it runs."""
        return not self.is_gone and self.carrier.is_alive

    @property
    def can_fire(self) -> bool:
        """Whether it runs and has not fired."""
        return self.is_there and not self.has_fired


class WaitCluster(Cluster):
    """All attempts and all triggers of all runtimes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.waits: list[WaitFlight] = []
        self.carriers: dict[str, WaitingExecutor] = {}
        """By the name of their runtime."""
        self.said: dict[WaitKey, list[WaitAnswer]] = {}
        """Every answer that any trigger ever gave."""
        self.seconds_to_go: Callable[[], float] = lambda: 0.0
        """How long the clean-up of the next trigger takes."""
        self.on_wait_answer: Callable[[WaitKey, WaitAnswer, bool], None] = lambda key, answer, accepted: None
        """Called when a runtime says whether it has committed an answer."""
        self.on_begin: Callable[[WaitStart], None] = lambda start: None
        """Called with every wait as it is handed over."""

    def waiting(self) -> list[WaitFlight]:
        """Triggers that can fire, in order of their beginning."""
        return [flight for flight in self.waits if flight.can_fire]

    def take_in(self, attempt: Attempt, carrier: SimulatedExecutor) -> None:
        """As `Cluster.take_in`; the triggers of the instance that were told to go must be gone, unless it is there to
        undo what was begun: that does not wait for them.
        """
        here = self.carriers.get(carrier.runtime)
        undoes = attempt.resume is not None and attempt.resume.undoes
        if here is not None and not undoes and here.going(*attempt.key[1:4]):
            self.faults.append(f"{attempt.key.task_id} starts while its trigger is going")
        super().take_in(attempt, carrier)


class WaitingExecutor(SimulatedExecutor):
    """A simulated executor that carries waits out as well."""

    def __init__(self, kind: str, cluster: WaitCluster, *, runtime: str = "") -> None:
        super().__init__(kind, cluster, runtime=runtime)
        self.waits: dict[WaitKey, WaitFlight] = {}
        """Those of which anything runs."""
        self._world = cluster
        self._takes_waits = True
        self._loop: asyncio.AbstractEventLoop | None = None
        cluster.carriers[runtime] = self

    async def start(self, host: ExecutorHost) -> None:
        """As `Executor.start`."""
        self._loop = asyncio.get_running_loop()
        await super().start(host)

    def begin_waits(self, starts: Sequence[WaitStart]) -> None:
        """As `WaitExecutor.begin_waits`. One that is about to go is begun again when it is gone."""
        for start in starts if self._takes_waits else ():
            self._world.on_begin(start)
            flight = self.waits.get(start.key)
            if flight is None:
                self._launch(start)
            elif flight.has_fired or flight.is_ending:
                flight.again = start

    def end_waits(self, starts: Sequence[WaitStart]) -> None:
        """As `WaitExecutor.end_waits`. Each takes its time to go."""
        for start in starts if self._takes_waits else ():
            flight = self.waits.get(start.key) or self._launch(start)
            flight.again = None
            if not flight.is_ending:
                flight.is_ending = True
                if not flight.has_fired:  # else it goes when its answer is settled
                    self._go(flight)

    def waits_of(self, run_ids: AbstractSet[RunId]) -> Sequence[WaitStart]:
        """As `WaitExecutor.waits_of`."""
        mine = [flight for key, flight in self.waits.items() if key.run_id in run_ids]
        return [flight.start for flight in mine if flight.is_ending or not flight.has_fired]

    def drop_waits(self) -> None:
        """As `WaitExecutor.drop_waits`."""
        for flight in self.waits.values():
            flight.is_gone = True
        self.waits.clear()

    async def stop(self, *, drain: timedelta | None) -> None:
        """As `Executor.stop`; its waits go on elsewhere."""
        self._takes_waits = False
        self.drop_waits()
        await super().stop(drain=drain)

    def fire(self, flight: WaitFlight, answer: WaitAnswer, outcome: Outcome | None = None) -> None:
        """The trigger says what it has to say; it cleans up once that is committed."""
        flight.has_fired = True

        def settle(accepted: bool) -> None:
            flight.answers.append(accepted)
            self._go(flight)

        self.say(flight.start.key, answer, outcome, settle)

    def say(
        self,
        key: WaitKey,
        answer: WaitAnswer,
        outcome: Outcome | None = None,
        settle: Callable[[bool], None] = lambda accepted: None,
    ) -> None:
        """Reports an answer to the runtime, whether or not there is such a trigger."""
        if self._host is None:
            raise ExecutorError("the simulated executor has not been started")
        if not self.is_alive:
            return
        self._world.said.setdefault(key, []).append(answer)

        def committed(accepted: bool) -> None:
            self._world.on_wait_answer(key, answer, accepted)
            settle(accepted)

        self._host.wait_answered(key, answer, outcome, committed)

    def going(self, run_id: RunId, task_id: str, map_index: int) -> list[WaitFlight]:
        """The triggers of a task instance that were told to go and are not gone."""
        place = (run_id, task_id, map_index)
        return [f for f in self.waits.values() if f.is_ending and f.start.attempt.key[1:4] == place]

    def now(self) -> datetime:
        """The wall clock."""
        return self._world.now()

    def _launch(self, start: WaitStart) -> WaitFlight:
        flight = self.waits[start.key] = WaitFlight(start, self)
        self._world.waits.append(flight)
        return flight

    def _go(self, flight: WaitFlight) -> None:
        if self._loop is not None and self.is_alive and not flight.is_cleaning_up:
            flight.is_cleaning_up = True
            self._loop.call_later(self._world.seconds_to_go(), self._land, flight)

    def _land(self, flight: WaitFlight) -> None:
        if flight.is_gone or not self.is_alive or self._host is None:
            return
        flight.is_gone = True
        flight.was_killed = flight.is_ending
        del self.waits[flight.start.key]
        if flight.is_ending:
            self._host.wait_ended(flight.start.key)
        if flight.again is not None:
            self._launch(flight.again)
