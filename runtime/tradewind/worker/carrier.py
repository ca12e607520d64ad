"""Carries attempts out as coroutines on the running loop, be it the runtime's or that of an async host.

Nothing stands between an attempt that is begun and its first step but one `asyncio.Task`. Each has its own context:
its log and its face of the system are found through context variables, and the watch knows whose code holds the loop.
What user code raises, SystemExit included, stays in its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor as Threads
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tradewind.authoring.access import TaskServices
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt, RunFacts
from tradewind.model.loop import ON_LOOP, CoroutineKind, LoopOffence
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker.attempt import GOES_ON, is_torn_down, run_attempt
from tradewind.worker.blocking import BlockingOnLoop
from tradewind.worker.callers_thread import task_threads
from tradewind.worker.endings import outcome_of_error
from tradewind.worker.guard import Owner
from tradewind.worker.log import current_log
from tradewind.worker.log_capture import CaptureInline, OwnLoggers
from tradewind.worker.log_inline import InlineLog, InlineLogs
from tradewind.worker.loop_watch import LoopWatch, WatchLimits, text_for_author
from tradewind.worker.steps import conclude

STOP_GRACE: Final = 5.0
"""Seconds that attempts get to end when their carrier stops."""


class DagsAtHand(Protocol):
    """Where the carrier has its DAGs from."""

    def get(self, run: RunFacts) -> DAG | None:
        """The DAG, if it is loaded."""
        ...

    async def load(self, run: RunFacts) -> DAG:
        """Loads it. Raises what the file raises, NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    """Durations are seconds."""

    threads: int = 32
    """How many sync tasks run at once, each in a thread."""
    log_level: int = logging.INFO
    capture_output: bool = True
    limits: WatchLimits = field(default_factory=WatchLimits)
    authoring_defaults: str = ""
    """What holds where a DAG file says nothing, as `bundles.parse_protocol` writes it."""
    place: str = ON_LOOP


OnEnd = Callable[[Attempt, Finished, bool, float], None]
"""Hears of an attempt's end: whether its code was left behind and goes on all the same; how long it held the loop."""


class Flight:
    """One attempt in flight and what was decided about its end from outside."""

    __slots__ = ("attempt", "forced", "log", "owner", "started_at", "task", "watch")

    def __init__(self, attempt: Attempt, owner: Owner, log: InlineLog, watch: LoopWatch) -> None:
        self.watch = watch
        self.attempt = attempt
        self.owner = owner
        self.log = log
        self.task: asyncio.Task[None] | None = None
        self.started_at: datetime | None = None
        self.forced: Outcome | None = None

    def tidy(self) -> Awaitable[object] | None:
        """Ends what its code has left behind, if there is anything."""
        return self.watch.end_leftovers(self.owner) if self.owner.left_behind() else None


