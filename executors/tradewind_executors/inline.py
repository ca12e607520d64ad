"""The inline executor: async tasks as coroutines on the runtime's own loop, sync ones in threads.

Nothing stands between a submitted attempt and its first step but one `asyncio.Task`. Each has its
own context: its log and its face of the system are found through context variables, and a guard
knows whose code holds the loop. What user code raises, SystemExit included, stays in its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from tradewind.authoring.access import current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.executor_ports import ExecutorHost
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.errors import ConfigError, ExecutorError
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.specs import Json
from tradewind.model.states import OutcomeKind
from tradewind.worker.attempt import is_torn_down, run_attempt
from tradewind.worker.blocking import BlockingOnLoop
from tradewind.worker.dag_cache import DagCache
from tradewind.worker.endings import lost, outcome_of_error
from tradewind.worker.guard import Blocked, LoopGuard, Owner
from tradewind.worker.log import current_log
from tradewind.worker.log_capture import CaptureInline
from tradewind.worker.log_inline import InlineLogs
from tradewind.worker.steps import conclude

_log = logging.getLogger(__name__)
_OFFENCES_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class InlineSettings:
    """The executor's section of the configuration. Durations are seconds."""

    max_in_flight: int = 512
    threads: int = 32
    """How many sync tasks run at once, each in a thread."""
    block_warn: float = 0.1
    block_kill: float = 10.0
    log_level: str = "INFO"
    capture_output: bool = True
    authoring_defaults: str = ""
    """What holds where a DAG file says nothing, as `bundles.parse_protocol` writes it."""

    @staticmethod
    def of(section: Mapping[str, Json]) -> InlineSettings:
        """Reads the section. Raises ConfigError for values that cannot be; other executors' names are ignored."""
        default = InlineSettings()
        return InlineSettings(
            max_in_flight=_positive(section, "max_in_flight", default.max_in_flight, int),
            threads=_positive(section, "threads", default.threads, int),
            block_warn=_positive(section, "block_warn", default.block_warn, float),
            block_kill=_positive(section, "block_kill", default.block_kill, float),
            log_level=str(section.get("log_level", default.log_level)).upper(),
            capture_output=bool(section.get("capture_output", default.capture_output)),
            authoring_defaults=str(section.get("authoring_defaults", "")),
        )


def _positive(section: Mapping[str, Json], name: str, default: Any, kind: type) -> Any:
    value = section.get(name, default)
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = 0
    if number <= 0:
        raise ConfigError(f"executors.inline.{name}: a number above 0 is needed, not {value!r}")
    return number


class _Flight:
    """One attempt in flight and what was decided about its end from outside."""

    __slots__ = ("attempt", "forced", "owner", "started_at", "task")

    def __init__(self, attempt: Attempt, owner: Owner) -> None:
        self.attempt = attempt
        self.owner = owner
        self.task: asyncio.Task[None] | None = None
        self.started_at: datetime | None = None
        self.forced: Outcome | None = None


