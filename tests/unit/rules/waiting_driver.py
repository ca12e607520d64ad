"""One run with instances that wait, driven by hand: its rows kept as a store would, its triggers and timers known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.unit.rules.machine_driver import SOURCE, T0, run_row
from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.commands import Decision
from tradewind.model.events import (
    Admitted,
    AttemptEnded,
    RunActivated,
    RunCancelled,
    RunEvent,
    SignalSent,
    Stamp,
    TasksCleared,
    TimerDue,
    WaitAnswered,
    WaitEnded,
)
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import EncodedValue, Outcome, Wait
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.model.waits import SIGNAL_KIND, WaitAnswer, WaitGone, WaitKey, WaitRow
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine


class WaitingRun:
    """`running`: triggers under way; `ending`: those told to go that have not gone; `attempts`: under way."""

    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.graph = Graph(spec)
        self.now = T0
        self.ticks = itertools.count(1)
        self.row: RunRow = run_row(spec)
        self.instances = {task.task_id: InstanceRow(self.row.run_id, task.task_id) for task in spec.tasks}
        self.waits: dict[tuple[str, str], WaitRow] = {}
        self.running: dict[WaitKey, WaitStart] = {}
        self.ending: dict[WaitKey, WaitStart] = {}
        self.timers: list[tuple[datetime, int]] = []
        self.attempts: dict[AttemptId, Attempt] = {}
        self.cancelled: set[AttemptId] = set()
        self.machine = RunMachine(self.row, self.graph, SOURCE)
        self.send(RunActivated(self.stamp(), {}))

    def stamp(self) -> Stamp:
        return Stamp(self.now, next(self.ticks), 0.5)

    def send(self, event: RunEvent) -> None:
        decision = Decision()
        self.machine.handle(event, decision)
        self.follow(decision)

    def follow(self, decision: Decision) -> None:
        while decision.ready:
            ready = decision.ready.pop()
            if self.machine.state[ready.node] is TaskState.SCHEDULED:
                key = AttemptId(next(self.ticks).to_bytes(16, "big"))
                self.machine.handle(Admitted(self.stamp(), ready.node, key, True), decision)
        self.commit()
        for attempt in decision.start:
            self.check_may_start(attempt)
            self.attempts[attempt.key.attempt] = attempt
        for start in decision.wait:
            assert start.wait.due is None, "a wait for a moment needs no trigger"
            self.running.setdefault(start.key, start)
        for start in decision.unwait:
            self.running.pop(start.key, None)
            self.ending[start.key] = start
        self.cancelled.update(key.attempt for key in decision.cancel)
        self.timers += [(timer.at, timer.node) for timer in decision.timers]
        if self.machine.run.state is RunState.QUEUED:
            self.send(RunActivated(self.stamp(), {}))

    def check_may_start(self, attempt: Attempt) -> None:
        """Exact cancellation: nothing of what the instance was before still runs."""
        undoes = attempt.resume is not None and attempt.resume.undoes
        for start in () if undoes else self.ending.values():
            same = start.attempt.key.task_id == attempt.key.task_id
            assert not same, f"{attempt.key.task_id} starts while its trigger is being ended"
        assert all(a.key.task_id != attempt.key.task_id for a in self.attempts.values())

    def commit(self) -> None:
        segment = self.machine.flush()
        for change in segment.tasks:
            row = self.instances[change.task_id]
            assert row.state is change.expected
            self.instances[change.task_id] = InstanceRow(
                row.run_id,
                change.task_id,
                change.map_index,
                change.state,
                change.try_number,
                change.max_tries,
                change.lost_count,
                change.queued_at,
                change.started_at,
                change.ended_at,
                change.due_at,
                change.attempt,
            )
        for wait in segment.waits:
            if isinstance(wait, WaitGone):
                self.waits.pop((wait.task_id, wait.key), None)
            else:
                self.waits[wait.task_id, wait.wait.key] = wait
        self.row = self.machine.run

    # ------------------------------------------------------------------------- what happens

    def attempt_of(self, task_id: str) -> Attempt:
        return next(a for a in self.attempts.values() if a.key.task_id == task_id)

    def end(self, task_id: str, outcome: Outcome) -> None:
        attempt = self.attempts.pop(self.attempt_of(task_id).key.attempt)
        if attempt.key.attempt in self.cancelled:
            outcome = Outcome(OutcomeKind.CANCELLED)
        self.send(AttemptEnded(self.stamp(), attempt.key.attempt, outcome, self.now, self.now))

    def defer(self, task_id: str, *waits: Wait) -> None:
        self.end(task_id, Outcome(OutcomeKind.DEFERRED, waits=waits))

    def fire(self, key: WaitKey, payload: bytes = b"1", outcome: Outcome | None = None) -> None:
        del self.running[key]
        self.send(WaitAnswered(self.stamp(), key, WaitAnswer(EncodedValue(1, payload)), outcome))

    def gone(self, key: WaitKey) -> None:
        del self.ending[key]
        self.send(WaitEnded(self.stamp(), key))

    def signal(self, task_id: str, name: str, value: EncodedValue) -> None:
        self.send(SignalSent(self.stamp(), self.graph.index[task_id], SIGNAL_KIND, name, value))

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        due = sorted(t for t in self.timers if t[0] <= self.now)
        self.timers = [t for t in self.timers if t[0] > self.now]
        for at, node in due:
            self.send(TimerDue(self.stamp(), node, at))

    def clear(self, *task_ids: str) -> None:
        self.send(TasksCleared(self.stamp(), tuple(self.graph.index[t] for t in task_ids)))

    def cancel_run(self) -> None:
        self.send(RunCancelled(self.stamp(), "somebody wants it"))

    def crash(self) -> None:
        """Everything in memory goes; attempts and triggers with it. Another runtime goes on."""
        lost = list(self.attempts)
        self.attempts, self.running, self.ending, self.timers = {}, {}, {}, []
        self.cancelled = set()
        self.machine = RunMachine(self.row, self.graph, SOURCE)
        self.machine.restore(list(self.instances.values()), waits=self.waits.values())
        decision = Decision()
        self.machine.resume({}, self.stamp(), decision)
        self.follow(decision)
        for attempt in lost:
            self.send(AttemptEnded(self.stamp(), attempt, Outcome(OutcomeKind.LOST), None, self.now))

    # ------------------------------------------------------------------------------- views

    def state(self, task_id: str) -> TaskState:
        return self.machine.state[self.graph.index[task_id]]

    def keys(self, task_id: str) -> Sequence[WaitKey]:
        return [key for key in self.running if key.task_id == task_id]

    def check(self) -> None:
        """What waits is waited for; what is stored is what is known."""
        for n, task in enumerate(self.spec.tasks):
            stored = [row for (task_id, _), row in self.waits.items() if task_id == task.task_id]
            known = self.machine.waits.get(n, ())
            assert sorted((p.wait.key, p.answer is None) for p in known) == sorted(
                (row.wait.key, row.answer is None) for row in stored
            )
            state = self.machine.state[n]
            if state is TaskState.DEFERRED:
                mine = [key for key in (*self.running, *self.ending) if key.task_id == task.task_id]
                armed = [at for at, node in self.timers if node == n and at == self.machine.active[n].due_at]
                assert mine or armed, f"{task.task_id} waits for nothing"
            if state in (TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED):
                assert not known
                assert not self.keys(task.task_id), f"{task.task_id} has ended and its trigger runs on"
            running = {(key.task_id, key.key) for key in self.running}
            for pending in known:
                if pending.has_trigger and not pending.is_ending:
                    assert (task.task_id, pending.wait.key) in running
