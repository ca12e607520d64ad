"""Counts what was committed: runs and task instances that finished, attempts and what they waited for, retries, events.

Everything is read off the batches that the scheduler hands to those who hear of commits, so it costs a few dictionary
look-ups a changed task instance, and is true after a lost lease or a refused batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from tradewind.model.batch import Batch, RunChange, Segment
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.metrics import Metric, MetricKind, MetricSample
from tradewind.model.states import FINISHED, RUN_FINISHED, RunState, TaskState
from tradewind.model.waits import WaitAnswer, WaitRow
from tradewind.rules.run_machine import RunMachine
from tradewind.services.counting import Buckets, Counts, Names, counter, counters

ATTEMPT_BOUNDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds: attempts last from milliseconds to days."""

WAIT_BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds: who need not wait is started within one; limits that are too small cost minutes to hours."""

POOLS_NAMED: Final = 50
"""So many pools have series of their own."""

_RETRY: Final = TaskState.UP_FOR_RETRY
_SCHEDULED: Final = TaskState.SCHEDULED


class CommitCounts:
    """Hears of every batch once it is durable (`learn`), and of runs that are taken in (`run_added`)."""

    def __init__(self, dags: Names, runs: Mapping[RunId, RunMachine]) -> None:
        """`runs`: those in memory, as they were committed."""
        self._machines = runs
        self._tasks = Counts(dags)
        self._retries = Counts(dags)
        self._runs = Counts(dags)
        self._dags = dags
        self._run_seconds: dict[tuple[str, ...], Buckets] = {}
        self._started: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._attempt_seconds: dict[str, Buckets] = {}
        self._alive: dict[AttemptId, tuple[str, datetime | None]] = {}
        """Of each live attempt: its executor, and when it was handed over to that."""
        self._scheduled = _ByName(Names(POOLS_NAMED))
        self._queued = _ByName(None)
        self._waits: Counter[str] = Counter()
        self._asset_events = 0
        self._mail = 0

    def run_added(self, machine: RunMachine) -> None:
        """A run comes into memory, maybe with attempts that began under another owner."""
        dag = (machine.run.dag_id,)
        self._runs.begin(dag, (RunState.SUCCESS,), (RunState.FAILED,))
        self._tasks.begin(dag, (TaskState.SUCCESS,), (TaskState.FAILED,))
        self._retries.begin(dag, ())
        for attempt, n in machine.live.items():
            active = machine.active.get(n)
            handed = None if active is None else active.queued_at or active.started_at
            self._alive.setdefault(attempt, (machine.tasks[n].executor, handed))

    def forget(self) -> None:
        """Another runtime goes on with all runs: their attempts end there."""
        self._alive.clear()

    def learn(self, batch: Batch) -> None:
        """Counts what has just been committed."""
        self._mail += len(batch.mail_done)
        for segment in batch.segments:
            if segment.tasks or segment.made:
                self._count_tasks(segment)
            if segment.opened or segment.closed:
                self._count_attempts(segment)
            if segment.run is not None:
                self._count_run(segment.dag_id, segment.run)
            if segment.waits:
                self._waits.update(_what(row.answer) for row in segment.waits if isinstance(row, WaitRow))
            self._asset_events += len(segment.asset_events)

    def _count_tasks(self, segment: Segment) -> None:
        dag = (segment.dag_id,)
        for change in segment.tasks:
            state = change.state
            if state in FINISHED:
                if state is not change.expected:
                    self._tasks.add(dag, (state,))
            elif state is _RETRY and change.expected is not _RETRY:
                self._retries.add(dag)
        for made in segment.made:
            if made.state in FINISHED:
                self._tasks.add(dag, (made.state,))

    def _count_attempts(self, segment: Segment) -> None:
        machine = self._machines.get(segment.run_id)
        for opened in segment.opened:
            self._started[opened.executor] += 1
            self._alive[opened.attempt] = (opened.executor, opened.started_at)
            waited = None if machine is None else _waited(machine, opened.attempt)
            if waited is not None:
                self._scheduled.observe(opened.pool, waited)
        for closed in segment.closed:
            executor, handed = self._alive.pop(closed.attempt, ("unknown", None))
            self._ended[executor, closed.kind] += 1
            began = closed.started_at
            if began is None:
                began = handed
            elif handed is not None and handed != began:  # else a trigger has ended the task: nobody carried it
                self._queued.observe(executor, (began - handed).total_seconds())
            if began is not None:
                seconds = self._attempt_seconds.get(executor)
                if seconds is None:
                    seconds = self._attempt_seconds[executor] = Buckets(ATTEMPT_BOUNDS)
                seconds.observe((closed.ended_at - began).total_seconds())

    def _count_run(self, dag_id: str, run: RunChange) -> None:
        if run.state is run.expected or run.state not in RUN_FINISHED:
            return
        self._runs.add((dag_id,), (run.state,))
        if run.started_at is not None and run.ended_at is not None:
            key = (*self._dags.shown((dag_id,)), run.state)
            seconds = self._run_seconds.get(key)
            if seconds is None:
                seconds = self._run_seconds[key] = Buckets()
            seconds.observe((run.ended_at - run.started_at).total_seconds())

    def metrics(self) -> Iterator[Metric]:
        """All of it."""
        yield self._runs.metric("runs_finished", "Runs that finished, by DAG and state.", "dag_id", "state")
        yield Metric(
            "run_duration_seconds",
            MetricKind.SUMMARY,
            "From the start of runs that finished to their end.",
            ("dag_id", "state"),
            [MetricSample(key, seconds.distribution()) for key, seconds in self._run_seconds.items()],
        )
        yield self._tasks.metric(
            "task_instances_finished", "Task instances that came into a final state.", "dag_id", "state"
        )
        yield self._retries.metric("task_retries", "Tries that failed and are followed by another.", "dag_id")
        yield counters("attempts_started", "Attempts handed to an executor.", "executor", self._started.items())
        yield Metric(
            "attempts_ended",
            MetricKind.COUNTER,
            "Attempts that ended, by executor and outcome (lost: their carrier died).",
            ("executor", "outcome"),
            [MetricSample(key, count) for key, count in self._ended.items()],
        )
        yield Metric(
            "attempt_duration_seconds",
            MetricKind.HISTOGRAM,
            "How long attempts took from their start to their end.",
            ("executor",),
            [MetricSample((key,), seconds.distribution()) for key, seconds in self._attempt_seconds.items()],
        )
        yield self._scheduled.metric(
            "task_scheduled_duration_seconds",
            "From when a task was ready until its attempt was handed to an executor: the wait for slots, by pool.",
            "pool",
        )
        yield self._queued.metric(
            "task_queued_duration_seconds",
            "From when an attempt was handed to an executor until its code began; counted when it ends.",
            "executor",
        )
        yield counter("waits_begun", "Waits that began: deferrals, and waits of durable tasks.", self._waits["begun"])
        answers = ((how, self._waits[how]) for how in ("event", "error", "timed_out"))
        yield counters("waits_answered", "Waits that ended with a trigger's event, an error, in time.", "how", answers)
        yield counter("asset_events_sent", "Events of assets that tasks have sent.", self._asset_events)
        yield counter("mail_done", "Wishes of commands and other runtimes that were carried out.", self._mail)


class _ByName:
    """Histograms of waits, one a name."""

    __slots__ = ("_names", "_seconds")

    def __init__(self, names: Names | None) -> None:
        """`names`: who gets one of their own. None: all, they are few."""
        self._names = names
        self._seconds: dict[str, Buckets] = {}

    def observe(self, name: str, seconds: float) -> None:
        """Counts one. Clocks that disagree make no negative waits."""
        found = self._seconds.get(name)
        if found is None:
            shown = name if self._names is None else self._names.shown((name,))[0]
            found = self._seconds.get(shown)
            if found is None:
                found = self._seconds[shown] = Buckets(WAIT_BOUNDS)
        found.observe(seconds if seconds > 0.0 else 0.0)

    def metric(self, name: str, doc: str, label: str) -> Metric:
        """As they stand."""
        samples = [MetricSample((key,), seconds.distribution()) for key, seconds in self._seconds.items()]
        return Metric(name, MetricKind.HISTOGRAM, doc, (label,), samples)


def _waited(machine: RunMachine, attempt: AttemptId) -> float | None:
    """How long the task instance of an attempt that begins was ready for it; None where another owner knew that."""
    n = machine.live.get(attempt)
    if n is None:
        return None
    story = machine.active[n].story
    return story[-1][1] - story[-2][1] if len(story) > 1 and story[-2][0] is _SCHEDULED else None


def _what(answer: WaitAnswer | None) -> str:
    if answer is None:
        return "begun"
    if answer.timed_out:
        return "timed_out"
    return "event" if answer.error is None else "error"
