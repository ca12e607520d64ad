"""Executors whose attempts end when the test says: in any order, late, twice, or never.

A `Cluster` is the outside world: it holds every attempt that was ever submitted, whichever runtime
did it, and outlives them all. The attempts of an executor that `survives` run on when their runtime
is gone and can be adopted by the next; the others die with it. The cluster notes in `faults` what
no runtime may do: submit an attempt twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tradewind.authoring.access import TaskServices
from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.errors import ExecutorError
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.states import OutcomeKind


@dataclass(slots=True)
class Flight:
    """One attempt in the outside world."""

    attempt: Attempt
    carrier: SimulatedExecutor
    """The executor that started it or adopted it last."""
    started_at: datetime
    cancelled: bool = False
    end: Finished | None = None
    acknowledged: bool = False
    """The runtime has said that this end is committed."""
    answers: list[bool] = field(default_factory=list[bool])

    @property
    def undoes(self) -> bool:
        """Whether it is there to undo what its task has begun."""
        return self.attempt.resume is not None and self.attempt.resume.undoes

    @property
    def is_running(self) -> bool:
        """Whether its body still runs somewhere."""
        return self.end is None and (self.carrier.is_alive or self.carrier.survives)


class Cluster:
    """All attempts of all runtimes. `now` is the wall clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.flights: dict[AttemptId, Flight] = {}
        self.faults: list[str] = []
        self.on_answer: Callable[[Flight, bool], None] = lambda flight, accepted: None
        """Called when a runtime says whether it has committed the end of an attempt."""
        self.on_submit: Callable[[Attempt], None] = lambda attempt: None
        """Called with every attempt as it is handed to an executor."""

    def running(self) -> list[Flight]:
        """Attempts whose bodies run and can be told to end, in order of submission."""
        return [f for f in self.flights.values() if f.is_running]

    def take_in(self, attempt: Attempt, carrier: SimulatedExecutor) -> None:
        """An attempt is handed over."""
        key = attempt.key
        self.on_submit(attempt)
        if key.attempt in self.flights:
            self.faults.append(f"attempt {key.attempt.hex()[:8]} of {key.task_id} was submitted twice")
            return
        self.flights[key.attempt] = Flight(attempt, carrier, self.now())

    def end(self, flight: Flight, outcome: Outcome) -> None:
        """The body ends; its runtime hears of it, if there is one."""
        key = flight.attempt.key
        flight.end = Finished(key.attempt, outcome, flight.started_at, self.now())
        flight.carrier.report(flight)


class SimulatedExecutor:
    """`executor_ports.Executor` for simulations."""

    def __init__(
        self,
        kind: str,
        cluster: Cluster,
        *,
        survives: bool = False,
        starts_at_once: bool = True,
        slots: int | None = None,
        runtime: str = "",
    ) -> None:
        """`runtime` names the process that it belongs to."""
        self.kind = kind
        self.runtime = runtime
        self.starts_at_once = starts_at_once
        self.survives = survives
        self.is_alive = True
        """False once its runtime is gone: it reports nothing any more."""
        self._cluster = cluster
        self._slots = slots
        self._host: ExecutorHost | None = None
        self._stopping = False

    @property
    def flights(self) -> list[Flight]:
        """Its own attempts that run."""
        return [f for f in self._cluster.flights.values() if f.carrier is self and f.end is None]

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now."""
        return None if self._slots is None else max(self._slots - len(self.flights), 0)

    @property
    def services(self) -> TaskServices:
        """What the bodies of its attempts may ask for. Raises ExecutorError before the start."""
        if self._host is None:
            raise ExecutorError("the simulated executor has not been started")
        return self._host.services

    async def start(self, host: ExecutorHost) -> None:
        """Takes its host."""
        self._host = host

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Accepts all; where accepting is not starting, it says a little later that they began."""
        for attempt in attempts:
            self._cluster.take_in(attempt, self)
            if not self.starts_at_once:
                asyncio.get_running_loop().call_soon(self._began, attempt.key)

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """The attempt ends as cancelled when half of the grace is over."""
        flight = self._cluster.flights.get(key.attempt)
        if flight is None or flight.carrier is not self or flight.end is not None:
            return
        flight.cancelled = True
        asyncio.get_running_loop().call_later(grace.total_seconds() / 2, self._cancelled, flight)

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """What survives is taken over from whoever carried it, with an end that nobody has heard of yet."""
        found: set[AttemptKey] = set()
        for key in keys:
            flight = self._cluster.flights.get(key.attempt)
            if flight is None or flight.carrier.kind != self.kind:
                continue
            if flight.carrier is not self and not self.survives:
                continue
            if flight.end is not None and not self.survives:
                continue
            if flight.carrier is not self:
                flight.carrier, flight.cancelled = self, False  # whoever was ending it is gone
            found.add(key)
            if flight.end is not None:
                asyncio.get_running_loop().call_soon(self.report, flight)
        return found

    async def stop(self, *, drain: timedelta | None) -> None:
        """Attempts that would die get `drain` to end, then they are lost."""
        deadline = drain.total_seconds() if drain is not None else 0.0
        while self.flights and not self.survives and deadline > 0:
            await asyncio.sleep(min(1.0, deadline))
            deadline -= 1.0
        for flight in [] if self.survives else self.flights:
            self._cluster.end(flight, Outcome(OutcomeKind.LOST, reason="the executor was stopped"))

    def report(self, flight: Flight) -> None:
        """Tells the runtime of an end; again, if it was told before."""
        if self._host is None:
            raise ExecutorError("the simulated executor has not been started")
        if not self.is_alive or flight.end is None:
            return

        def answered(accepted: bool) -> None:
            flight.answers.append(accepted)
            self._cluster.on_answer(flight, accepted)
            flight.acknowledged = flight.acknowledged or accepted

        self._host.finished(flight.attempt.key, flight.end, answered)
        self._host.slots_changed()

    def _began(self, key: AttemptKey) -> None:
        if self._host is not None and self.is_alive:
            self._host.began(key, hostname="simulated", pid=None)

    def _cancelled(self, flight: Flight) -> None:
        if flight.end is None and self.is_alive and flight.carrier is self:
            self._cluster.end(flight, Outcome(OutcomeKind.CANCELLED, reason="ended from outside"))
