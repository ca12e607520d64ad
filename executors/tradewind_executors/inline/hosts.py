"""The async hosts of an executor: started when first needed, one for each file and version, gone when idle."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, cast

from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt
from tradewind.model.loop import CoroutineKind, HostFacts, KindUse, LoopOffence
from tradewind.model.outcomes import ErrorInfo, Finished, Outcome
from tradewind.model.specs import DagSource
from tradewind.model.states import OutcomeKind
from tradewind.worker.dag_missing import bundle_root
from tradewind.worker.endings import lost
from tradewind.worker.guard import Owner
from tradewind.worker.log_inline import InlineLog
from tradewind.worker.loop_tally import LoopTally
from tradewind.worker.steps import conclude
from tradewind_executors.inline.host_process import HostFlight, HostProcess, HostsShared, Place
from tradewind_executors.inline.settings import InlineSettings
from tradewind_executors.inline.stays import Stay
from tradewind_executors.local.settings import worker_environment
from tradewind_executors.local.zygote_process import START_MAY_TAKE, Source, ZygoteProcess

_log = logging.getLogger(__name__)

IMPORT_DEATHS_MAX: Final = 5
"""So many deaths in a row while importing a file are an import error; so many of a nursery, a fault of the machine."""

STOPPING_MAY_TAKE: Final = 5.0
"""Seconds that idle hosts get to end when the executor stops."""


class HostsTold(NamedTuple):
    """Whom hosts tell what happens."""

    ended: Callable[[Attempt, Finished], None]
    offended: Callable[[LoopOffence, str], None]
    """With the version of the file."""


class AsyncHosts:
    """Finds or starts the host for each attempt, and keeps at most `hosts_max` idle ones."""

    def __init__(
        self, host: ExecutorHost, settings: InlineSettings, log_of: Callable[[Attempt], InlineLog], told: HostsTold
    ) -> None:
        self.counters: Counter[str] = Counter(hosts_started=0, hosts_died=0)
        self._settings = settings
        self._log_of = log_of
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._output = Path(host.log_root, "hosts.log")
        self._hosts: dict[Place, HostProcess] = {}
        self._alive: set[HostProcess] = set()
        self._by_attempt: dict[bytes, HostProcess] = {}
        self._deaths: Counter[Place] = Counter()
        self._nursery_deaths = 0
        self._nursery: ZygoteProcess | None = None
        self._nurseries: set[ZygoteProcess] = set()
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="tradewind-nursery")
        self._tally = LoopTally("hosts")
        self._stopping = False
        self._all_gone = asyncio.Event()
        self._shared = HostsShared(
            host,
            self._loop,
            {
                "log_root": host.log_root,
                "threads": settings.threads,
                "log_level": settings.level,
                "capture_output": settings.capture_output or not settings.own_process,
                "block_warn": settings.block_warn,
                "block_kill": settings.block_kill,
                "authoring_defaults": settings.authoring_defaults,
            },
            settings.block_kill,
            settings.import_timeout + START_MAY_TAKE,
            self._ended,
            self._left,
            told.offended,
            self._gone,
            self._import_failed,
            self._served,
            self._send_signal,
        )

    # -- attempts

    def begin(self, attempt: Attempt, own_kind: CoroutineKind | None) -> None:
        """Starts the attempt in its file's host, or in the one of its kind."""
        source = attempt.run.source
        place = Place(Source(source.fileloc, source.bundle_version, bundle_root(source)), own_kind)
        owner = Owner(CoroutineKind(attempt.run.dag_id, attempt.key.task_id))
        self._tally.began(owner)
        self._begin(place, HostFlight(attempt, owner))

    def take_in(self, stay: Stay, source: DagSource, own_kind: CoroutineKind | None) -> None:
        """Begins a wait or a watcher in its file's host, or in the one of its kind."""
        if self._stopping:
            stay.lost("the executor is stopping")
            return
        self._tally.began(stay.owner)
        place = Place(Source(source.fileloc, source.bundle_version, bundle_root(source)), own_kind)
        self._host_at(place).take_in(stay)

    def _begin(self, place: Place, flight: HostFlight) -> None:
        host = self._host_at(place)
        self._by_attempt[flight.attempt.key.attempt] = host
        host.begin(flight)

    def _host_at(self, place: Place) -> HostProcess:
        host = self._hosts.pop(place, None)
        if host is None or not host.takes_work:
            host = HostProcess(place, self._shared)
            self._alive.add(host)
            self.counters["hosts_started"] += 1
            self._nursery_now().run(host)
        self._hosts[place] = host  # last: the most recently used
        return host

    def cancel(self, attempt: bytes, outcome: Outcome, grace: float) -> None:
        """Has the attempt ended with this outcome."""
        host = self._by_attempt.get(attempt)
        if host is not None:
            host.cancel(attempt, outcome, grace)

    async def stop(self, outcome: Outcome) -> None:
        """Ends all hosts; what still runs in them ends with `outcome`."""
        self._stopping = True
        for nursery in self._nurseries:
            for waiting in list(nursery.waiting):
                nursery.forget(waiting)
                waiting.not_started("the executor is stopping")
        for host in list(self._alive):
            for attempt in list(host.flights):
                host.cancel(attempt, outcome, 0.0)
            if not host.is_idle or host.state == "starting":
                host.kill()
            else:
                host.leave()
        if self._alive:
            self._all_gone.clear()
            try:
                async with asyncio.timeout(STOPPING_MAY_TAKE):
                    await self._all_gone.wait()
            except TimeoutError:
                _log.warning("%d async hosts did not end in time and are killed", len(self._alive))
        for nursery in list(self._nurseries):
            nursery.close()
            await nursery.wait()
        self._spawner.shutdown(wait=False)

    # -- for those who look on

    def facts(self) -> list[HostFacts]:
        """The hosts that are there."""
        return sorted((host.facts for host in self._alive), key=lambda facts: (facts.fileloc, facts.pid or 0))

    def uses(self) -> list[KindUse]:
        """What coroutines in hosts have used."""
        return self._tally.uses()

    # -- what hosts say

    def _ended(self, host: HostProcess, flight: HostFlight, end: Finished) -> None:
        key = flight.attempt.key.attempt
        self._by_attempt.pop(key, None)
        self._tally.ended(flight.owner, flight.owner.seconds)
        if end.started_at is None:
            conclude(flight.attempt, end.outcome, self._log_of(flight.attempt))  # nobody else can say so
        self._told.ended(flight.attempt, end)
        self._may_rest(host)

    def _left(self, host: HostProcess, stay: Stay) -> None:
        self._tally.ended(stay.owner, stay.owner.seconds)
        self._may_rest(host)

    def _may_rest(self, host: HostProcess) -> None:
        if host.is_idle and host.takes_work and host.state == "serving" and not self._stopping:
            host.idle_timer = self._loop.call_later(self._settings.host_idle, self._let_go, host)
            self._trim()

    def _served(self, host: HostProcess) -> None:
        self._deaths.pop(host.place, None)
        if host.is_idle:
            host.idle_timer = self._loop.call_later(self._settings.host_idle, self._let_go, host)

    def _import_failed(self, host: HostProcess, error: ErrorInfo) -> None:
        self._deaths.pop(host.place, None)
        self._forget(host)
        reason = f"{host.place.source.fileloc} could not be imported"
        self._end_all(host, Outcome(OutcomeKind.FAILED, error=error, reason=reason))

    def _gone(self, host: HostProcess, ending: str) -> None:
        self._alive.discard(host)
        self._forget(host)
        if host.idle_timer is not None:
            host.idle_timer.cancel()
        if not ending.endswith("exit code 0"):
            self.counters["hosts_died"] += 1
            _log.warning("the async host of %s %s", host.place.source.fileloc, ending)
        if not host.is_idle:
            self._died_while_importing(host, ending)
        if not self._alive:
            self._all_gone.set()

    def _died_while_importing(self, host: HostProcess, ending: str) -> None:
        flights = list(host.flights.values())
        self._deaths[host.place] += not host.was_refused
        if self._stopping:
            self._end_all(host, lost("the executor was stopped"))
        elif host.was_refused:
            self._end_all(host, lost(f"its async host {ending}"))
        elif self._deaths[host.place] >= IMPORT_DEATHS_MAX:
            deaths = self._deaths.pop(host.place)
            reason = (
                f"{host.place.source.fileloc} ends the process that imports it: {deaths} times in a row it {ending}"
            )
            self._end_all(host, Outcome(OutcomeKind.FAILED, reason=reason))
        else:
            stays = list(host.stays.values())
            host.flights.clear()
            host.stays.clear()
            for flight in flights:
                self._begin(host.place, flight)
            for stay in stays:
                self._host_at(host.place).take_in(stay)

    def _end_all(self, host: HostProcess, outcome: Outcome) -> None:
        for flight in list(host.flights.values()):
            host.end(flight, flight.forced or outcome)
        error = outcome.error.traceback if outcome.error is not None else outcome.reason or ""
        for stay in host.stays.values():
            stay.cannot_be = error if outcome.kind is OutcomeKind.FAILED else None
        host.end_stays(outcome.reason or "")

    def _let_go(self, host: HostProcess) -> None:
        if host.is_idle and host.state == "serving":
            self._forget(host)
            host.leave()

    def _trim(self) -> None:
        idle: Iterable[HostProcess] = [h for h in self._hosts.values() if h.is_idle and h.state == "serving"]
        for host in list(idle)[: max(len(self._hosts) - self._settings.hosts_max, 0)]:
            self._let_go(host)

    def _forget(self, host: HostProcess) -> None:
        if self._hosts.get(host.place) is host:
            del self._hosts[host.place]

    def _send_signal(self, host: HostProcess, signum: int, alone: bool) -> None:
        for nursery in self._nurseries:
            if host in nursery.children.values():
                nursery.kill(host, signum, alone=alone)

    # -- the nursery

    def _nursery_now(self) -> ZygoteProcess:
        nursery = self._nursery
        if nursery is None or nursery.gone:
            module = "tradewind.worker.async_nursery"
            nursery = self._nursery = ZygoteProcess(Source("", "", None), self, self._loop, {}, module=module)
            self._nurseries.add(nursery)
            nursery.start(self._spawner, self._output, worker_environment())
        return nursery

    def zygote_loaded(self, zygote: ZygoteProcess) -> None:
        """It has imported what all hosts need."""
        self._nursery_deaths = 0

    def zygote_failed(self, zygote: ZygoteProcess, error: ErrorInfo) -> None:
        """It imports nothing that could fail."""

    def zygote_gone(self, zygote: ZygoteProcess, ending: str) -> None:
        """Its process has ended, and with it the hosts that it had forked."""
        self._nurseries.discard(zygote)
        if self._nursery is zygote:
            self._nursery = None
        waiting = [cast("HostProcess", attendant) for attendant in zygote.waiting]
        zygote.waiting.clear()
        if not waiting:
            return
        self._nursery_deaths += 1
        for host in waiting:
            if self._stopping or self._nursery_deaths >= IMPORT_DEATHS_MAX:
                self._end_all(host, lost(f"the process that starts async hosts {ending}"))
                host.not_started(f"the process that starts them {ending}")
            else:
                self._nursery_now().run(host)

    def zygote_idle(self, zygote: ZygoteProcess) -> None:
        """No host is there any more: a nursery costs little, but not nothing."""
        if not zygote.gone:
            zygote.idle_timer = self._loop.call_later(self._settings.host_idle, self._close_idle, zygote)

    def _close_idle(self, zygote: ZygoteProcess) -> None:
        if not zygote.busy and not zygote.gone:
            zygote.close()
