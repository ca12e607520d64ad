"""Hands committed attempts to their executors and hears of their ends.

The dispatcher is the `ExecutorHost`: what executors report becomes events for the scheduler. A
report is acknowledged (`on_committed`) only after the scheduler has committed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Final

from tradewind.authoring.access import TaskServices
from tradewind.executor_ports import Executor, LoopExecutor, WaitExecutor, WatchExecutor
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt, AttemptKey, WaitStart
from tradewind.model.events import AttemptBegan, AttemptEnded, WaitAnswered, WaitEnded
from tradewind.model.keys import RunId
from tradewind.model.loop import LoopOffence, LoopReport
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.specs import Json
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.ports import Clock
from tradewind.services.intake import Intake
from tradewind.services.value_spiller import ValueSpiller

log = logging.getLogger(__name__)

CANCEL_GRACE: Final = timedelta(seconds=5)
"""What a cancelled attempt gets to clean up before it is ended by force."""


CARRIES_WAITS: Final = "inline"
"""The executor that carries triggers out."""


class _Host:
    """What one executor sees of the runtime."""

    def __init__(self, dispatcher: Dispatcher, settings: Mapping[str, Json]) -> None:
        self._dispatcher = dispatcher
        self.settings = settings

    @property
    def services(self) -> TaskServices:
        return self._dispatcher.services

    @property
    def log_root(self) -> str:
        return self._dispatcher.log_root

    def began(self, key: AttemptKey, *, hostname: str, pid: int | None) -> None:
        intake = self._dispatcher.intake
        intake.post(key.run_id, AttemptBegan(intake.stamp(), key.attempt, hostname, pid))

    def finished(self, key: AttemptKey, end: Finished, on_committed: Callable[[bool], None] | None = None) -> None:
        failpoint("dispatcher.finished")
        intake = self._dispatcher.intake

        def post() -> None:
            intake.post(key.run_id, AttemptEnded(intake.stamp(), *end), on_committed)

        self._dispatcher.when_put_aside(end.outcome, post)

    def slots_changed(self) -> None:
        self._dispatcher.intake.capacity_changed()

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        intake = self._dispatcher.intake

        def post() -> None:
            intake.post(key.run_id, WaitAnswered(intake.stamp(), key, answer, outcome), on_committed)

        self._dispatcher.when_put_aside(outcome, post)

    def wait_ended(self, key: WaitKey) -> None:
        intake = self._dispatcher.intake
        intake.post(key.run_id, WaitEnded(intake.stamp(), key))


class Dispatcher:
    """All executors of a runtime behind one door."""

    def __init__(
        self,
        executors: Mapping[str, Executor],
        services: TaskServices,
        clock: Clock,
        log_root: str,
        settings: Mapping[str, Mapping[str, Json]],
    ) -> None:
        self.executors = dict(executors)
        self.services = services
        self.log_root = log_root
        self._clock = clock
        self._settings = settings
        self._intake: Intake | None = None
        self.spiller: ValueSpiller | None = None
        """Puts large values of ended attempts aside; None: they stay with their rows."""

    def when_put_aside(self, outcome: Outcome | None, post: Callable[[], None]) -> None:
        """Calls `post` once the large values of the outcome are put aside: mostly at once, there are none."""
        spiller = self.spiller
        large = [] if spiller is None else spiller.large_of(outcome)
        if spiller is None or not large:
            post()
        else:
            spiller.first(large, post)

    @property
    def intake(self) -> Intake:
        """Where the scheduler takes its events from; there is none before `start`."""
        if self._intake is None:
            raise RuntimeError("the dispatcher has not been started")
        return self._intake

    async def start(self, intake: Intake) -> None:
        """Starts all executors; from now on they may report."""
        self._intake = intake
        for kind, executor in self._distinct().items():
            await executor.start(_Host(self, self._settings.get(kind, {})))

    def _distinct(self) -> dict[str, Executor]:
        """Each executor once: one may stand in for several kinds."""
        return {kind: ex for ex, kind in {ex: kind for kind, ex in reversed(self.executors.items())}.items()}

    async def stop(self, drain: timedelta | None) -> None:
        """Stops all executors at once; running attempts get `drain` to end."""
        async with asyncio.TaskGroup() as stopping:
            for executor in self._distinct().values():
                stopping.create_task(executor.stop(drain=drain))
        if self.spiller is not None:
            await self.spiller.settled()

    def starts_at_once(self, kind: str) -> bool:
        """Whether an attempt is running as soon as this executor has it."""
        executor = self.executors.get(kind)
        return executor.starts_at_once if executor is not None else True

    def slots(self) -> dict[str, int | None]:
        """Free slots of each executor; None: unbounded."""
        return {kind: executor.free_slots for kind, executor in self.executors.items()}

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Sends each attempt to its executor. One whose executor is not there fails, and says so."""
        failpoint("dispatcher.submit")
        by_kind: dict[str, list[Attempt]] = {}
        for attempt in attempts:
            by_kind.setdefault(attempt.task.executor, []).append(attempt)
        for kind, batch in by_kind.items():
            executor = self.executors.get(kind)
            if executor is None:
                known = ", ".join(sorted(self.executors)) or "none"
                reason = f"there is no executor {kind!r} here (there are: {known})"
                self._refuse(batch, OutcomeKind.FAILED_FOR_GOOD, reason)
            else:
                await self._submit_to(executor, batch)

    async def _submit_to(self, executor: Executor, attempts: Sequence[Attempt]) -> None:
        """What an executor raises, against its contract, costs the attempts that it has not taken, and nobody else."""
        try:
            await executor.submit(attempts)
        except Exception as error:
            log.exception("executor %r has raised an error in place of taking attempts", executor.kind)
            taken = await executor.adopt([attempt.key for attempt in attempts])
            left = [attempt for attempt in attempts if attempt.key not in taken]
            reason = f"executor {executor.kind!r} did not take it: {type(error).__name__}: {error}"
            self._refuse(left, OutcomeKind.LOST, reason)

    async def cancel(self, keys: Iterable[AttemptKey]) -> None:
        """Has the attempts ended, whichever executor carries them."""
        for key in keys:
            for executor in self._distinct().values():
                try:
                    await executor.cancel(key, grace=CANCEL_GRACE)
                except Exception:  # against its contract
                    log.exception("executor %r has raised an error in place of ending an attempt", executor.kind)

    def begin_waits(self, starts: Sequence[WaitStart]) -> None:
        """Has these waits carried out. Where no executor here can, each is answered with that error."""
        carrier = self._waits_carrier()
        if carrier is not None:
            carrier.begin_waits(starts)
            return
        for start in starts:
            answer = WaitAnswer(error=f"there is no executor {CARRIES_WAITS!r} here, which triggers need")
            self.intake.post(start.key.run_id, WaitAnswered(self.intake.stamp(), start.key, answer))

    def end_waits(self, starts: Sequence[WaitStart]) -> None:
        """Has these waits ended."""
        carrier = self._waits_carrier()
        if carrier is not None:
            carrier.end_waits(starts)
            return
        for start in starts:
            self.intake.post(start.key.run_id, WaitEnded(self.intake.stamp(), start.key))

    def waits_of(self, run_ids: AbstractSet[RunId]) -> Sequence[WaitStart]:
        """The waits of these runs that are under way here."""
        carrier = self._waits_carrier()
        return () if carrier is None else carrier.waits_of(run_ids)

    def drop_waits(self) -> None:
        """Has all waits let go: another runtime carries them out from now on."""
        carrier = self._waits_carrier()
        if carrier is not None:
            carrier.drop_waits()

    def _waits_carrier(self) -> WaitExecutor | None:
        found = self.executors.get(CARRIES_WAITS)
        return found if isinstance(found, WaitExecutor) else None

    def watches_carrier(self) -> WatchExecutor | None:
        """Who carries out watchers of assets; None: nobody here."""
        found = self.executors.get(CARRIES_WAITS)
        return found if isinstance(found, WatchExecutor) else None

    def loop_report(self) -> LoopReport:
        """How the coroutines of the executor that has some get on."""
        for executor in self._distinct().values():
            if isinstance(executor, LoopExecutor):
                return executor.loop_report()
        return LoopReport()

    def hear_offences(self, hear: Callable[[LoopOffence], None]) -> None:
        """Has reports about coroutines that hold up others told, as they come."""
        for executor in self._distinct().values():
            if isinstance(executor, LoopExecutor):
                executor.on_offence.append(hear)

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Which of these attempts of an earlier life still run in an executor here."""
        found: set[AttemptKey] = set()
        for executor in self._distinct().values():
            found |= await executor.adopt(keys)
        return found

    def _refuse(self, attempts: Iterable[Attempt], kind: OutcomeKind, reason: str) -> None:
        now, outcome = self._clock.now(), Outcome(kind, reason=reason)
        for attempt in attempts:
            run = attempt.run
            log.error("task %s of run %s of DAG %s: %s", attempt.key.task_id, run.dag_run_id, run.dag_id, reason)
            event = AttemptEnded(self.intake.stamp(), attempt.key.attempt, outcome, None, now)
            self.intake.post(attempt.key.run_id, event)
