"""The inline executor's port: it decides where each attempt runs, and tells how they all get on."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from tradewind.authoring.dag import DAG
from tradewind.executor_ports import ExecutorHost, WatchHost
from tradewind.model.attempts import Attempt, AttemptKey, WaitStart
from tradewind.model.errors import ConfigError
from tradewind.model.keys import RunId
from tradewind.model.loop import CoroutineKind, LoopOffence, LoopReport, OffenceKind
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.specs import DagSource
from tradewind.model.states import OutcomeKind
from tradewind.model.watches import WatchStart
from tradewind.rules.offences import OFFENCE_WINDOW, OFFENCES_MAX, Offenders
from tradewind.worker.carrier import STOP_GRACE, CarrierSettings, LoopCarrier
from tradewind.worker.dag_cache import DagCache
from tradewind.worker.endings import lost
from tradewind.worker.loop_tally import by_use
from tradewind.worker.loop_watch import WatchLimits, say_offence
from tradewind.worker.trigger_life import LifeMeans, Report
from tradewind.worker.trigger_runner import Means, TriggerRunner
from tradewind.worker.watch_runner import Tells, WatchMeans, WatchRunner
from tradewind_executors.inline.hosts import AsyncHosts, HostsTold
from tradewind_executors.inline.settings import HOST, LOOP, InlineSettings, isolation_of
from tradewind_executors.inline.stays import HostedWait, Stay, live_watch

_log = logging.getLogger(__name__)
_OFFENCES_KEPT: Final = 1000
_MOVABLE: Final = frozenset({"task", "trigger", "watcher"})
"""What can be given a host of its own; a client goes with who uses it."""
AT_ONCE: Final = 32
"""Attempts that begin in one turn of the loop."""


class InlineExecutor:
    """Carries attempts out on the running loop, or on those of async hosts."""

    kind: str = "inline"
    starts_at_once: bool = True

    def __init__(self) -> None:
        self._dags = DagCache()
        self._host: ExecutorHost | None = None
        self._settings = InlineSettings()
        self._on_hosts: dict[bytes, Attempt] = {}
        self._stopping = False
        self._empty = asyncio.Event()
        self._offenders = Offenders()
        self._all_on_loop = True
        """Whether nothing but a task's own wish can send it to a host."""
        self._counters: Counter[str] = Counter()
        self.offences: deque[LoopOffence] = deque(maxlen=_OFFENCES_KEPT)
        """The latest reports of what coroutines did to others, the newest last."""
        self.on_offence: list[Callable[[LoopOffence], None]] = []
        """Called with each new report."""

    # -- the port

    async def start(self, host: ExecutorHost) -> None:
        """Takes its settings and begins to watch the loop. Raises ConfigError."""
        self._settings = settings = InlineSettings.of(host.settings)
        self._host = host
        self._dags.load_within = settings.import_timeout
        self._all_on_loop = settings.isolation == LOOP
        self._carrier = LoopCarrier(
            CarrierSettings(
                settings.threads,
                settings.level,
                settings.capture_output,
                WatchLimits(settings.block_warn, settings.block_kill, settings.own_process),
                settings.authoring_defaults,
            ),
            host.services,
            host.log_root,
            self._dags,
            on_end=self._ended,
            on_offence=self._offended_here,
        )
        await self._carrier.start()
        self._triggers = TriggerRunner(
            Means(
                host=host,
                here=LifeMeans(
                    dags=self._dags,
                    services=host.services,
                    blocking=self._carrier.blocking,
                    threads=self._carrier.threads,
                    open_log=self._carrier.logs.open,
                ),
                spawn=self._carrier.spawn,
                elsewhere=self._wait_in_host,
            )
        )
        told = HostsTold(self._ended_on_host, self._offended)
        self._watches = WatchRunner(
            WatchMeans(
                self._dags,
                host.services,
                self._carrier.blocking,
                lambda work, kind: self._carrier.spawn_as(kind, work),
                self._watch_in_host,
            )
        )
        self._hosts = AsyncHosts(host, settings, self._carrier.logs.open, told)

    def register_dag(self, dag: DAG) -> None:
        """A DAG of the embedding program: its attempts need no import of a file, and cannot leave this process."""
        self._dags.register(dag)

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now."""
        return 0 if self._stopping else max(self._settings.max_in_flight - self._in_flight(), 0)

    def _in_flight(self) -> int:
        return len(self._carrier.flights) + len(self._on_hosts) if self._host is not None else 0

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Starts each where it belongs; many by and by: the first steps of all at once would hold up the loop."""
        for n, attempt in enumerate(attempts, 1):
            if n % AT_ONCE == 0:
                await asyncio.sleep(0)
            key = attempt.key.attempt
            if self._stopping:
                self._refuse(attempt, lost("the executor is stopping"))
            elif key in self._carrier.flights or key in self._on_hosts:
                continue
            elif self._all_on_loop and "executor_config" not in attempt.task.extra:
                self._carrier.begin(attempt)
            else:
                self._begin(attempt)

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """Cancels the attempt's task and returns; one that does not end within `grace` is reported ended and left
        behind, in a host that ends as soon as its other attempts have ended.
        """
        outcome = Outcome(OutcomeKind.CANCELLED, reason="ended from outside")
        if key.attempt in self._on_hosts:
            self._hosts.cancel(key.attempt, outcome, grace.total_seconds())
        elif self._host is not None:
            self._carrier.cancel(key.attempt, outcome, grace.total_seconds())

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Coroutines do not outlive their runtime: only what this one runs is found."""
        if self._host is None:
            return set()
        return {key for key in keys if key.attempt in self._carrier.flights or key.attempt in self._on_hosts}

    async def stop(self, *, drain: timedelta | None) -> None:
        """Lets attempts end for `drain`, then cancels them as lost. Twice is allowed."""
        if self._host is None or self._stopping:
            return
        self._stopping = True
        await self._watches.stop()
        if drain is not None:
            await self._until_empty(drain.total_seconds())
        await self._triggers.stop()
        outcome = lost("the runtime was stopped")
        for key in list(self._on_hosts):
            self._hosts.cancel(key, outcome, STOP_GRACE)
        if self._on_hosts:
            await self._until_empty(STOP_GRACE + 1.0)
        await self._hosts.stop(outcome)
        await self._carrier.stop(outcome)

    # -- waits

    def begin_waits(self, starts: Sequence[WaitStart]) -> None:
        """Carries waits out, beside the attempts and without a place among them."""
        self._triggers.begin(starts)

    def end_waits(self, starts: Sequence[WaitStart]) -> None:
        """Ends waits; each is reported when it is gone."""
        self._triggers.end(starts)

    def waits_of(self, run_ids: AbstractSet[RunId]) -> Sequence[WaitStart]:
        """The waits of these runs that are under way here."""
        return self._triggers.of(run_ids)

    def drop_waits(self) -> None:
        """Lets go of all waits."""
        self._triggers.drop()

    def carry_watches(self, host: WatchHost, starts: Sequence[WatchStart]) -> None:
        """Carries out these watchers of assets, and no others."""
        self._watches.carry(host, starts)

    # -- within

    async def _until_empty(self, seconds: float) -> None:
        self._empty.clear()
        if self._in_flight():
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                return

    # -- where attempts run

    def _begin(self, attempt: Attempt) -> None:
        try:
            isolation = isolation_of(attempt, self._settings.isolation)
        except ConfigError as error:
            self._refuse(attempt, Outcome(OutcomeKind.FAILED_FOR_GOOD, reason=str(error)))
            return
        kind = CoroutineKind(attempt.run.dag_id, attempt.key.task_id)
        own = self._offenders.is_isolated(kind, attempt.run.source.bundle_version)
        if self._belongs_in_host(kind, attempt.run.source, isolation):
            self._on_hosts[attempt.key.attempt] = attempt
            self._hosts.begin(attempt, kind if own else None)
        else:
            self._carrier.begin(attempt)

    def _belongs_in_host(self, kind: CoroutineKind, source: DagSource, isolation: str) -> bool:
        """What was handed over as an object has no file that a host could load."""
        own = self._offenders.is_isolated(kind, source.bundle_version)
        return (own or isolation == HOST) and not self._dags.is_registered(kind.dag_id)

    def _wait_in_host(self, start: WaitStart, report: Report) -> HostedWait | None:
        attempt = start.attempt
        if self._all_on_loop and "executor_config" not in attempt.task.extra:
            return None
        source, kind = attempt.run.source, CoroutineKind(attempt.run.dag_id, attempt.key.task_id, "trigger")
        try:
            isolation = isolation_of(attempt, self._settings.isolation)
        except ConfigError:  # the attempt would not have been begun
            isolation = self._settings.isolation
        if not self._belongs_in_host(kind, source, isolation):
            return None
        return HostedWait(partial(self._take_in, source), start, report, partial(self._carrier.logs.open, attempt))

    def _watch_in_host(self, start: WatchStart, kind: CoroutineKind, tells: Tells) -> Coroutine[Any, Any, None] | None:
        if not self._belongs_in_host(kind, start.source, self._settings.isolation):
            return None
        return live_watch(partial(self._take_in, start.source), start, kind, tells)

    def _take_in(self, source: DagSource, stay: Stay) -> None:
        kind = stay.owner.kind
        own = self._offenders.is_isolated(kind, source.bundle_version)
        self._hosts.take_in(stay, source, kind if own else None)

    def _refuse(self, attempt: Attempt, outcome: Outcome) -> None:
        self._report(attempt, Finished(attempt.key.attempt, outcome, None, datetime.now(UTC)))

    def _ended(self, attempt: Attempt, end: Finished, left_behind: bool, seconds: float) -> None:
        self._report(attempt, end)

    def _ended_on_host(self, attempt: Attempt, end: Finished) -> None:
        self._on_hosts.pop(attempt.key.attempt, None)
        self._report(attempt, end)

    def _report(self, attempt: Attempt, end: Finished) -> None:
        if self._host is not None:
            self._host.finished(attempt.key, end)
            self._host.slots_changed()
        if not self._on_hosts and not self._carrier.flights:
            self._empty.set()

    # -- how they get on

    def _offended_here(self, offence: LoopOffence, attempt: Attempt | None) -> None:
        version = self._watches.version_of(offence.kind) if attempt is None else attempt.run.source.bundle_version
        self._offended(offence, version)

    def _offended(self, offence: LoopOffence, version: str) -> None:
        self.offences.append(offence)
        self._counters[offence.offence.value] += 1
        self._counters["interrupted"] += offence.interrupted
        say_offence(offence)
        for hear in self.on_offence:
            hear(offence)
        if offence.offence is OffenceKind.LEAKED:
            return
        weight = OFFENCES_MAX if offence.offence is OffenceKind.ENDED_ITS_HOST else 1
        now = asyncio.get_running_loop().time()
        for kind in self._answerable(offence.kind):
            if self._offenders.offended(kind, version, now, weight=weight):
                self._all_on_loop = False
                self._say_isolated(offence._replace(kind=kind))
                if kind.what == "watcher" and offence.offence is OffenceKind.BLOCKED:
                    self._watches.move(kind)

    def _answerable(self, kind: CoroutineKind) -> list[CoroutineKind]:
        """Who is sent away for it: for a client the code that has it opened."""
        if kind.what in _MOVABLE:
            return [kind]
        known = {use.kind for use in (*self._carrier.watch.tally.uses(), *self._hosts.uses())}
        return [user for what in sorted(_MOVABLE) if (user := kind._replace(what=what)) in known]

    def _say_isolated(self, offence: LoopOffence) -> None:
        if self._dags.is_registered(offence.kind.dag_id):
            _log.warning(
                "%s has blocked the event loop %d times in %d minutes; its DAG was handed over as an object, so it "
                "cannot be given a process of its own",
                offence.kind,
                OFFENCES_MAX,
                OFFENCE_WINDOW / 60,
            )
            return
        because = (
            "has ended its async host"
            if offence.offence is OffenceKind.ENDED_ITS_HOST
            else f"has blocked its event loop {OFFENCES_MAX} times in {OFFENCE_WINDOW / 60:g} minutes"
        )
        _log.warning(
            "%s %s: from now on it starts in an async host of its own, until its DAG file changes or the runtime "
            "starts anew; %s",
            offence.kind,
            because,
            "so it begins anew" if offence.kind.what == "watcher" else "what runs already stays where it is",
        )

    def loop_report(self) -> LoopReport:
        """How the coroutines of this runtime share its loop and those of its hosts."""
        if self._host is None:
            return LoopReport(self._settings.isolation)
        uses = by_use([*self._carrier.watch.tally.uses(), *self._hosts.uses()])
        counters: dict[str, float] = {kind.value: self._counters[kind.value] for kind in OffenceKind}
        counters["interrupted"] = self._counters["interrupted"]
        counters["in_flight_on_loop"] = len(self._carrier.flights)
        counters["in_flight_on_hosts"] = len(self._on_hosts)
        return LoopReport(
            self._settings.isolation,
            tuple(reversed(self.offences)),
            tuple(uses),
            tuple(self._offenders.isolated),
            tuple(self._hosts.facts()),
            {**counters, **self._hosts.counters},
        )
