"""Ending what is under way: clearing, cancelling, and the failure that stops a `fail_stop` DAG.

What runs elsewhere, an attempt or a trigger, is told to end and has to be gone before its instance goes on.
"""

from __future__ import annotations

from typing import Final

from tradewind.model import task_states as _S
from tradewind.model.commands import Decision, Freed, Settled
from tradewind.model.events import RunCancelled, Stamp, TasksCleared
from tradewind.model.states import FINISHED, RUN_FINISHED, RunState
from tradewind.rules.following import Following

PAUSED_STATES: Final = frozenset({_S.UP_FOR_RETRY, _S.UP_FOR_RESCHEDULE})
_WAITING_STATES: Final = frozenset({_S.SCHEDULED, _S.DEFERRED})


class Ending(Following):
    """A ledger whose instances can be ended from outside."""

    def on_cleared(self, event: TasksCleared, decision: Decision) -> None:
        """Finished instances start anew, running ones are ended first. `max_tries` grows so that
        the task's own retries are left again.
        """
        stamp = event.stamp
        again: list[int] = []
        restarting = False
        mapping = self.mapping
        for n in event.nodes if mapping is None else list(mapping.spelled_out(event.nodes)):
            state, task = self.state[n], self.tasks[n]
            if mapping is not None and n >= len(self.graph) and mapping.task_of(n) in mapping.plan.sources:
                mapping.stale.add(mapping.task_of(n))
            if state is _S.RUNNING or state is _S.QUEUED:
                restarting = True
                self.move(n, _S.RESTARTING, stamp)
                self.cancel_attempt(n, decision)
            elif state in _WAITING_STATES and self._end_wait(n, stamp, decision):
                restarting = True
                if state is _S.SCHEDULED:
                    decision.freed.append(Freed(self.run.run_id, n))
                self.move(n, _S.RESTARTING, stamp)
            elif state in FINISHED or state in PAUSED_STATES or state in _WAITING_STATES:
                self.drop_waits(n, decision)
                if state is _S.SCHEDULED:  # what it waited for may be cleared as well
                    decision.freed.append(Freed(self.run.run_id, n))
                self.reopen(n, stamp)
                self.max_tries[n] = self.tries[n] + task.retries
                decision.settled.append(Settled(self.run.run_id, task.task_id, _S.NONE))
                again.append(n)
        if (again or restarting) and self.run.state in RUN_FINISHED:
            self.move_run(RunState.QUEUED, started_at=None, ended_at=None)
        self._settle(again, stamp, decision)
        self._close_if_done(stamp, decision)

    def on_cancelled(self, event: RunCancelled, decision: Decision) -> None:
        """Running instances are ended and fail, whatever else is cleared meanwhile; waiting ones are skipped; the run
        fails.
        """
        if self.run.state in RUN_FINISHED:
            return
        stamp = event.stamp
        self.move_run(RunState.FAILED, started_at=self.run.started_at, ended_at=stamp.at)
        for n, state in enumerate(self.state):
            if state in FINISHED or self._stop_under_way(n, stamp, decision):
                continue
            if state is _S.SCHEDULED:
                decision.freed.append(Freed(self.run.run_id, n))
            self._end(n, _S.FAILED if state is _S.DEFERRED else _S.SKIPPED, stamp, decision)
        self._end_run(RunState.FAILED, event.reason, decision)

    def _stop_the_others(self, failed: int, stamp: Stamp, decision: Decision) -> list[int]:
        """The DAG is `fail_stop`: what runs is ended and fails, what waits is skipped; teardowns and the other
        instances of the task that failed go on. Gives whom that concerns.
        """
        concerned: list[int] = []
        own = self.tasks[failed]
        for n, state in enumerate(self.state):
            if state in FINISHED or self.tasks[n].is_teardown or self.tasks[n] is own:
                continue
            if self._stop_under_way(n, stamp, decision):
                continue
            if state is _S.SCHEDULED:
                decision.freed.append(Freed(self.run.run_id, n))
            concerned.extend(self._end(n, _S.SKIPPED, stamp, decision))
        return concerned

    def _stop_under_way(self, n: int, stamp: Stamp, decision: Decision) -> bool:
        """Ends for good what goes on elsewhere for an instance, which fails once that is gone; what restarts has been
        told to end. False: nothing goes on.
        """
        state = self.state[n]
        if state is _S.RUNNING or state is _S.QUEUED:
            self.cancel_attempt(n, decision)
        elif state is _S.RESTARTING or (state is _S.DEFERRED and self._end_wait(n, stamp, decision)):
            self._not_again(n, stamp)
        else:
            return False
        self.stop(n)
        return True

    def _end_wait(self, n: int, stamp: Stamp, decision: Decision) -> bool:
        """Ends what an instance waits for, and has it undo what it has begun. Whether there is anything to end."""
        ends = self.end_triggers(n, decision)
        return self.undo(n, stamp, decision) or ends

    def _not_again(self, n: int, stamp: Stamp) -> None:
        """What is being ended will not start anew."""
        self.move(n, _S.DEFERRED if self.active[n].attempt is None else _S.RUNNING, stamp)

    def _undo_again(self, n: int, stamp: Stamp, decision: Decision) -> bool:
        """Whether the attempt that was lost was to undo something, and there is another one to do it."""
        if self.lost[n] >= self.tasks[n].max_lost:
            return False
        self.lost[n] += 1
        return self.undo(n, stamp, decision)

    def _restart(self, n: int, stamp: Stamp, decision: Decision) -> None:
        """What was cleared while it was under way has come to its end: it begins anew."""
        self.drop_waits(n, decision)
        self.forget(n)
        self.max_tries[n] = self.tries[n] + self.tasks[n].retries
        self.move(n, _S.NONE, stamp)
        self._settle((n,), stamp, decision)
