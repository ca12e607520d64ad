"""Carries out watchers of assets: triggers that fire again and again, as coroutines beside the attempts, each on this
loop or in an async host.

One after the other, each event is handed over, committed, and acknowledged to where it came from; only then is the
trigger asked for the next. A trigger whose `run` ends begins again; one that fails, after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tradewind.authoring.access import BlockingServices, CurrentAttempt, TaskServices, current_attempt
from tradewind.authoring.triggers import TriggerEvent
from tradewind.executor_ports import WatchHost
from tradewind.model.assets import WatcherSpec
from tradewind.model.loop import CoroutineKind
from tradewind.model.watches import WatchFired, WatchStart
from tradewind.worker.attempt import is_torn_down
from tradewind.worker.carrier import DagsAtHand
from tradewind.worker.endings import error_info
from tradewind.worker.trigger_life import is_cancelled
from tradewind.worker.watch_life import GOES_WITHIN, acknowledge, live_once, stand_in

SILENT: Final = "its trigger has ended without an event"


class EndedElsewhere(Exception):
    """A watcher's trigger has failed in another process: its text says how."""


class Tells(Protocol):
    """Who hears of the events of a life that is lived elsewhere."""

    async def commit(self, fired: WatchFired) -> None:
        """Returns when it is committed. Raises as `WatchHost.watch_fired`."""
        ...

    def acknowledged(self) -> bool:
        """The event before has been acknowledged: whether another one is wanted."""
        ...


def _nowhere(start: WatchStart, kind: CoroutineKind, tells: Tells) -> Coroutine[Any, Any, None] | None:
    return None


@dataclass(frozen=True, slots=True)
class WatchMeans:
    """What the executor lends to the watchers that it carries."""

    dags: DagsAtHand
    services: TaskServices
    blocking: BlockingServices
    spawn: Callable[[Coroutine[Any, Any, None], CoroutineKind], asyncio.Task[None]]
    """Starts a coroutine of user code as a task of its own, under the loop's guard."""
    elsewhere: Callable[[WatchStart, CoroutineKind, Tells], Coroutine[Any, Any, None] | None] = _nowhere
    """A life of the trigger in another process; None: it is lived here."""


class _Flight:
    """A watcher under way. `is_delivering`: an event of it is being committed or acknowledged; `moves`: its life is to
    end, and another one to begin.
    """

    __slots__ = ("error", "fired", "has_begun", "host", "is_delivering", "is_ending", "kind", "moves", "start", "task")

    def __init__(self, start: WatchStart, host: WatchHost) -> None:
        self.start = start
        self.host = host
        self.kind = CoroutineKind(start.dag_id, f"{start.watcher.uri}:{start.watcher.name}", "watcher")
        self.task: asyncio.Task[None] | None = None
        self.has_begun = False
        self.is_delivering = False
        self.is_ending = False
        self.moves = False
        self.fired = 0
        self.error: str | None = None

    async def commit(self, fired: WatchFired) -> None:
        self.is_delivering = True
        await self.host.watch_fired(self.start, fired)
        self.fired += 1

    def acknowledged(self) -> bool:
        self.is_delivering = False
        return not self.is_ending and not self.moves

    async def deliver(self, event: TriggerEvent) -> bool:
        await self.commit(WatchFired(event.payload, event.key))
        await acknowledge(event)
        return self.acknowledged()