class LoopCarrier:
    """All attempts on one loop. `on_end` hears of each end once; `on_offence` of what attempts did to each other."""

    def __init__(
        self,
        settings: CarrierSettings,
        services: TaskServices,
        log_root: str,
        dags: DagsAtHand,
        *,
        on_end: OnEnd,
        on_offence: Callable[[LoopOffence, Attempt | None], None],
    ) -> None:
        self._settings = settings
        self._services = services
        self._log_root = log_root
        self._dags = dags
        self._on_end = on_end
        self._on_offence = on_offence
        self.flights: dict[bytes, Flight] = {}
        """By the attempt's id."""
        self._abandoned: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[Any]] = set()
        self._lifelong = contextlib.ExitStack()
        self.watch = LoopWatch(self._offended, settings.limits, place=settings.place)

    async def start(self) -> None:
        """Begins to watch the running loop and to catch what is printed."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._hostname = socket.gethostname()
        self._logs = InlineLogs(self._log_root, self._loop)
        self._threads: Threads = task_threads.get() or ThreadPoolExecutor(
            settings.threads, thread_name_prefix="tradewind-task"
        )
        self._blocking = BlockingOnLoop(self._services, self._loop)
        await self.watch.start()
        if settings.capture_output:
            CaptureInline.install(settings.log_level)
        elif not settings.limits.own_process:
            OwnLoggers.install(settings.log_level)
        self._context = contextvars.copy_context()
        if settings.authoring_defaults:
            defaults = use_defaults(defaults_from_json(settings.authoring_defaults))
            self._context.run(self._lifelong.enter_context, defaults)

    @property
    def logs(self) -> InlineLogs:
        """Where attempts on loops write."""
        return self._logs

    @property
    def threads(self) -> Threads:
        """Where sync code of attempts runs."""
        return self._threads

    @property
    def blocking(self) -> BlockingOnLoop:
        """The face of the system for code in these threads."""
        return self._blocking

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], attempt: Attempt, what: str = "trigger"
    ) -> asyncio.Task[None]:
        """Starts other user code for an attempt, such as a trigger, as a task that is watched and cleaned up after."""
        return self.spawn_as(CoroutineKind(attempt.run.dag_id, attempt.key.task_id, what), coroutine, attempt)

    def spawn_as(
        self, kind: CoroutineKind, coroutine: Coroutine[Any, Any, None], attempt: Attempt | None = None
    ) -> asyncio.Task[None]:
        """As `spawn`, for user code of this kind, which may belong to no attempt."""
        owner = self.watch.begin(kind)
        owner.subject = attempt
        return self.spawn_owned(owner, coroutine)

    def spawn_owned(self, owner: Owner, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As `spawn`, for an owner that `watch.begin` has made."""
        task = self.watch.start_task(coroutine, owner, self._context.copy())
        task.add_done_callback(lambda _: self._spawned_ended(owner))
        return task

    def _spawned_ended(self, owner: Owner) -> None:
        self.watch.end(owner)
        if owner.left_behind():
            chore = self._loop.create_task(self.watch.end_leftovers(owner), context=contextvars.Context())
            self._endings.add(chore)
            chore.add_done_callback(self._endings.discard)

    def running_uses(self, at_least: float) -> list[tuple[bytes, float]]:
        """Attempts in flight that have held the loop for `at_least` seconds, and for how long."""
        flights = self.flights.values()
        return [(f.attempt.key.attempt, f.owner.seconds) for f in flights if f.owner.seconds >= at_least]

    def begin(self, attempt: Attempt) -> None:
        """Starts the attempt as a task of its own."""
        key = attempt.key
        kind = CoroutineKind(attempt.run.dag_id, key.task_id)
        owner = self.watch.begin(kind, number_of(key.attempt))
        flight = Flight(attempt, owner, self._logs.open(attempt), self.watch)
        owner.subject = flight
        self.flights[key.attempt] = flight
        flight.task = self.watch.start_task(self._fly(flight), owner, self._context.copy())

    def cancel(self, attempt: bytes, outcome: Outcome, grace: float) -> None:
        """Cancels the attempt, which ends with `outcome`; one that does not end within `grace` seconds is reported
        ended and left behind. Unknown ones are ignored.
        """
        flight = self.flights.get(attempt)
        if flight is not None:
            ending = asyncio.Task(self._end([flight], outcome, grace), loop=self._loop)
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def stop(self, outcome: Outcome) -> None:
        """Cancels what still runs, with this outcome, and gives back what `start` took."""
        await self._end(list(self.flights.values()), outcome, STOP_GRACE)
        if self._endings:
            await asyncio.wait(self._endings)
        await self.watch.stop()
        if self._settings.capture_output:
            CaptureInline.uninstall()
        elif not self._settings.limits.own_process:
            OwnLoggers.uninstall()
        await self._logs.close()
        self._context.run(self._lifelong.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- one attempt

    async def _fly(self, flight: Flight) -> None:
        attempt = flight.attempt
        failpoint("worker.inline.began")
        flight.started_at = datetime.now(UTC)
        log = flight.log
        current_log.set(log)
        outcome: Outcome | None = None
        try:
            dag = self._dags.get(attempt.run)
            if dag is None:
                dag = await self._dags.load(attempt.run)
            outcome = await run_attempt(
                attempt, dag, self._services, blocking=self._blocking, threads=self._threads, tidy=flight.tidy
            )
        except asyncio.CancelledError as error:
            outcome = flight.forced or outcome_of_error(error)
            if (rest := flight.tidy()) is not None:
                await rest
            conclude(attempt, outcome, log)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and is_torn_down(flight.task):
                raise
            outcome = outcome_of_error(error)
            conclude(attempt, outcome, log)
        finally:
            if outcome is not None:
                self._land(flight, outcome)

    def _land(self, flight: Flight, outcome: Outcome, *, left_behind: bool = False) -> None:
        """The attempt has ended: reported once, whatever else still comes."""
        if self.flights.pop(flight.attempt.key.attempt, None) is None:
            return
        failpoint("worker.inline.ended")
        seconds = self.watch.end(flight.owner)
        flight.owner.subject = flight.attempt
        if flight.forced is not None and outcome.kind is not OutcomeKind.SUCCESS:
            outcome = flight.forced
        now = datetime.now(UTC)
        end = Finished(flight.attempt.key.attempt, outcome, flight.started_at, now, self._hostname, self._pid)
        self._on_end(flight.attempt, end, left_behind, seconds)

    async def _end(self, flights: Sequence[Flight], outcome: Outcome, grace: float) -> None:
        ending: dict[asyncio.Task[None], Flight] = {}  # without those that are being ended already
        for flight in flights:
            if flight.task is not None and flight.forced is None:
                flight.forced = outcome
                flight.task.cancel(GOES_ON if outcome.kind is OutcomeKind.LOST else None)
                ending[flight.task] = flight
        if not ending:
            return
        _, pending = await asyncio.wait(ending, timeout=grace)
        for task, flight in ending.items():
            if task in pending:
                self._abandoned.add(task)
                task.add_done_callback(self._abandoned.discard)
                late = outcome._replace(
                    reason=f"{outcome.reason}; it did not end within {grace:g} s and was left behind"
                )
                conclude(flight.attempt, late, flight.log)
                flight.forced = late
                self._land(flight, late, left_behind=True)
            elif flight.attempt.key.attempt in self.flights:
                conclude(flight.attempt, outcome, flight.log)  # cancelled before its first step
                self._land(flight, outcome)

    def _offended(self, offence: LoopOffence, owner: Owner) -> None:
        subject = owner.subject
        attempt = subject.attempt if isinstance(subject, Flight) else subject
        if not isinstance(attempt, Attempt):
            self._on_offence(offence, None)
            return
        key = attempt.key
        self._logs.open(attempt).write(text_for_author(offence), level="WARNING")
        offence = offence._replace(
            dag_run_id=attempt.run.dag_run_id, map_index=key.map_index, try_number=key.try_number
        )
        self._on_offence(offence, attempt)


def number_of(attempt: bytes) -> int:
    """A number of 64 bits for an attempt, never 0."""
    return int.from_bytes(attempt[-8:], "big") or 1
