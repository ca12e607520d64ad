"""Counts what was committed: runs and task instances that finished, attempts, retries, waits, events, mail.

Everything is read off the batches that the scheduler hands to those who hear of commits, so it costs a few dictionary
look-ups a changed task instance, and is true after a lost lease or a refused batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tradewind.model.batch import Batch, RunChange, Segment
from tradewind.model.keys import AttemptId
from tradewind.model.metrics import Metric, MetricKind, MetricSample
from tradewind.model.states import FINISHED, RUN_FINISHED, RunState, TaskState
from tradewind.model.waits import WaitAnswer, WaitRow
from tradewind.rules.run_machine import RunMachine
from tradewind.services.counting import Buckets, Counts, Names, counter, counters

ATTEMPT_BOUNDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds: attempts last from milliseconds to days."""

_RETRY: Final = TaskState.UP_FOR_RETRY


class CommitCounts:
    """Hears of every batch once it is durable (`learn`), and of runs that are taken in (`run_added`)."""

    def __init__(self, dags: Names) -> None:
        self._tasks = Counts(dags)
        self._retries = Counts(dags)
        self._runs = Counts(dags)
        self._dags = dags
        self._run_seconds: dict[tuple[str, ...], Buckets] = {}
        self._started: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._attempt_seconds: dict[str, Buckets] = {}
        self._alive: dict[AttemptId, tuple[str, datetime | None]] = {}
        """Of each live attempt: its executor, and when it began."""
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
            began = None if active is None else active.started_at
            self._alive.setdefault(attempt, (machine.tasks[n].executor, began))

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
        for opened in segment.opened:
            self._started[opened.executor] += 1
            self._alive[opened.attempt] = (opened.executor, opened.started_at)
        for closed in segment.closed:
            executor, began = self._alive.pop(closed.attempt, ("unknown", None))
            self._ended[executor, closed.kind] += 1
            began = closed.started_at or began
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
        yield counter("waits_begun", "Waits that began: deferrals, and waits of durable tasks.", self._waits["begun"])
        answers = ((how, self._waits[how]) for how in ("event", "error", "timed_out"))
        yield counters("waits_answered", "Waits that ended with a trigger's event, an error, in time.", "how", answers)
        yield counter("asset_events_sent", "Events of assets that tasks have sent.", self._asset_events)
        yield counter("mail_done", "Wishes of commands and other runtimes that were carried out.", self._mail)


def _what(answer: WaitAnswer | None) -> str:
    if answer is None:
        return "begun"
    if answer.timed_out:
        return "timed_out"
    return "event" if answer.error is None else "error"
