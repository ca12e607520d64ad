"""Carries out watchers of assets: triggers that fire again and again, as coroutines beside the attempts.

One after the other, each event is handed over, committed, and acknowledged to where it came from; only then is the
trigger asked for the next. A trigger whose `run` ends begins again; one that fails, after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from tradewind.authoring.access import BlockingServices, CurrentAttempt, TaskServices, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.deferral import trigger_of
from tradewind.authoring.triggers import BaseTrigger, TriggerEvent
from tradewind.executor_ports import WatchHost
from tradewind.model.assets import WatcherSpec
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.errors import AuthoringError
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.loop import CoroutineKind
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import TaskSpec
from tradewind.model.states import RunType
from tradewind.model.watches import WatchFired, WatchStart
from tradewind.worker.carrier import DagsAtHand
from tradewind.worker.endings import error_info

GOES_WITHIN: Final = 5.0
"""Seconds that a watcher has to end: an event that is on its way is committed and acknowledged meanwhile."""

SILENT: Final = "its trigger has ended without an event"


@dataclass(frozen=True, slots=True)
class WatchMeans:
    """What the executor lends to the watchers that it carries."""

    dags: DagsAtHand
    services: TaskServices
    blocking: BlockingServices
    spawn: Callable[[Coroutine[Any, Any, None], CoroutineKind], asyncio.Task[None]]
    """Starts a coroutine of user code as a task of its own, under the loop's guard."""


class _Flight:
    """A watcher under way. `is_delivering`: an event of it is being committed or acknowledged."""

    __slots__ = ("fired", "is_delivering", "is_ending", "start", "task")

    def __init__(self, start: WatchStart) -> None:
        self.start = start
        self.task: asyncio.Task[None] | None = None
        self.is_delivering = False
        self.is_ending = False
        self.fired = 0


class WatchRunner:
    """The watchers of one executor, on the running loop."""

    def __init__(self, means: WatchMeans) -> None:
        self._means = means
        self._flights: dict[WatcherSpec, _Flight] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def carry(self, host: WatchHost, starts: Sequence[WatchStart]) -> None:
        """Carries out these and no others: those that are under way go on, those not named any more end. One that
        comes with another version of its DAG begins anew once the old one is gone.
        """
        wanted = {} if self._is_stopping else {start.watcher: start for start in starts}
        leaving: dict[WatcherSpec, asyncio.Task[None]] = {}
        for watcher, flight in list(self._flights.items()):
            if wanted.get(watcher) != flight.start:
                del self._flights[watcher]
                task = self._let_go(flight)
                if task is not None:
                    leaving[watcher] = task
        for watcher, start in wanted.items():
            if watcher not in self._flights:
                flight = self._flights[watcher] = _Flight(start)
                kind = CoroutineKind(start.dag_id, f"{watcher.uri}:{watcher.name}", "watcher")
                flight.task = self._means.spawn(self._live(flight, host, leaving.get(watcher)), kind)

    async def stop(self) -> None:
        """Ends all watchers and waits until they are gone. What they have not acknowledged comes again."""
        self._is_stopping = True
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            self._let_go(flight)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=2 * GOES_WITHIN)

    def _let_go(self, flight: _Flight) -> asyncio.Task[None] | None:
        task = flight.task
        flight.is_ending = True
        if task is None or task.done():
            return None
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        if flight.is_delivering:
            timer = asyncio.get_running_loop().call_later(GOES_WITHIN, task.cancel)
            task.add_done_callback(lambda _: timer.cancel())
        else:
            task.cancel()
        return task

    # ------------------------------------------------------------------------------ a watcher

    async def _live(self, flight: _Flight, host: WatchHost, before: asyncio.Task[None] | None) -> None:
        """Begins again and again, until it is cancelled or let go."""
        if before is not None:
            await asyncio.wait({before}, timeout=2 * GOES_WITHIN)
        attempt = _stand_in(flight.start)
        current_attempt.set(CurrentAttempt(attempt, self._means.services, self._means.blocking))
        while not flight.is_ending:
            error, flight.fired = None, 0
            host.watch_began(flight.start)
            try:
                await self._watch(flight, host, attempt.run)
            except asyncio.CancelledError as cancelled:
                if _is_cancelled():
                    return
                error = error_info(cancelled).traceback  # what it awaited was cancelled, not the watcher
            except BaseException as why:
                if isinstance(why, GeneratorExit):
                    raise
                error = error_info(why).traceback
            flight.is_delivering = False
            if error is None and not flight.fired:
                error = SILENT
            if error is not None and not flight.is_ending:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(host.watch_failed(flight.start, error, flight.fired))
                if _is_cancelled():
                    return

    async def _watch(self, flight: _Flight, host: WatchHost, run: RunFacts) -> None:
        """One life of the trigger."""
        dag: DAG = self._means.dags.get(run) or await self._means.dags.load(run)
        watcher = flight.start.watcher
        trigger = trigger_of(watcher.kind, EncodedValue(watcher.codec, watcher.args.encode()), dag)
        trigger.trigger_id = f"{watcher.uri}:{watcher.name}"
        events = trigger.run()
        try:
            async for event in events:
                await self._deliver(flight, host, event, trigger)
                if flight.is_ending:
                    return
        finally:
            await _close(trigger, events)

    async def _deliver(self, flight: _Flight, host: WatchHost, event: object, trigger: BaseTrigger) -> None:
        """Returns when the event is committed and acknowledged."""
        if not isinstance(event, TriggerEvent):
            raise AuthoringError(f"{trigger!r} has yielded {event!r}, which is no TriggerEvent")
        flight.is_delivering = True
        try:
            await host.watch_fired(flight.start, WatchFired(event.payload, event.key))
            flight.fired += 1
            if event.ack is not None:
                acknowledging = cast("object", event.ack())
                if inspect.isawaitable(acknowledging):
                    await acknowledging
        finally:
            flight.is_delivering = False


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _close(trigger: BaseTrigger, events: object) -> None:
    """A trigger that does not clean up is left alone with it."""
    async with asyncio.timeout(GOES_WITHIN):
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
        await trigger.cleanup()


def _stand_in(start: WatchStart) -> Attempt:
    """What variables and connections are looked up for: a watcher belongs to no run."""
    now = datetime.now(UTC)
    name = f"{start.watcher.uri}:{start.watcher.name}"
    run = RunFacts(
        run_id=RunId(0),
        dag_id=start.dag_id,
        dag_run_id="",
        version_hash=start.version_hash,
        run_type=RunType.ASSET_TRIGGERED,
        logical_date=now,
        interval_start=now,
        interval_end=now,
        run_after=now,
        queued_at=now,
        started_at=now,
        conf=None,
        external_trigger=False,
        source=start.source,
    )
    return Attempt(AttemptKey(AttemptId(bytes(16)), RunId(0), name), TaskSpec(name), run, 1, now)