class InlineExecutor:
    """Carries attempts out on the running loop."""

    kind: str = "inline"
    starts_at_once: bool = True

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight] = {}
        self._abandoned: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._dags = DagCache()
        self._host: ExecutorHost | None = None
        self._settings = InlineSettings()
        self._lifelong = contextlib.ExitStack()
        self._stopping = False
        self._empty = asyncio.Event()
        self.blocked: list[Blocked] = []
        """The latest reports of code that held the loop."""

    # -- the port

    async def start(self, host: ExecutorHost) -> None:
        """Takes its settings and begins to watch the loop. Raises ConfigError."""
        self._settings = settings = InlineSettings.of(host.settings)
        level = logging.getLevelNamesMapping().get(settings.log_level)
        if level is None:
            raise ConfigError(f"executors.inline.log_level: no level is called {settings.log_level!r}")
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._hostname = socket.gethostname()
        self._logs = InlineLogs(host.log_root, self._loop)
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="tradewind-task")
        self._blocking = BlockingOnLoop(host.services, self._loop)
        self._guard = LoopGuard(self._on_blocked, warn_after=settings.block_warn, kill_after=settings.block_kill)
        await self._guard.start()
        self._older_factory = self._loop.get_task_factory()
        self._loop.set_task_factory(cast("Any", self._make_task))
        if settings.capture_output:
            CaptureInline.install(level)
        self._context = contextvars.copy_context()
        if settings.authoring_defaults:
            defaults = use_defaults(defaults_from_json(settings.authoring_defaults))
            self._context.run(self._lifelong.enter_context, defaults)

    def register_dag(self, dag: DAG) -> None:
        """A DAG of the embedding program: its attempts need no import of a file."""
        self._dags.register(dag)

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now."""
        return 0 if self._stopping else max(self._settings.max_in_flight - len(self._flights), 0)

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Starts each as a task of its own."""
        for attempt in attempts:
            if self._stopping:
                self._tell(attempt, None, lost("the executor is stopping"))
                continue
            if attempt.key.attempt in self._flights:
                continue
            owner = Owner(attempt.run.dag_id, attempt.key.task_id)
            flight = _Flight(attempt, owner)
            self._flights[attempt.key.attempt] = flight
            coroutine = self._guard.wrap(self._fly(flight), owner)
            flight.task = asyncio.Task(coroutine, loop=self._loop, context=self._context.copy())

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """Cancels the attempt's task and returns; one that does not end within `grace` is reported ended and left
        behind.
        """
        flight = self._flights.get(key.attempt)
        if flight is not None:
            outcome = Outcome(OutcomeKind.CANCELLED, reason="ended from outside")
            ending = asyncio.Task(self._end([flight], outcome, grace.total_seconds()), loop=self._loop)
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Coroutines do not outlive their process: only what this one runs is found."""
        return {key for key in keys if key.attempt in self._flights}

    async def stop(self, *, drain: timedelta | None) -> None:
        """Lets attempts end for `drain`, then cancels them as lost. Twice is allowed."""
        if self._host is None or self._stopping:
            return
        self._stopping = True
        if drain is not None and self._flights:
            self._empty.clear()
            try:
                async with asyncio.timeout(drain.total_seconds()):
                    await self._empty.wait()
            except TimeoutError:
                pass
        await self._end(list(self._flights.values()), lost("the runtime was stopped"), 5.0)
        if self._endings:
            await asyncio.wait(self._endings)
        await self._guard.stop()
        if self._loop.get_task_factory() == self._make_task:
            self._loop.set_task_factory(self._older_factory)
        if self._settings.capture_output:
            CaptureInline.uninstall()
        await self._logs.close()
        self._context.run(self._lifelong.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- one attempt

    async def _fly(self, flight: _Flight) -> None:
        attempt = flight.attempt
        host = self._host
        if host is None:
            raise ExecutorError("the inline executor has not been started")
        failpoint("worker.inline.began")
        flight.started_at = datetime.now(UTC)
        log = self._logs.open(attempt)
        current_log.set(log)
        outcome: Outcome | None = None
        try:
            dag = self._dags.get(attempt.run)
            if dag is None:
                dag = await self._dags.load(attempt.run)
            outcome = await run_attempt(attempt, dag, host.services, blocking=self._blocking, threads=self._threads)
        except asyncio.CancelledError as error:
            outcome = flight.forced or outcome_of_error(error)
            conclude(attempt, outcome, log)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and is_torn_down(flight.task):
                raise
            outcome = outcome_of_error(error)
            conclude(attempt, outcome, log)
        finally:
            if outcome is not None:
                self._land(flight, outcome)

    def _land(self, flight: _Flight, outcome: Outcome) -> None:
        """The attempt has ended: reported once, whatever else still comes."""
        if self._flights.pop(flight.attempt.key.attempt, None) is None:
            return
        failpoint("worker.inline.ended")
        if flight.forced is not None and outcome.kind is not OutcomeKind.SUCCESS:
            outcome = flight.forced
        self._tell(flight.attempt, flight.started_at, outcome)
        if not self._flights:
            self._empty.set()

    def _tell(self, attempt: Attempt, started_at: datetime | None, outcome: Outcome) -> None:
        if self._host is not None:
            key, now = attempt.key, datetime.now(UTC)
            end = Finished(key.attempt, outcome, started_at, now, self._hostname, self._pid)
            self._host.finished(key, end)
            self._host.slots_changed()

    async def _end(self, flights: Sequence[_Flight], outcome: Outcome, grace: float) -> None:
        tasks: list[asyncio.Task[None]] = []
        for flight in flights:
            if flight.task is not None and flight.forced is None:
                flight.forced = outcome
                flight.task.cancel()
                tasks.append(flight.task)
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=grace)
        for flight in flights:
            task = flight.task
            if task is None:
                continue
            if task in pending:
                self._abandoned.add(task)
                task.add_done_callback(self._abandoned.discard)
                late = outcome._replace(
                    reason=f"{outcome.reason}; it did not end within {grace:g} s and was left behind"
                )
                conclude(flight.attempt, late, self._logs.open(flight.attempt))
                flight.forced = late
                self._land(flight, late)
            elif flight.attempt.key.attempt in self._flights:
                self._land(flight, outcome)  # cancelled before its first step

    # -- the guard

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **kwargs: Any
    ) -> asyncio.Future[Any]:
        """The loop's task factory: coroutines that user code starts are watched like the attempt's own."""
        context: contextvars.Context | None = kwargs.get("context")
        current = current_attempt.get(None) if context is None else context.get(current_attempt)
        flight = self._flights.get(current.attempt.key.attempt) if current is not None else None
        if flight is not None and asyncio.iscoroutine(coroutine):
            coroutine = self._guard.wrap(coroutine, flight.owner)
        if self._older_factory is not None:
            return self._older_factory(loop, coroutine, **kwargs)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    def _on_blocked(self, blocked: Blocked) -> None:
        self.blocked.append(blocked)
        del self.blocked[:-_OFFENCES_KEPT]
        owner = blocked.owner
        _log.warning(
            "task %s of DAG %s held the event loop for %.2f s%s at %s:%d in %s",
            owner.task_id,
            owner.dag_id,
            blocked.seconds,
            " and is interrupted" if blocked.interrupted else "",
            blocked.file,
            blocked.line,
            blocked.function,
        )
        for flight in self._flights.values():
            if flight.owner is owner:
                self._logs.open(flight.attempt).write(
                    f"This task held the event loop for {blocked.seconds:.2f} s without awaiting anything; "
                    f"everything else stood still. It was at\n{blocked.stack.rstrip()}",
                    level="WARNING",
                )
                break
