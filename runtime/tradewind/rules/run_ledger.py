"""The rows of one run: states, counts and stories of its task instances, in memory.

The ledger changes them under the transition table, folds all changes of a row between two
flushes into one, and hands them out as the store takes them. What should change, and why, is decided by `run_machine`.

An instance that merely waits for limits (`none -> scheduled`) is not written until somebody
could notice: mostly it starts within the same turn, and a fan-out of thousands would otherwise
cost a third row change a task. `note_for_views` has them written.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import orjson

from tradewind.model import task_states as _S
from tradewind.model.attempts import RunFacts
from tradewind.model.batch import DroppedRow, HistoryRow, RunChange, Segment, TaskChange
from tradewind.model.durable import StepRow
from tradewind.model.errors import IllegalTransition
from tradewind.model.events import Stamp
from tradewind.model.keys import UNMAPPED, AttemptId
from tradewind.model.rows import LengthRow, RunRow, as_given
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import (
    FINISHED,
    RUN_TRANSITIONS,
    TASK_TRANSITIONS,
    RunState,
    TaskState,
)
from tradewind.rules.graph import Graph
from tradewind.rules.run_mapping import Arrays, RunMapping

COUNTED: Final = (_S.SUCCESS, _S.FAILED, _S.SKIPPED, _S.UPSTREAM_FAILED)
"""Final states that downstream tasks' trigger rules look at."""

LAST_INDEX: Final = 2**31 - 1
"""Greater than any map index."""

SKIPS: Final = "\x1fskips\x1f"
"""Before a task's id: the key under which a branch or short circuit keeps that it has skipped this task right below
(1; -1: not any more). It stands among the lengths, which hold while the instance is a success, too.
"""


class Active:
    """What is known of a task instance between its first change and the flush of its last."""

    __slots__ = (
        "attempt",
        "due_at",
        "ended_at",
        "first_started_at",
        "hostname",
        "pid",
        "queued_at",
        "started_at",
        "story",
    )

    def __init__(self) -> None:
        self.attempt: AttemptId | None = None
        self.queued_at: datetime | None = None
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.due_at: datetime | None = None
        self.first_started_at: datetime | None = None
        self.hostname: str | None = None
        self.pid: int | None = None
        self.story: list[tuple[TaskState, float, int]] = []


_NOTHING: Final = Active()
"""What is known of an instance to which nothing has happened."""


