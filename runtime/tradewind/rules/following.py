"""What follows from a change of a run: who is to be judged, offered, skipped, ended; and the end of the run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson

from tradewind.model import task_states as _S
from tradewind.model.batch import OutboxRow
from tradewind.model.commands import Decision, Freed, Settled, Timer
from tradewind.model.events import Stamp
from tradewind.model.moments import moment_after
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource
from tradewind.model.states import RunState, TaskState
from tradewind.rules.expanding import Expanding
from tradewind.rules.graph import Graph
from tradewind.rules.judging import BAD
from tradewind.rules.trigger_rules import Verdict

_RUNNING, _WAIT, _RUN = RunState.RUNNING, Verdict.WAIT, Verdict.RUN
_FINAL_OF: Final = {
    Verdict.SKIP: _S.SKIPPED,
    Verdict.UPSTREAM_FAILED: _S.UPSTREAM_FAILED,
}
_SKIPPABLE: Final = frozenset({_S.NONE, _S.UP_FOR_RETRY, _S.UP_FOR_RESCHEDULE})

LONGEST_STORY: Final = 1_000
"""Changes of state that are kept of an instance under way: a sensor may look again each second, for weeks."""

WHOLE_RUN: Final = -1
"""The node of the timer that ends a run which takes too long."""


class Following(Expanding):
    """A ledger in which one change brings about others."""

    def __init__(self, run: RunRow, graph: Graph, source: DagSource) -> None:
        super().__init__(run, graph, source)
        self.past: dict[int, bool] = {}
        """For tasks that depend on it, whether their past lets them start."""
        self._held_by_past: set[int] = set()
        self.gone: frozenset[str] = frozenset()
        """Tasks that the file from which they would be read does not have any more: removed in place of started."""

    def _learn_past(self, past: Mapping[str, bool]) -> None:
        for task_id, settled in past.items():
            self.past[self.graph.index[task_id]] = settled

    def _settle(self, nodes: Sequence[int], stamp: Stamp, decision: Decision) -> None:
        """Judges these nodes, then what follows from it, step by step, until nothing changes. What is equally far
        from the beginning is judged by the same states, in whatever order it stands.
        """
        if self.run.state is not _RUNNING:
            return
        while nodes:
            ends = self._judge_all(nodes, stamp, decision)
            nodes = self._end_all(ends, stamp, decision) if ends else ()

    def _judge_all(self, nodes: Sequence[int], stamp: Stamp, decision: Decision) -> list[tuple[int, TaskState]]:
        """Offers what may run of these nodes and expands what may be. Gives what ends at once, and how."""
        state, tasks, mapping, past = self.state, self.tasks, self.mapping, self.past
        is_plain = mapping is None and not self.graph.far_setups and not self.passed_over
        judge = self.judge_plain if is_plain else self.judge
        ends: list[tuple[int, TaskState]] = []
        step = list(nodes)
        for n in step:  # which grows where something is expanded
            if state[n] is not _S.NONE:
                continue
            judged = judge(n)
            if judged is _WAIT or (past and self._waits_for_past(n, judged)):
                continue
            if judged is _RUN and self.gone and tasks[n].task_id in self.gone:
                ends.append((n, _S.REMOVED))
                continue
            if judged is _RUN and mapping is not None:
                judged = self.shape(n, mapping, stamp, decision, step)
                if judged is _WAIT:
                    continue
            if judged is not _RUN:
                ends.append((n, _FINAL_OF[judged]))
            elif tasks[n].is_empty:
                ends.append((n, _S.SUCCESS))
            else:
                self._offer(n, stamp, decision)
        return ends

    def _waits_for_past(self, n: int, judged: Verdict) -> bool:
        """Whether the previous run holds up `n`, of which its rule says `judged`."""
        task = n if self.mapping is None else self.mapping.task_of(n)
        if self.past.get(task, True) or judged is Verdict.UPSTREAM_FAILED:
            return False
        if judged is Verdict.SKIP and task not in self.graph.skips_after_past:
            return False
        self._held_by_past.add(n)
        return True

    def _end_all(self, ends: Iterable[tuple[int, TaskState]], stamp: Stamp, decision: Decision) -> list[int]:
        """Puts these final states on nodes that have not begun; gives those that are to be judged because of it."""
        followers: list[int] = []
        for n, final in ends:
            if self.state[n] is _S.NONE:  # it may stand there twice
                if final is _S.SUCCESS:
                    self.tries[n] = 1
                followers.extend(self._end(n, final, stamp, decision))
        return followers

    def is_held_by_past(self, n: int) -> bool:
        """Whether `n` could start but for the previous run."""
        return n in self._held_by_past

    def _offer(self, n: int, stamp: Stamp, decision: Decision) -> None:
        start = self.tasks[n].starts_deferred
        if start is not None and n not in self.waits:
            self.defer_at_start(n, start, stamp, decision)
            return
        self.move(n, _S.SCHEDULED, stamp)
        active = self.active[n]
        active.due_at = None
        if active.first_started_at is None:  # a new start, not the next slice of one that was rescheduled
            active.queued_at = active.started_at = active.ended_at = None
        if len(active.story) > LONGEST_STORY:
            del active.story[LONGEST_STORY // 2 : -LONGEST_STORY // 4]
        self.ready(n, decision)

    def _end(self, n: int, state: TaskState, stamp: Stamp, decision: Decision) -> Sequence[int]:
        """Puts a final state on `n`; gives the nodes that are to be judged because of it."""
        if n in self.waits:
            self.drop_waits(n, decision)
        followers = self.finish(n, state, stamp)
        self._held_by_past.discard(n)
        if self.graph.past_nodes:
            task = n if self.mapping is None else self.mapping.task_of(n)
            if n == task or not self.mapping_is_open(task):
                decision.settled.append(Settled(self.run.run_id, self.tasks[n].task_id, state))
        return followers

    def mapping_is_open(self, task: int) -> bool:
        """Whether some instance of an expanded task has not ended."""
        expansion = None if self.mapping is None else self.mapping.expanded.get(task)
        return expansion is not None and expansion.open > 0

    def _skip(self, nodes: Iterable[int], stamp: Stamp, decision: Decision) -> list[int]:
        """A branch or short circuit skips these. What has run or runs keeps its result; `upstream_failed` is none, nor
        is a wait for the next try. Gives whom that concerns.
        """
        followers: list[int] = []
        for n in nodes:
            state = self.state[n]
            if state is _S.SCHEDULED:
                decision.freed.append(Freed(self.run.run_id, n))
            elif state is _S.UPSTREAM_FAILED:
                self.take_back(n)
            elif state not in _SKIPPABLE:
                continue
            followers.extend(self._end(n, _S.SKIPPED, stamp, decision))
        return followers

    def _wait_until(self, n: int, state: TaskState, due: datetime, stamp: Stamp, decision: Decision) -> None:
        self.active[n].due_at = due
        self.move(n, state, stamp)
        decision.timers.append(Timer(due, self.run.run_id, n))

    def _close_if_done(self, stamp: Stamp, decision: Decision) -> None:
        """Ends the run when nothing is left: its leaves decide whether well or badly."""
        if self.unfinished or self.run.state is not _RUNNING:
            return
        failed = any(self.state[n] in BAD for leaf in self.graph.run_leaves for n in self.nodes_of(leaf))
        state = RunState.FAILED if failed else RunState.SUCCESS
        self.move_run(state, started_at=self.run.started_at, ended_at=stamp.at)
        self._end_run(state, "a final task failed" if failed else "all tasks are done", decision)

    def _end_run(self, state: RunState, reason: str, decision: Decision) -> None:
        which = "on_success" if state is RunState.SUCCESS else "on_failure"
        if which in self.graph.spec.callbacks:
            body = orjson.dumps({"which": which, "reason": reason})
            self.segment.outbox.append(OutboxRow("dag_callback", body))
        decision.ended.append((self.run.run_id, state))

    def _arm_timeout(self, decision: Decision) -> None:
        timeout, started = self.graph.spec.dagrun_timeout, self.run.started_at
        if timeout is not None and started is not None and self.run.state is _RUNNING:
            decision.timers.append(Timer(moment_after(started, timeout), self.run.run_id, WHOLE_RUN))