class WatchRunner:
    """The watchers of one executor."""

    def __init__(self, means: WatchMeans) -> None:
        self._means = means
        self._flights: dict[WatcherSpec, _Flight] = {}
        self._leaving: dict[asyncio.Task[None], WatcherSpec] = {}
        self._is_stopping = False

    def carry(self, host: WatchHost, starts: Sequence[WatchStart]) -> None:
        """Carries out these and no others: those that are under way go on, those not named any more end. One that
        comes with another version of its DAG begins anew once the old one is gone.
        """
        wanted = {} if self._is_stopping else {start.watcher: start for start in starts}
        for watcher, flight in list(self._flights.items()):
            if wanted.get(watcher) != flight.start:
                del self._flights[watcher]
                self._let_go(flight)
        for watcher, start in wanted.items():
            if watcher not in self._flights:
                flight = self._flights[watcher] = _Flight(start, host)
                before = {task for task, gone in self._leaving.items() if gone == watcher}
                work = self._live(flight, before)
                flight.task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())

    def version_of(self, kind: CoroutineKind) -> str:
        """The version of the file that watchers of this kind come from."""
        return next((f.start.source.bundle_version for f in self._flights.values() if f.kind == kind), "")

    def move(self, kind: CoroutineKind) -> None:
        """Has watchers of this kind begin anew, where they belong by now; an event that is on its way is delivered
        first.
        """
        for flight in self._flights.values():
            if flight.kind == kind and flight.task is not None and flight.has_begun and not flight.moves:
                flight.moves = True
                if not flight.is_delivering:
                    flight.task.cancel()

    async def stop(self) -> None:
        """Ends all watchers and waits until they are gone. What they have not acknowledged comes again."""
        self._is_stopping = True
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            self._let_go(flight)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=2 * GOES_WITHIN)

    def _let_go(self, flight: _Flight) -> None:
        task = flight.task
        flight.is_ending = True
        if task is None or task.done():
            return
        self._leaving[task] = flight.start.watcher
        task.add_done_callback(self._leaving.pop)
        if flight.is_delivering:
            timer = asyncio.get_running_loop().call_later(GOES_WITHIN, task.cancel)
            task.add_done_callback(lambda _: timer.cancel())
        else:
            task.cancel()

    # ------------------------------------------------------------------------------ a watcher

    async def _live(self, flight: _Flight, before: set[asyncio.Task[None]]) -> None:
        """Begins again and again, until it is cancelled or let go; once those are gone that were `before` it."""
        if before:
            await asyncio.wait(before, timeout=2 * GOES_WITHIN)
        host = flight.host
        flight.has_begun = True
        while not flight.is_ending:
            flight.fired = 0
            host.watch_began(flight.start)
            error = await self._error_of_life(flight)
            if _is_told_to_end(flight):
                return
            flight.is_delivering = False
            if flight.moves:
                flight.moves = False
            elif error is not None and not flight.is_ending:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(host.watch_failed(flight.start, error, flight.fired))
                if _is_told_to_end(flight):
                    return
                flight.moves = False

    async def _error_of_life(self, flight: _Flight) -> str | None:
        """How one life of the trigger went wrong."""
        flight.error = None
        try:
            life = self._means.elsewhere(flight.start, flight.kind, flight)
            await (life or self._means.spawn(self._live_here(flight), flight.kind))
        except EndedElsewhere as why:
            return str(why)
        except (Exception, asyncio.CancelledError) as why:  # the trigger's own, or what its task was told
            return error_info(why).traceback
        return flight.error or (None if flight.fired else SILENT)

    async def _live_here(self, flight: _Flight) -> None:
        attempt, task = stand_in(flight.start), asyncio.current_task()
        current_attempt.set(CurrentAttempt(attempt, self._means.services, self._means.blocking))
        try:
            await live_once(flight.start, self._means.dags, attempt.run, flight.deliver)
        except BaseException as why:
            if isinstance(why, GeneratorExit) and is_torn_down(task):
                raise
            if isinstance(why, asyncio.CancelledError) and is_cancelled():
                raise
            flight.error = error_info(why).traceback


def _is_told_to_end(flight: _Flight) -> bool:
    """Whether it was cancelled for good; a cancellation that only makes it move is taken back."""
    if not is_cancelled():
        return False
    task = asyncio.current_task()
    if flight.is_ending or task is None or not flight.moves:
        return True
    task.uncancel()
    return is_cancelled()
