"""The run machine: one DAG run as a pure state machine.

`handle(event, decision)` changes the tentative rows of the run and adds commands to `decision`.
An event costs what it touches: a finished task costs its out-degree, whatever the size of the
run, because each task keeps counts of how its upstream tasks ended.

Where a task instance in a given state is found is told in `model.states.MEANING`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import orjson

from tradewind.model import task_states as _S
from tradewind.model.assets import AssetEventRow
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.batch import AttemptClosed, AttemptOpened, OutboxRow, XComRow
from tradewind.model.commands import Decision, Freed
from tradewind.model.durable import StepRow
from tradewind.model.events import (
    Admitted,
    AttemptBegan,
    AttemptEnded,
    PastSettled,
    RunActivated,
    RunCancelled,
    RunEvent,
    SignalSent,
    SpreadOn,
    StepStored,
    TasksCleared,
    TimerDue,
    WaitAnswered,
    WaitEnded,
    XComStored,
)
from tradewind.model.moments import moment_after
from tradewind.model.outcomes import DELETED_BUT_OWN, Outcome
from tradewind.model.rows import LengthRow
from tradewind.model.states import FINISHED, OutcomeKind, RunState
from tradewind.rules.alerts import FailedTry, mail_of
from tradewind.rules.ending import PAUSED_STATES, Ending
from tradewind.rules.following import WHOLE_RUN
from tradewind.rules.retries import retry_delay
from tradewind.rules.taking_over import TakingOver

_RUNNING, _LOST, _SUCCESS = RunState.RUNNING, OutcomeKind.LOST, OutcomeKind.SUCCESS
_TRY_AGAIN: Final = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT})


class RunMachine(TakingOver):
    """One DAG run: events in, row changes (`flush`) and commands out."""

    def handle(self, event: RunEvent, decision: Decision) -> None:
        """Takes in one event. Events that no longer apply (a stale attempt, an outdated timer)
        change nothing. Raises IllegalTransition if the rules contradict the table.
        """
        self._handlers[type(event)](self, event, decision)

    # ------------------------------------------------------------------------------ events

    def _on_activated(self, event: RunActivated, decision: Decision) -> None:
        if self.run.state is not RunState.QUEUED:
            return
        self._learn_past(event.past)
        started = self.run.started_at or event.stamp.at
        self.move_run(RunState.RUNNING, started_at=started, ended_at=None)
        self._arm_timeout(decision)
        self._settle(range(len(self.state)), event.stamp, decision)
        self._close_if_done(event.stamp, decision)

    def _on_admitted(self, event: Admitted, decision: Decision) -> None:
        n, at = event.node, event.stamp.at
        if self.state[n] is not _S.SCHEDULED:
            return
        task, map_index, active = self.tasks[n], self.maps[n], self.active[n]
        if task.task_id in self.gone:
            decision.freed.append(Freed(self.run.run_id, n))
            self._settle(self._end(n, _S.REMOVED, event.stamp, decision), event.stamp, decision)
            self._close_if_done(event.stamp, decision)
            return
        again = active.first_started_at is not None
        if not again and self.lost[n] == 0:
            self.tries[n] += 1
        first = active.first_started_at = active.first_started_at or at
        tries = self.tries[n]
        resume = self.resume_of(n)
        if (again or tries > 1 or self.lost[n]) and resume is None:
            self.segment.xcoms.append(XComRow(task.task_id, map_index, "", DELETED_BUT_OWN))
        active.attempt, active.queued_at = event.attempt, at
        active.started_at = first if event.starts_at_once else None
        active.ended_at = active.due_at = active.hostname = active.pid = None
        self.live[event.attempt] = n
        self.move(n, _S.RUNNING if event.starts_at_once else _S.QUEUED, event.stamp)
        self.segment.opened.append(
            AttemptOpened(
                event.attempt,
                task.task_id,
                map_index,
                tries,
                task.executor,
                task.pool,
                task.pool_slots,
                at,
            )
        )
        key = AttemptKey(event.attempt, self.run.run_id, task.task_id, map_index, tries)
        decision.start.append(Attempt(key, task, self.facts, self.max_tries[n] + 1, first, resume))

    def _on_began(self, event: AttemptBegan, decision: Decision) -> None:
        n = self.live.get(event.attempt)
        if n is None:
            return
        active = self.active[n]
        active.hostname, active.pid = event.hostname, event.pid
        if self.state[n] is _S.QUEUED:
            active.started_at = active.first_started_at
            self.move(n, _S.RUNNING, event.stamp)

    def _on_ended(self, event: AttemptEnded, decision: Decision) -> None:
        n = self.live.pop(event.attempt, None)
        if n is None:
            return
        outcome, active = event.outcome, self.active[n]
        self.segment.closed.append(
            AttemptClosed(
                event.attempt,
                outcome.kind,
                event.ended_at,
                event.started_at,
                active.hostname or event.hostname,
                active.pid or event.pid,
                outcome.detail(),
            )
        )
        active.attempt = None
        active.ended_at = event.ended_at
        decision.freed.append(Freed(self.run.run_id, n))
        if self.state[n] is not _S.RESTARTING:
            self._conclude(n, event, decision)
        elif self._has_more_to_end(n, event, decision):
            self.move(n, _S.RESTARTING, event.stamp)
        else:
            self._restart(n, event.stamp, decision)
        self._close_if_done(event.stamp, decision)

    def _has_more_to_end(self, n: int, event: AttemptEnded, decision: Decision) -> bool:
        """Of an instance that is being ended: an undoing attempt was lost and is made again, or triggers are left."""
        lost = event.outcome.kind is _LOST and self._undo_again(n, event.stamp, decision)
        return lost or self.end_triggers(n, decision)

    def _conclude(self, n: int, event: AttemptEnded, decision: Decision) -> None:
        """From the outcome of an attempt to the next state of its task instance."""
        outcome, stamp, task = event.outcome, event.stamp, self.tasks[n]
        kind = outcome.kind
        running = self.run.state is _RUNNING and self.max_tries[n] >= 0 and not self.is_being_ended(n)
        if kind is _LOST:
            self._on_lost(n, event, decision, goes_on=running)
            return
        self.lost[n] = 0
        if not running:
            self.no_longer_stopped(n)
        for put in outcome.xcoms:
            self.segment.xcoms.append(XComRow(task.task_id, self.maps[n], put.key, put.value))
        if kind is _SUCCESS:
            self._succeed(n, event, decision)
        elif kind is OutcomeKind.SKIPPED:
            self._settle(self._end(n, _S.SKIPPED, stamp, decision), stamp, decision)
        elif kind is OutcomeKind.RESCHEDULED and outcome.reschedule_at is not None and running:
            self._wait_until(n, _S.UP_FOR_RESCHEDULE, outcome.reschedule_at, stamp, decision)
        elif kind is OutcomeKind.DEFERRED and outcome.waits and running:
            if not self.defer(n, outcome.waits, event.attempt, stamp, decision):
                self._offer(n, stamp, decision)
        elif kind in _TRY_AGAIN and self.tries[n] <= self.max_tries[n] and running:
            delay = retry_delay(task, self.tries[n], stamp.draw, outcome.retry_after)
            self._tell(n, "on_retry", outcome)
            self.drop_waits(n, decision, keep_answers=True)
            self._wait_until(n, _S.UP_FOR_RETRY, moment_after(event.ended_at, delay), stamp, decision)
            self.active[n].first_started_at = None
        else:
            self._fail(n, event, decision)

    def _succeed(self, n: int, event: AttemptEnded, decision: Decision) -> None:
        outcome, stamp = event.outcome, event.stamp
        for sent in outcome.asset_events:
            if sent.partition_key is None and self.run.run_key is not None:
                sent = sent._replace(partition_key=self.run.run_key)
            row = AssetEventRow(self.tasks[n].task_id, self.maps[n], event.ended_at, sent)
            self.segment.asset_events.append(row)
        if self.mapping is not None:
            self._note_lengths(n, outcome)
        followers = self._end(n, _S.SUCCESS, stamp, decision)
        if outcome.branch is not None or outcome.short_circuit:
            self.pass_over(n, self.tasks_skipped(n, outcome))
            followers = [*followers, *self._skip(self.skips_of(n, outcome), stamp, decision)]
        self._settle(followers, stamp, decision)

    def _note_lengths(self, n: int, outcome: Outcome) -> None:
        """Keeps what others need to know who are mapped over what this attempt has stored."""
        mapping = self.mapping
        assert mapping is not None
        task = mapping.task_of(n)
        counts_instances = mapping.plan.counts_instances(task)
        for key in sorted(mapping.plan.measured.get(task, ())):
            if counts_instances:
                length = 1 if any(put.key == key for put in outcome.xcoms) else -1
            else:
                length = dict(outcome.lengths).get(key, -1)
            self.segment.lengths.append(LengthRow(self.tasks[n].task_id, self.maps[n], key, length))
            mapping.learn(n, key, length)

    def _on_lost(self, n: int, event: AttemptEnded, decision: Decision, *, goes_on: bool) -> None:
        """The carrier died, not the task: the same try again, up to `max_lost` times in a row."""
        if self.lost[n] < self.tasks[n].max_lost and goes_on:
            self.lost[n] += 1
            self.active[n].first_started_at = None
            self._offer(n, event.stamp, decision)
        elif not goes_on and self._undo_again(n, event.stamp, decision):
            self.move(n, _S.RUNNING, event.stamp)
        else:
            self.no_longer_stopped(n)
            self._fail(n, event, decision)

    def _fail(self, n: int, event: AttemptEnded, decision: Decision) -> None:
        self._tell(n, "on_failure", event.outcome)
        followers = self._end(n, _S.FAILED, event.stamp, decision)
        if self.graph.spec.fail_stop and self.run.state is _RUNNING:
            followers = [*followers, *self._stop_the_others(n, event.stamp, decision)]
        self._settle(followers, event.stamp, decision)

    def _on_xcom(self, event: XComStored, decision: Decision) -> None:
        n = self.live.get(event.attempt)
        if n is not None:
            self.segment.xcoms.append(XComRow(self.tasks[n].task_id, self.maps[n], event.key, event.value))

    def _on_step(self, event: StepStored, decision: Decision) -> None:
        n = self.live.get(event.attempt)
        if n is not None:
            self.segment.steps.append(StepRow(self.tasks[n].task_id, self.maps[n], event.step))

    def _on_signal(self, event: SignalSent, decision: Decision) -> None:
        n = event.node
        if self.state[n] in FINISHED or self.state[n] is _S.NONE:
            return
        self.write(n)
        waits_for_it = self.take_signal(n, event.kind, event.name, event.value)
        if waits_for_it and self.state[n] is _S.DEFERRED and not self.is_being_ended(n):
            self._offer(n, event.stamp, decision)

    def _on_timer(self, event: TimerDue, decision: Decision) -> None:
        n = event.node
        if n == WHOLE_RUN:
            timeout, started = self.graph.spec.dagrun_timeout, self.run.started_at
            if timeout is not None and started is not None and event.due_at == moment_after(started, timeout):
                reason = f"it took longer than its dagrun_timeout of {timeout:g} s"
                self.on_cancelled(RunCancelled(event.stamp, reason), decision)
            return
        if n >= len(self.state) or self.run.state is not RunState.RUNNING:
            return
        state = self.state[n]
        if state is _S.DEFERRED and self.active[n].due_at == event.due_at and not self.is_being_ended(n):
            self.answer_what_is_due(n, event.due_at, decision)
            self._offer(n, event.stamp, decision)
        elif state in PAUSED_STATES and self.active[n].due_at == event.due_at:
            self._offer(n, event.stamp, decision)

    def _on_answered(self, event: WaitAnswered, decision: Decision) -> None:
        found = self.find(event.wait)
        if found is None:
            return
        n, pending = found
        if pending.is_ending:  # too late; that it is gone is said when it has cleaned up
            return
        self.answer(n, pending, event.answer)
        if self.state[n] is not _S.DEFERRED or self.is_being_ended(n):
            return
        if event.outcome is None:
            self._offer(n, event.stamp, decision)
            return
        attempt = self.note_end_by_trigger(n, pending, event.outcome, event.stamp)
        ended = AttemptEnded(event.stamp, attempt, event.outcome, self.active[n].started_at, event.stamp.at)
        self._conclude(n, ended, decision)
        self._close_if_done(event.stamp, decision)

    def _on_wait_ended(self, event: WaitEnded, decision: Decision) -> None:
        if self.has_left(event.wait, decision):
            return
        found = self.find(event.wait)
        if found is None or not found[1].is_ending:
            return
        n, pending = found
        if not self.trigger_gone(n, pending):
            return
        if self.active[n].attempt is not None:
            return
        if self.state[n] is _S.RESTARTING:
            self._restart(n, event.stamp, decision)
        elif self.state[n] is _S.DEFERRED:
            self.no_longer_stopped(n)
            self._settle(self._end(n, _S.FAILED, event.stamp, decision), event.stamp, decision)
        self._close_if_done(event.stamp, decision)

    def _on_past(self, event: PastSettled, decision: Decision) -> None:
        n = self.graph.index.get(event.task_id)
        if n is None:
            return
        self.past[n] = True
        held = [node for node in self.nodes_of(n) if node in self._held_by_past]
        if held:
            self._held_by_past.difference_update(held)
            self._settle(held, event.stamp, decision)
            self._close_if_done(event.stamp, decision)

    def _on_spread(self, event: SpreadOn, decision: Decision) -> None:
        self._settle(self.spread_on(event.node, event.stamp, decision), event.stamp, decision)
        self._close_if_done(event.stamp, decision)

    def _tell(self, n: int, which: str, outcome: Outcome) -> None:
        """Has a callback run from the outbox where the attempt's own process could not run it:
        an error that it reported itself means that it has.
        """
        task = self.tasks[n]
        failed = FailedTry(self.maps[n], self.tries[n], self.max_tries[n], self.active[n].hostname)
        mail = mail_of(task, which, failed, outcome)
        if mail is not None:
            self.segment.outbox.append(OutboxRow("email", mail))
        if which not in task.callbacks or outcome.error is not None:
            return
        body = {
            "which": which,
            "task_id": task.task_id,
            "map_index": self.maps[n],
            "try_number": self.tries[n],
            "reason": outcome.reason,
        }
        self.segment.outbox.append(OutboxRow("task_callback", orjson.dumps(body)))

    _handlers: ClassVar[Mapping[type, Callable[..., None]]] = {
        RunActivated: _on_activated,
        Admitted: _on_admitted,
        AttemptBegan: _on_began,
        AttemptEnded: _on_ended,
        XComStored: _on_xcom,
        StepStored: _on_step,
        SignalSent: _on_signal,
        WaitAnswered: _on_answered,
        WaitEnded: _on_wait_ended,
        TimerDue: _on_timer,
        PastSettled: _on_past,
        TasksCleared: Ending.on_cleared,
        SpreadOn: _on_spread,
        RunCancelled: Ending.on_cancelled,
    }
