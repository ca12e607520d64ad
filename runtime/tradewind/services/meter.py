"""Tells what the parts of a runtime hold in memory as metrics, when somebody asks, and does nothing otherwise.

Counters are kept by those who hear of commits and offences anyway. What stands now (runs, task instances, pools) is
looked up when it is asked for, a part of the runs in each turn of the loop: nobody waits, however many there are.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from tradewind.model.keys import RunId
from tradewind.model.loop import ON_LOOP, KindUse, LoopOffence, LoopReport, OffenceKind
from tradewind.model.metrics import Metric, MetricKind, MetricSample
from tradewind.model.states import RUN_FINISHED, RunState, TaskState
from tradewind.model.watches import WatchFacts
from tradewind.rules.admission import PARALLELISM, pool_limit
from tradewind.rules.run_machine import RunMachine
from tradewind.services.bundle_watcher import BundleWatcher
from tradewind.services.commit_counts import CommitCounts
from tradewind.services.counting import Buckets, Counts, Names, counter, counters, gauge, gauges
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.permit_keeper import PermitKeeper
from tradewind.services.rescuer import Rescuer
from tradewind.services.scheduler import Scheduler

AT_A_TIME: Final = 500
"""Runs looked at in one turn of the loop."""

BLOCK_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PARSE_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_NOW: Final = (
    TaskState.SCHEDULED,
    TaskState.QUEUED,
    TaskState.RUNNING,
    TaskState.DEFERRED,
    TaskState.UP_FOR_RETRY,
    TaskState.UP_FOR_RESCHEDULE,
    TaskState.RESTARTING,
)
_KIND: Final = ("dag_id", "task_id", "what")


@dataclass(frozen=True, slots=True)
class Metered:
    """The parts that are asked."""

    scheduler: Scheduler
    dispatcher: Dispatcher
    permits: PermitKeeper
    rescuer: Rescuer
    watches: Callable[[], list[WatchFacts]]
    events_taken: Counter[str]
    """Events from outside, by how they came."""


class Meter:
    """The metrics of one runtime. `series`: how many DAGs, and how many tasks, have series of their own. `runs`: those
    that it has in memory.
    """

    def __init__(self, series: int, runs: Mapping[RunId, RunMachine]) -> None:
        self.commits = CommitCounts(Names(series), runs)
        self._kinds = Names(series)
        self._offences = Counts(self._kinds)
        self._blocks = Buckets(BLOCK_BOUNDS)
        self._parse_seconds = Buckets(PARSE_BOUNDS)
        self._parsed = Counter({"ok": 0, "error": 0})
        self._watcher: BundleWatcher | None = None

    # -- what is heard

    def offended(self, offence: LoopOffence) -> None:
        """A coroutine has held up others."""
        self._offences.add(offence.kind, (offence.offence,))
        if offence.offence is OffenceKind.BLOCKED:
            self._blocks.observe(offence.seconds)

    def follow(self, watcher: BundleWatcher) -> None:
        """This one reads DAG files from now on."""
        self._watcher = watcher
        watcher.on_parsed.append(self._file_parsed)

    def _file_parsed(self, seconds: float, failed: bool) -> None:
        self._parsed["error" if failed else "ok"] += 1
        self._parse_seconds.observe(seconds)

    # -- what is told

    async def collect(self, of: Metered) -> list[Metric]:
        """Everything, as it is now."""
        began = perf_counter()
        await asyncio.sleep(0)
        lag = perf_counter() - began
        found = [gauge("loop_lag_seconds", "How long the loop took to come back to a callback just now.", lag)]
        found += await _standing(of.scheduler)
        found += self.commits.metrics()
        found += self._of_scheduler(of)
        found += self._of_loop(of.dispatcher.loop_report())
        found += _of_limits(of)
        found += _of_events(of)
        found += self._of_files()
        return found

    def _of_scheduler(self, of: Metered) -> Iterator[Metric]:
        committer = of.scheduler.committer
        yield committer.took.metric("commit_duration_seconds", "How long commits of the scheduler's turns took.")
        yield counter(
            "scheduler_turns", "Turns of the scheduler: each takes in events and decides.", of.scheduler.turns
        )
        yield gauge("dags", "DAGs that this runtime owns.", len(of.scheduler.book.dags))
        lost = "How often the database was lost while a commit was on its way."
        yield counter("database_outages", lost, committer.outages)
        finds = [("rescuer", of.rescuer.sweep_finds)]
        if self._watcher is not None:
            finds.append(("dag_files", self._watcher.sweep_finds))
        sweeps = "What sweeps found that an event should have told; 0 in a healthy system."
        yield counters("sweep_finds", sweeps, "part", finds)

    def _of_loop(self, report: LoopReport) -> Iterator[Metric]:
        yield self._offences.metric(
            "loop_offences",
            "Coroutines that blocked the loop, left tasks behind or ended their host.",
            *_KIND,
            "offence",
        )
        yield self._blocks.metric("loop_blocked_seconds", "How long blocks of the loop that were reported lasted.")
        told = report.counters
        interrupted = "Coroutines that blocked the loop for so long that they were interrupted."
        yield counter("loop_interrupted", interrupted, told.get("interrupted", 0))
        yield self._used(report.kinds)
        flights = [(place, told.get(f"in_flight_on_{place}", 0)) for place in (ON_LOOP, "hosts")]
        yield gauges("async_attempts", "Attempts of async tasks in flight, by where.", "place", flights)
        isolated = "Kinds of coroutines whose new starts go to async hosts of their own."
        yield gauge("coroutine_kinds_isolated", isolated, len(report.isolated))
        states = Counter(facts.state for facts in report.hosts)
        hosts = [(state, states[state]) for state in ("starting", "serving", "leaving")]
        yield gauges("async_hosts", "Async hosts (processes with a loop of their own) by state.", "state", hosts)
        yield counter("async_hosts_started", "Async hosts that were started.", told.get("hosts_started", 0))
        yield counter("async_hosts_died", "Async hosts that ended unasked.", told.get("hosts_died", 0))

    def _used(self, uses: tuple[KindUse, ...]) -> Metric:
        sums: dict[tuple[str, ...], float] = {}
        for use in uses:
            key = (*self._kinds.shown(use.kind), ON_LOOP if use.place == ON_LOOP else "hosts")
            sums[key] = sums.get(key, 0.0) + use.loop_seconds
        doc = (
            "How long coroutines of a kind have held the loop they run on: their CPU, and what else they did not await."
        )
        samples = [MetricSample(key, seconds) for key, seconds in sums.items()]
        return Metric("coroutine_loop_seconds", MetricKind.COUNTER, doc, (*_KIND, "place"), samples)

    def _of_files(self) -> Iterator[Metric]:
        outcomes = self._parsed.items()
        yield counters(
            "dag_files_parsed", "DAG files that were read because they were new or changed.", "outcome", outcomes
        )
        yield self._parse_seconds.metric("dag_file_parse_duration_seconds", "How long reading a DAG file took.")
        known, failing = (0, 0) if self._watcher is None else self._watcher.files()
        yield gauge("dag_files", "DAG files that are known.", known)
        yield gauge("dag_import_errors", "DAG files that do not load.", failing)


async def _standing(scheduler: Scheduler) -> list[Metric]:
    """Runs and task instances by state, as the run machines count them."""
    runs: Counter[RunState] = Counter()
    tasks: Counter[TaskState] = Counter()
    machines = list(scheduler.book.runs.values())
    for first in range(0, len(machines), AT_A_TIME):
        if first:
            await asyncio.sleep(0)
        for machine in machines[first : first + AT_A_TIME]:
            runs[machine.run.state] += 1
            for state, count in machine.counts.items():
                if count:
                    tasks[state] += count
    active = [(state.value, float(runs[state])) for state in RunState if state not in RUN_FINISHED]
    waiting = [(state.value, float(tasks[state])) for state in _NOW]
    return [
        gauges("runs", "Runs of this runtime's DAGs that have not finished, by state.", "state", active),
        gauges("task_instances", "Task instances of these runs that are under way, by state.", "state", waiting),
    ]


def _of_limits(of: Metered) -> Iterator[Metric]:
    admission = of.scheduler.book.admission
    pools = [(name, pool_limit(name)) for name in of.permits.pools()]
    granted = "Slots of a pool that this runtime may use (alone: all; -1: without limit)."
    yield gauges("pool_slots", granted, "pool", [(name, admission.size(limit)) for name, limit in pools])
    used = [(name, admission.used(limit)) for name, limit in pools]
    yield gauges("pool_slots_used", "Slots of a pool that tasks of this runtime hold.", "pool", used)
    free = [(name, _left(admission.size(limit), admission.used(limit))) for name, limit in pools]
    yield gauges("pool_slots_open", "Slots of a pool that tasks of this runtime could take now.", "pool", free)
    queued = [(name, admission.demand(limit)) for name, limit in pools]
    yield gauges("pool_slots_queued", "Slots of a pool that ready tasks of this runtime wait for.", "pool", queued)
    executors = [(kind, f"executor {kind!r}") for kind in of.dispatcher.executors]
    slots = [(kind, admission.size(limit)) for kind, limit in executors]
    yield gauges("executor_slots", "Attempts that an executor carries at once (-1: without limit).", "executor", slots)
    busy = [(kind, admission.used(limit)) for kind, limit in executors]
    yield gauges("executor_slots_used", "Attempts that an executor has now.", "executor", busy)
    yield gauge("parallelism_used", "Attempts outside the loop now: see core.parallelism.", admission.used(PARALLELISM))


def _left(size: int, used: int) -> float:
    return math.inf if size < 0 else max(size - used, 0)


def _of_events(of: Metered) -> Iterator[Metric]:
    doc = "Events from outside that were taken in, repeats of a known key included."
    taken = [(way, of.events_taken[way]) for way in ("posted", "asset", "watcher")]
    yield counters("events_taken_in", doc, "way", taken)
    states = Counter(facts.state for facts in of.watches())
    yield gauges("watchers", "Watchers of assets by how they get on.", "state", states.items())