class RunLedger:
    """The tentative rows of one run and what of them is still to be committed."""

    def __init__(self, run: RunRow, graph: Graph, source: DagSource) -> None:
        n = len(graph)
        self.graph = graph
        self.run = run
        self.facts = RunFacts.of(run, source)
        self.state: list[TaskState] = [_S.NONE] * n
        self.tries = array("i", bytes(4 * n))
        self.max_tries = array("i", [task.retries for task in graph.tasks])
        self.lost = array("i", bytes(4 * n))
        self.ended_upstream: dict[TaskState, array[int]] = {state: array("i", bytes(4 * n)) for state in COUNTED}
        self.awry_upstream = array("i", bytes(4 * n))
        """Without mapping: how many direct upstream tasks of a node have ended, and not as a success."""
        self.removed_upstream: dict[int, int] = {}
        """Without mapping: how many direct upstream tasks of a node are removed, and count no longer."""
        self.passed_over: dict[int, frozenset[int]] = {}
        """Of branches and short circuits that stand: the tasks right below that they have skipped."""
        self.active: dict[int, Active] = {}
        self.live: dict[AttemptId, int] = {}
        self.unfinished: int = n
        self.counts: dict[TaskState, int] = {_S.NONE: n} if n else {}
        self.segment = Segment(run.run_id, run.dag_id)
        self._dirty: dict[int, TaskState] = {}
        self._made: set[int] = set()
        """Nodes whose rows are not in the store yet."""
        self._waiting: set[int] = set()
        self._run_dirty = False
        self._counts_stale = False
        self._run_committed = run.state
        self.tasks: Sequence[TaskSpec] = graph.tasks
        """The task that each node is an instance of."""
        self.maps = graph.maps
        """The map index of each node."""
        self.mapping: RunMapping | None = None
        if graph.mapping is not None:
            self._begin_mapping()

    # ------------------------------------------------------------------------------ mapping

    def _begin_mapping(self) -> None:
        plan = self.graph.mapping
        assert plan is not None
        tasks, maps = list(self.graph.tasks), self.graph.maps[:]
        self.tasks, self.maps = tasks, maps
        self.mapping = RunMapping(self.graph, plan, Arrays(self.state, self.ended_upstream, maps, tasks))
        for n, length in plan.literal.items():
            self.grow(n, length)

    def grow(self, task: int, count: int) -> range:
        """Room for `count` more instances of a mapped task; its own node takes no part any longer. Their rows
        are not made by this.
        """
        mapping = self.mapping
        assert mapping is not None
        if task not in mapping.expanded:
            self._hide(task)
        self.state.extend([_S.NONE] * count)
        self.tries.extend(array("i", bytes(4 * count)))
        self.max_tries.extend(array("i", [self.graph.tasks[task].retries]) * count)
        self.lost.extend(array("i", bytes(4 * count)))
        for counted in self.ended_upstream.values():
            counted.extend(array("i", bytes(4 * count)))
        mapping.arrays.tasks.extend([self.graph.tasks[task]] * count)
        self.unfinished += count
        self.counts[_S.NONE] = self.counts.get(_S.NONE, 0) + count
        self._counts_stale = True
        return mapping.grow(task, count)

    def _hide(self, task: int) -> None:
        """A mapped task's own node makes room for its instances."""
        self.counts[self.state[task]] -= 1
        self.unfinished -= 1
        self.state[task] = _S.REMOVED
        self.active.pop(task, None)

    def make(self, task: int, count: int, *, expected: TaskState | None) -> range:
        """`count` more instances whose rows the next flush writes, in place of the task's own row where that is
        in the store as `expected`.
        """
        if expected is not None:
            self.drop_own_row(task, expected)
        nodes = self.grow(task, count)
        self._made.update(nodes)
        self._dirty.update(dict.fromkeys(nodes, _S.NONE))
        return nodes

    def own_row(self, task: int) -> TaskState:
        """The state in which the store has the row of a mapped task that is not expanded."""
        return self._dirty.get(task, self.state[task])

    def drop_own_row(self, task: int, expected: TaskState) -> None:
        """The next flush takes the row of the mapped task itself away, and all rows beyond its instances."""
        task_id = self.graph.tasks[task].task_id
        self._dirty.pop(task, None)
        if task in self._made:
            self._made.discard(task)
        else:
            self.segment.dropped.append(DroppedRow(task_id, UNMAPPED, UNMAPPED, expected))

    def fold(self, task: int) -> None:
        """All instances of a mapped task go, its own node is there again, with a row."""
        mapping = self.mapping
        assert mapping is not None
        for n in mapping.expanded[task].nodes:
            self._dirty.pop(n, None)
            self._made.discard(n)
            self._waiting.discard(n)
            self.active.pop(n, None)
            self.counts[self.state[n]] -= 1
        mapping.fold(task)
        self.segment.dropped.append(DroppedRow(self.graph.tasks[task].task_id, 0, LAST_INDEX))
        self.state[task] = _S.NONE
        self.counts[_S.NONE] = self.counts.get(_S.NONE, 0) + 1
        self.unfinished += 1
        self._made.add(task)
        self._dirty[task] = _S.NONE

    # ------------------------------------------------------------------------------ changes

    def move(self, n: int, finish: TaskState, stamp: Stamp) -> None:
        """Changes the state of `n`. Raises IllegalTransition, with the story, if the table has
        no such change.
        """
        start = self.state[n]
        active = self.active.get(n)
        if finish not in TASK_TRANSITIONS[start]:
            raise IllegalTransition(
                f"task {self.name_of(n)} of {self.run.dag_id}/{self.run.dag_run_id}",
                start,
                finish,
                [f"{s} at {t:.6f} because of {c}" for s, t, c in active.story] if active else (),
            )
        if n not in self._dirty:
            if start is _S.NONE and finish is _S.SCHEDULED:
                self._waiting.add(n)
            elif n in self._waiting:
                self._waiting.discard(n)
                self._dirty[n] = _S.NONE
            else:
                self._dirty[n] = start
        self.state[n] = finish
        counts = self.counts
        counts[start] -= 1
        counts[finish] = counts.get(finish, 0) + 1
        self._counts_stale = True
        if active is None:
            active = self.active[n] = Active()
        active.story.append((finish, stamp.at.timestamp(), stamp.cause))

    def name_of(self, n: int) -> str:
        """The node's task and map index for people."""
        index = self.maps[n]
        return repr(self.tasks[n].task_id) + (f"[{index}]" if index >= 0 else "")

    def node_of(self, task_id: str, map_index: int = UNMAPPED) -> int | None:
        """The node of an instance, None where there is none."""
        n = self.graph.index.get(task_id)
        return n if n is None or self.mapping is None else self.mapping.node_of(n, map_index)

    def finish(self, n: int, state: TaskState, stamp: Stamp) -> Sequence[int]:
        """Puts a final state on `n` and tells its downstream tasks' counts. Gives the nodes that are to be
        judged because of it.
        """
        active = self.active.get(n)
        if active is None:
            active = self.active[n] = Active()
        if active.started_at is None:
            active.started_at = stamp.at
        active.ended_at = active.ended_at or stamp.at
        active.due_at = None
        self.move(n, state, stamp)
        self.unfinished -= 1
        if self.mapping is not None:
            return self.mapping.ended(n, state)
        self._count_ended(n, state, 1)
        down = self.graph.down[n]
        far = self.graph.setup_followers
        return down + far[n] if n in far else down

    def _count_ended(self, n: int, state: TaskState, change: int) -> None:
        """Node `n` has ended (change 1), or has not after all (-1): tells those that look at it."""
        if self.mapping is not None:
            self.mapping.count(n, state, change)
            return
        ended = self.ended_upstream.get(state)
        if ended is not None:
            for d in self.graph.down[n]:
                ended[d] += change
        elif state is _S.REMOVED:
            for d in self.graph.down[n]:
                self.removed_upstream[d] = self.removed_upstream.get(d, 0) + change
        if state is not _S.SUCCESS:
            for d in self.graph.down[n]:
                self.awry_upstream[d] += change

    def reopen(self, n: int, stamp: Stamp) -> None:
        """Takes a final or waiting state off `n` again: back to `none`, as if never run."""
        if self.state[n] in FINISHED:
            self.take_back(n)
        self.move(n, _S.NONE, stamp)
        self.forget(n)

    def take_back(self, n: int) -> None:
        """The final state of `n` counts no longer; another state is to follow."""
        self.unfinished += 1
        self._count_ended(n, self.state[n], -1)
        for task in self.passed_over.pop(n, ()):
            self._note_skip(n, task, -1)

    def pass_over(self, n: int, tasks: Iterable[int]) -> None:
        """A branch or short circuit has skipped these tasks; those right below stay skipped while it stands, even if
        they are cleared or have no row yet.
        """
        own = n if self.mapping is None else self.mapping.task_of(n)
        right_below = [task for task in tasks if task in self.graph.down[own]]
        if right_below:
            self.passed_over[n] = frozenset(right_below)
        for task in right_below:
            self._note_skip(n, task, 1)

    def _note_skip(self, n: int, task: int, holds: int) -> None:
        key = SKIPS + self.graph.tasks[task].task_id
        self.segment.lengths.append(LengthRow(self.tasks[n].task_id, self.maps[n], key, holds))

    def forget(self, n: int) -> None:
        """Drops what is known of past tries of `n`, its story aside, and the steps that it has taken."""
        if self.tasks[n].is_async and self.tries[n]:
            self.segment.steps.append(StepRow(self.tasks[n].task_id, self.maps[n], None))
        fresh = Active()
        old = self.active.get(n)
        if old is not None:
            fresh.story = old.story
        self.active[n] = fresh
        self.lost[n] = 0

    def stop(self, n: int) -> None:
        """From its end on nothing of `n` goes on: its run was cancelled, or another task of a `fail_stop` DAG has
        failed. The row says so by the complement of `max_tries`: whoever owns the run next knows it too.
        """
        if self.max_tries[n] >= 0:
            self.max_tries[n] = ~self.max_tries[n]
            self._dirty.setdefault(n, self.state[n])

    def is_stopped(self, n: int) -> bool:
        """Whether `n` is being ended for good."""
        return self.max_tries[n] < 0

    def no_longer_stopped(self, n: int) -> None:
        """What was stopped has ended."""
        self.max_tries[n] = as_given(self.max_tries[n])

    def tries_in_all(self, n: int) -> int:
        """How many tries `n` has, the first included, stopped or not."""
        return as_given(self.max_tries[n]) + 1

    def move_run(self, state: RunState, *, started_at: datetime | None, ended_at: datetime | None) -> None:
        """Changes the run's own state. Raises IllegalTransition."""
        run = self.run
        if state not in RUN_TRANSITIONS[run.state]:
            raise IllegalTransition(f"run {run.dag_id}/{run.dag_run_id}", run.state, state)
        self.run = dataclasses.replace(run, state=state, started_at=started_at, ended_at=ended_at, counts=None)
        self.facts = RunFacts.of(self.run, self.facts.source)
        self._run_dirty = True

    # --------------------------------------------------------------------- rows in and out

    @property
    def is_dirty(self) -> bool:
        """Whether `flush` has anything to give."""
        seg = self.segment
        return bool(
            self._dirty or self._run_dirty or seg.xcoms or seg.outbox or seg.closed or seg.opened
            or seg.spread or seg.dropped or seg.lengths or seg.waits or seg.steps
        )  # fmt: skip

    def flush(self) -> Segment:
        """All changes since the last flush, each row once."""
        segment = self.segment
        tasks, maps, state, active, made = self.tasks, self.maps, self.state, self.active, self._made
        for n, expected in self._dirty.items():
            task_id, map_index, reached, now = tasks[n].task_id, maps[n], state[n], active.get(n, _NOTHING)
            (segment.made if n in made else segment.tasks).append(
                TaskChange(
                    task_id,
                    map_index,
                    expected,
                    reached,
                    self.tries[n],
                    self.max_tries[n],
                    self.lost[n],
                    now.queued_at,
                    now.started_at,
                    now.ended_at,
                    now.due_at,
                    now.attempt,
                )
            )
            if reached in FINISHED:
                story = orjson.dumps(now.story)
                segment.history.append(HistoryRow(task_id, map_index, self.tries[n], story))
                del active[n]
        self._dirty = {}
        if made:
            self._made = set()
        if self._run_dirty:
            run = self.run
            segment.run = RunChange(self._run_committed, run.state, run.started_at, run.ended_at, self.packed_counts())
            self._run_committed = run.state
            self._run_dirty = self._counts_stale = False
        self.segment = Segment(self.run.run_id, self.run.dag_id)
        return segment

    def packed_counts(self) -> bytes:
        """JSON of {state: count} for the states that occur."""
        return orjson.dumps({s.value: c for s, c in self.counts.items() if c})

    def note_for_views(self, at_most: int) -> bool:
        """Has the next flush write what views show but nothing waits for: the run's counters, and
        instances that wait for limits, so many at most. False: there is nothing new.
        """
        noted = list(islice(self._waiting, at_most))
        for n in noted:
            self._dirty[n] = _S.NONE
        self._waiting.difference_update(noted)
        self._run_dirty = self._run_dirty or self._counts_stale
        return bool(noted) or self._counts_stale

    def write(self, n: int) -> None:
        """Has the next flush write an instance that waits for limits: something else of it is to be stored."""
        if n in self._waiting:
            self._waiting.discard(n)
            self._dirty[n] = _S.NONE
