"""Expansion: how a mapped task gets its instances once it is known how many.

A task of up to `at_once` instances is expanded within one decision: its own row goes and those of its
instances come, in the state that they have reached by then. A larger one is spread over several commits:
rows are made part by part, hidden while the task's own row is there, which goes with the last part.
Whoever takes over in between measures again and begins again; parts that are there already do no harm.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tradewind.model import task_states as _S
from tradewind.model.attempts import AttemptKey
from tradewind.model.batch import DroppedRow, SpreadRow, XComRow
from tradewind.model.commands import Decision, Freed, GoOn
from tradewind.model.events import Stamp
from tradewind.model.outcomes import DELETED
from tradewind.model.states import FINISHED
from tradewind.rules.run_ledger import LAST_INDEX
from tradewind.rules.run_mapping import RunMapping, has_ended
from tradewind.rules.trigger_rules import Verdict
from tradewind.rules.waiting import Waiting

_LIVE: Final = frozenset({_S.QUEUED, _S.RUNNING, _S.RESTARTING})


class Expanding(Waiting):
    """A ledger whose mapped tasks can be expanded, measured anew and folded again."""

    at_once: ClassVar[int] = 2_000
    """Instances that are made, or judged, in one decision."""

    def shape(self, n: int, mapping: RunMapping, stamp: Stamp, decision: Decision, then: list[int]) -> Verdict:
        """Node `n` may run. Whether it does, or is expanded, or no longer wanted; nodes that are to be judged
        because of that go on `then`.
        """
        task = mapping.task_of(n)
        is_own = mapping.is_waiting_to_expand(n)
        if not is_own and task not in mapping.stale:
            return Verdict.RUN
        length = mapping.length_of(task)
        if length is None:
            return Verdict.UPSTREAM_FAILED if has_ended(mapping.source_states(task)) else Verdict.WAIT
        if not is_own:
            return self._revise(n, mapping, length, stamp, decision, then)
        if length == 0:
            return Verdict.SKIP
        if length > self.at_once:
            self._begin_spread(task, mapping, length, decision)
            return Verdict.WAIT
        nodes = self.make(task, length, expected=self.own_row(task))
        then.extend(nodes)
        then.extend(mapping.plan.inner_down[task])
        return Verdict.WAIT

    # ----------------------------------------------------------------------- large ones

    def _begin_spread(self, task: int, mapping: RunMapping, length: int, decision: Decision) -> None:
        if task not in mapping.spreading:
            mapping.spreading[task] = (length, 0)
            self._spread(task, mapping, decision)

    def _spread(self, task: int, mapping: RunMapping, decision: Decision) -> None:
        """Makes the next part; with the last one the task's own row goes."""
        spec = self.graph.tasks[task]
        length, done = mapping.spreading[task]
        until = min(done + self.at_once, length)
        self.segment.spread.append(SpreadRow(spec.task_id, done, until - 1, spec.retries))
        decision.go_on.append(GoOn(self.run.run_id, task))
        if until < length:
            mapping.spreading[task] = (length, until)
            return
        del mapping.spreading[task]
        self.drop_own_row(task, self.own_row(task))
        self.segment.dropped.append(DroppedRow(spec.task_id, length, LAST_INDEX))
        self.grow(task, length)
        mapping.unjudged[task] = 0

    def spread_on(self, task: int, stamp: Stamp, decision: Decision) -> list[int]:
        """The last part is committed: makes the next one, or gives the next instances that are to be judged."""
        mapping = self.mapping
        if mapping is None:
            return []
        if task in mapping.spreading:
            return self._next_part(task, mapping, decision)
        start = mapping.unjudged.pop(task, None)
        if start is None or task not in mapping.expanded:
            return []
        nodes = mapping.expanded[task].nodes
        until = start + self.at_once
        if until < len(nodes):
            mapping.unjudged[task] = until
            decision.go_on.append(GoOn(self.run.run_id, task))
        return [*(mapping.plan.inner_down[task] if start == 0 else ()), *nodes[start:until]]

    def _next_part(self, task: int, mapping: RunMapping, decision: Decision) -> list[int]:
        if self.state[task] is _S.NONE and mapping.length_of(task) == mapping.spreading[task][0]:
            self._spread(task, mapping, decision)
            return []
        del mapping.spreading[task]  # ended, or another length by now: what has been made goes
        self.segment.dropped.append(DroppedRow(self.graph.tasks[task].task_id, 0, LAST_INDEX))
        return [task]

    # ------------------------------------------------------------------------ again

    def _revise(
        self, n: int, mapping: RunMapping, length: int, stamp: Stamp, decision: Decision, then: list[int]
    ) -> Verdict:
        """A task that was cleared may have another length now: instances beyond it are removed, missing ones
        made, removed ones taken back.
        """
        task = mapping.task_of(n)
        nodes = mapping.expanded[task].nodes
        mapping.stale.discard(task)
        for node in nodes[length:]:
            if not self._remove(node, stamp, decision, then):
                mapping.stale.add(task)  # looked at again once its attempt has ended
        for node in nodes[:length]:
            if self.state[node] is _S.REMOVED:
                self.reopen(node, stamp)
                then.append(node)
        if length == 0:
            if task not in mapping.stale:
                self.fold(task)
                then.append(task)
            return Verdict.WAIT
        if length > len(nodes):
            then.extend(self.make(task, length - len(nodes), expected=None))
        return Verdict.RUN if self.state[n] is _S.NONE else Verdict.WAIT

    def _remove(self, n: int, stamp: Stamp, decision: Decision, then: list[int]) -> bool:
        """Takes an instance that is no longer wanted out of the run. False: it runs, and is to end first."""
        state = self.state[n]
        if state is _S.REMOVED:
            return True
        if state in _LIVE:
            if state is not _S.RESTARTING:
                self.move(n, _S.RESTARTING, stamp)
                self.cancel_attempt(n, decision)
            return False
        if state is _S.SCHEDULED:
            decision.freed.append(Freed(self.run.run_id, n))
        if self.end_triggers(n, decision):
            self.move(n, _S.RESTARTING, stamp)
            return False
        self.drop_waits(n, decision)
        if state in FINISHED:
            self.reopen(n, stamp)
        self.segment.xcoms.append(XComRow(self.tasks[n].task_id, self.maps[n], "", DELETED))
        then.extend(self.finish(n, _S.REMOVED, stamp))
        return True

    def cancel_attempt(self, n: int, decision: Decision) -> None:
        """Has the instance's attempt ended, unless it is there to undo what was begun."""
        attempt = self.active[n].attempt
        if attempt is not None and not self.is_undoing(n):
            key = AttemptKey(attempt, self.run.run_id, self.tasks[n].task_id, self.maps[n], self.tries[n])
            decision.cancel.append(key)
