"""Taking a run over: the rows of the store become its ledger again, and what was under way goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tradewind.model import task_states as _S
from tradewind.model.attempts import AttemptKey
from tradewind.model.commands import Decision, Timer
from tradewind.model.events import Stamp
from tradewind.model.rows import AttemptRow, InstanceRow, LengthRow
from tradewind.model.states import FINISHED, RUN_FINISHED
from tradewind.model.waits import WaitRow
from tradewind.rules.ending import PAUSED_STATES, Ending
from tradewind.rules.run_ledger import LAST_INDEX, SKIPS, Active
from tradewind.rules.waiting import Pending


class TakingOver(Ending):
    """A ledger that another owner, or an earlier life, has begun."""

    def restore(
        self,
        rows: Sequence[InstanceRow],
        live: Iterable[AttemptRow] = (),
        lengths: Iterable[LengthRow] = (),
        waits: Iterable[WaitRow] = (),
    ) -> None:
        """Takes over the rows of the store. Those of tasks that this version does not have are left alone, and those
        of an expansion that was not completed.
        """
        if self.mapping is not None:
            self._restore_expansions(rows)
        for row in rows:
            n = self.node_of(row.task_id, row.map_index)
            if n is None:
                continue
            self.tries[n], self.max_tries[n] = row.try_number, row.max_tries
            self.lost[n] = row.lost_count
            if row.state is _S.NONE:
                continue
            self.state[n] = row.state
            self.counts[_S.NONE] -= 1
            self.counts[row.state] = self.counts.get(row.state, 0) + 1
            if row.state in FINISHED:
                self.unfinished -= 1
                self._count_ended(n, row.state, 1)
            else:
                self._restore_active(n, row)
        self._restore_lengths(lengths)
        self._restore_waits(waits)
        for attempt in live:
            n = self.node_of(attempt.task_id, attempt.map_index)
            if n is not None and n in self.active:
                self.active[n].hostname, self.active[n].pid = attempt.hostname, attempt.pid

    def _restore_expansions(self, rows: Iterable[InstanceRow]) -> None:
        """The mapped tasks that were expanded: those whose own row is gone."""
        mapping = self.mapping
        assert mapping is not None
        found: dict[str, int] = {}
        for row in rows:
            found[row.task_id] = found.get(row.task_id, 0) + 1 if row.map_index >= 0 else LAST_INDEX
        for task_id, count in found.items():
            n = self.graph.index.get(task_id)
            if n is not None and count < LAST_INDEX and mapping.is_waiting_to_expand(n):
                self.grow(n, count)
                mapping.stale.add(n)

    def _restore_lengths(self, lengths: Iterable[LengthRow]) -> None:
        for row in lengths:
            n = self.node_of(row.task_id, row.map_index)
            if n is None:
                continue
            if row.key.startswith(SKIPS):
                self._restore_skip(n, row)
            elif self.mapping is not None and self.state[n] is _S.SUCCESS:
                self.mapping.learn(n, row.key, row.length)

    def _restore_skip(self, n: int, row: LengthRow) -> None:
        task = self.graph.index.get(row.key.removeprefix(SKIPS))
        if row.length > 0 and self.state[n] is not _S.SUCCESS:
            self.segment.lengths.append(row._replace(length=-1))
        elif row.length > 0 and task is not None:
            self.passed_over[n] = self.passed_over.get(n, frozenset()) | {task}

    def _restore_active(self, n: int, row: InstanceRow) -> None:
        active = self.active[n] = Active()
        active.queued_at, active.started_at = row.queued_at, row.started_at
        active.ended_at, active.due_at = row.ended_at, row.due_at
        if row.state is not _S.UP_FOR_RETRY:
            active.first_started_at = row.started_at or row.queued_at
        active.attempt = row.attempt
        if row.attempt is not None:
            self.live[row.attempt] = n

    def _restore_waits(self, rows: Iterable[WaitRow]) -> None:
        for row in rows:
            n = self.node_of(row.task_id, row.map_index)
            if n is not None and n in self.active:
                self.waits[n] = (*self.waits.get(n, ()), Pending(row.origin, row.wait, row.answer))

    # ------------------------------------------------------------------------------ going on

    def resume(self, past: Mapping[str, bool], stamp: Stamp, decision: Decision) -> None:
        """Goes on with a restored run: offers again what was waiting for limits, arms the timers, judges what was left
        unjudged. Live attempts stay; whoever finds that they are gone sends their end as LOST.
        """
        self._learn_past(past)
        for n, state in enumerate(self.state):
            due = self.active[n].due_at if n in self.active else None
            if state is _S.SCHEDULED:
                self.ready(n, decision)
            elif state in PAUSED_STATES and due is not None:
                decision.timers.append(Timer(due, self.run.run_id, n))
            if n in self.waits:
                self._wait_on(n, stamp, decision)
        self._arm_timeout(decision)
        self._settle(range(len(self.state)), stamp, decision)
        self._close_if_done(stamp, decision)

    def _wait_on(self, n: int, stamp: Stamp, decision: Decision) -> None:
        """Goes on with the waits of an instance. Triggers that were being ended, or are not wanted any more, are
        ended (again): that their clean-up ran is not known.
        """
        state = self.state[n]
        if self.is_undoing(n):
            self.end_triggers(n, decision)
        elif state is _S.RESTARTING and self.active[n].attempt is None:
            if not self.end_triggers(n, decision):
                self._restart(n, stamp, decision)
        elif state is _S.DEFERRED and (self.run.state in RUN_FINISHED or self.is_stopped(n)):
            self.end_triggers(n, decision)
        else:
            decision.wait.extend(self.start_of(n, pending) for pending in self.waits[n] if pending.has_trigger)
            if state is _S.DEFERRED:
                self.arm(n, decision)

    def unwanted(self) -> list[AttemptKey]:
        """Live attempts that are to end: their instance was cleared or stopped, or the run has ended."""
        decision = Decision()
        for n in self.live.values():
            if self.state[n] is _S.RESTARTING or self.is_stopped(n) or self.run.state in RUN_FINISHED:
                self.cancel_attempt(n, decision)
        return decision.cancel
