"""The mapped tasks of one run: their instances as nodes, and the counts that trigger rules look at.

A run has one node a task; a mapped task that is expanded has one more for each instance, and its own node
takes no part any longer (its state is `removed`, it has no row). How upstream instances have ended is counted
where it is looked at: what all instances of a task look at is counted once, at the task's own node; what one
instance of a mapped group looks at, at that instance. So an instance's end costs the out-degree of its task,
however many instances there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tradewind.model import task_states as _S
from tradewind.model.specs import TaskSpec
from tradewind.model.states import FINISHED, TaskState
from tradewind.rules.graph import Graph
from tradewind.rules.lengths import Source, measure
from tradewind.rules.mapping_plan import MappingPlan

_SETTLED = frozenset({_S.SUCCESS, _S.SKIPPED, _S.REMOVED})


class Expansion:
    """The instances of one task."""

    __slots__ = ("nodes", "open", "unsettled")

    def __init__(self) -> None:
        self.nodes: list[int] = []
        """The node of each instance, by map index."""
        self.open = 0
        """Instances that have not ended."""
        self.unsettled = 0
        """Instances that have not ended as success or skipped."""


class Arrays:
    """What a run keeps of each node. Shared between the ledger and its mapping."""

    __slots__ = ("ended", "maps", "state", "tasks")

    def __init__(
        self,
        state: list[TaskState],
        ended: Mapping[TaskState, array[int]],
        maps: array[int],
        tasks: list[TaskSpec],
    ) -> None:
        self.state = state
        self.ended = ended
        self.maps = maps
        self.tasks = tasks


class RunMapping:
    """Nodes beyond the tasks, and who looks at whom among them."""

    def __init__(self, graph: Graph, plan: MappingPlan, arrays: Arrays) -> None:
        self.graph = graph
        self.plan = plan
        self.arrays = arrays
        self.expanded: dict[int, Expansion] = {}
        self.stale: set[int] = set()
        """Expanded tasks whose length is measured again before one of their instances starts."""
        self.spreading: dict[int, tuple[int, int]] = {}
        """Large expansions under way: task to (length, instances whose rows are made)."""
        self.unjudged: dict[int, int] = {}
        """Large expansions that are done: the map index from which on instances are yet to be judged."""
        self.total = array("i", [len(up) for up in graph.up])
        """How many instances are counted at each node."""
        self._task = array("i")
        self._lengths: dict[tuple[int, str], int] = {}
        self._stored: dict[tuple[int, str], set[int]] = {}

    # ------------------------------------------------------------------------------- nodes

    def task_of(self, n: int) -> int:
        """The task that a node is an instance of."""
        base = len(self.graph)
        return n if n < base else self._task[n - base]

    def is_waiting_to_expand(self, n: int) -> bool:
        """Whether the node is a mapped task's own, in place of instances that are not there yet."""
        return n in self.plan.expression and n not in self.expanded

    def nodes_of(self, task: int) -> Sequence[int]:
        """The nodes of a task's instances: its own, until it is expanded."""
        expansion = self.expanded.get(task)
        return (task,) if expansion is None else expansion.nodes

    def spelled_out(self, nodes: Iterable[int]) -> Iterator[int]:
        """Nodes of expanded tasks replaced by those of their instances."""
        for n in nodes:
            yield from self.nodes_of(n)

    def node_of(self, task: int, map_index: int) -> int | None:
        """The node of one instance, None where there is none."""
        nodes = self.nodes_of(task)
        if map_index < 0:
            return task if task not in self.expanded else None
        return nodes[map_index] if task in self.expanded and map_index < len(nodes) else None

    def seen_from(self, n: int, upstream: int) -> Sequence[int]:
        """The nodes of an upstream task that node `n` looks at. A task that waits to be expanded looks at none of
        those that its instances will look at one by one.
        """
        nodes, task = self.nodes_of(upstream), self.task_of(n)
        index = self.arrays.maps[n]
        if upstream not in self.expanded or not self.plan.same_scope(upstream, task):
            return nodes
        if index < 0:
            return nodes if upstream in self.plan.gates.get(task, ()) else ()
        return nodes[index : index + 1]

    # -------------------------------------------------------------------------- growing

    def grow(self, task: int, count: int) -> range:
        """Nodes for `count` more instances; the ledger has made room for them in all its arrays but these."""
        arrays, plan = self.arrays, self.plan
        first = len(self.graph) + len(self._task)
        nodes = range(first, first + count)
        expansion = self.expanded.get(task)
        is_new = expansion is None
        if expansion is None:
            expansion = self.expanded[task] = Expansion()
        start = len(expansion.nodes)
        expansion.nodes.extend(nodes)
        expansion.open += count
        expansion.unsettled += count
        self._task.extend(array("i", [task]) * count)
        arrays.maps.extend(range(start, start + count))
        inner = [up for up in plan.inner_up[task] if up in self.expanded]
        self.total.extend(array("i", [0]) * count)
        for d in plan.outer_down[task]:
            self.total[d] += count - is_new
        for u in inner:
            self._look_at(self.expanded[u].nodes[start : start + count], nodes)
        for d in plan.inner_down[task]:
            self.total[d] -= is_new
            below = self.expanded.get(d)
            if below is not None:
                for n in below.nodes[start : start + count]:
                    self.total[n] += 1
        return nodes

    def _look_at(self, upstream: Sequence[int], nodes: Iterable[int]) -> None:
        """New instances begin to look at those of the same index that are there already."""
        state, ended = self.arrays.state, self.arrays.ended
        for u, n in zip(upstream, nodes, strict=False):
            if state[u] is not _S.REMOVED:
                self.total[n] += 1
                if state[u] in ended:
                    ended[state[u]][n] += 1

    def fold(self, task: int) -> None:
        """The task has no instances any more (all are removed) but its own node again."""
        del self.expanded[task]
        self.stale.discard(task)
        for d in (*self.plan.outer_down[task], *self.plan.inner_down[task]):
            self.total[d] += 1

    # --------------------------------------------------------------------------- counting

    def ended(self, n: int, state: TaskState) -> Sequence[int]:
        """Node `n` has ended: counts it, and gives the nodes that are to be judged because of it."""
        self.count(n, state, 1)
        return self._concerned(n, state)

    def count(self, n: int, state: TaskState, change: int) -> None:
        """Node `n` has ended in `state` (change 1), or has not after all (-1): tells all who count it."""
        plan, task = self.plan, self.task_of(n)
        expansion = self.expanded.get(task)
        if expansion is not None:
            expansion.open -= change
            if state in _SETTLED:
                expansion.unsettled -= change
            if change < 0:
                for key in plan.measured.get(task, ()):
                    self._stored.get((task, key), set[int]()).discard(n)
        counts = self.total if state is _S.REMOVED else self.arrays.ended.get(state)
        if counts is None:
            return
        if state is _S.REMOVED:
            change = -change
        if expansion is None:
            for d in self.graph.down[task]:
                counts[d] += change
            return
        for d in plan.outer_down[task]:
            counts[d] += change
        for d in self._beside(n, task):
            if d >= len(self.graph):
                counts[d] += change

    def _beside(self, n: int, task: int) -> Iterator[int]:
        """The instances of the same index downstream in the same mapped group; of tasks that are not yet
        expanded, their own nodes.
        """
        index = self.arrays.maps[n]
        for d in self.plan.inner_down[task]:
            below = self.expanded.get(d)
            if below is None:
                yield d
            elif index < len(below.nodes):
                yield below.nodes[index]

    def _concerned(self, n: int, state: TaskState) -> list[int]:
        """Rules look at which states there are among upstream instances and at whether all have ended. What
        changes neither of these leaves the many instances of a task alone.
        """
        task = self.task_of(n)
        expansion = self.expanded.get(task)
        found: list[int] = []
        if expansion is None or not expansion.open:
            for d in self.plan.dependants.get(task, ()):
                if d not in self.expanded or d in self.stale:
                    found.extend(self.nodes_of(d))
        if expansion is not None:
            found.extend(self._beside(n, task))
            for d in self.plan.gated_down.get(task, ()):
                found.extend(self.seen_by(n, d))
            outer = self.plan.outer_down[task]
        else:
            outer = self.graph.down[task]
        for d in outer:
            below = self.expanded.get(d)
            if below is None:
                found.append(d)
            elif self._is_news(d, state):
                found.extend(below.nodes)
        for d in self.graph.setup_followers.get(task, ()):
            found.extend(self.seen_by(n, d))
        return found

    def _is_news(self, task: int, state: TaskState) -> bool:
        ended = self.arrays.ended
        counts = ended.get(state)
        return counts is None or counts[task] <= 1 or sum(c[task] for c in ended.values()) >= self.total[task]

    def seen_by(self, n: int, downstream: int) -> Sequence[int]:
        """The nodes of a task further down that look at node `n`."""
        index = self.arrays.maps[n]
        nodes = self.nodes_of(downstream)
        if index < 0 or downstream not in self.expanded or not self.plan.same_scope(self.task_of(n), downstream):
            return nodes
        return nodes[index : index + 1]

    def count_of(self, n: int, state: TaskState) -> int:
        """How many of the instances that node `n` looks at have ended in this state."""
        counts, base = self.arrays.ended[state], len(self.graph)
        return counts[n] if n < base else counts[n] + counts[self._task[n - base]]

    def total_of(self, n: int) -> int:
        """How many instances node `n` looks at."""
        base = len(self.graph)
        return self.total[n] if n < base else self.total[n] + self.total[self._task[n - base]]

    def is_gated(self, n: int) -> bool:
        """Whether an instance waits for one of its own index, whatever the others have come to."""
        if n < len(self.graph):
            return False
        state = self.arrays.state
        gates = self.plan.gates.get(self.task_of(n), ())
        return any(state[u] not in FINISHED for up in gates for u in self.seen_from(n, up))

    # ---------------------------------------------------------------------------- lengths

    def learn(self, n: int, key: str, length: int) -> None:
        """What a successful attempt has stored under a key that somebody maps over."""
        task = self.task_of(n)
        if self.plan.counts_instances(task):
            stored = self._stored.setdefault((task, key), set())
            if length >= 0:
                stored.add(n)
            else:
                stored.discard(n)
        else:
            self._lengths[task, key] = length

    def length_of(self, task: int) -> int | None:
        """How many instances the task is to have, by what is known now."""
        return measure(self.plan.expression[task], self._known)

    def _known(self, source: Source) -> int | None:
        u = self.graph.index.get(source.task_id)
        if u is None or u in self.plan.scope:
            return None
        state = self.arrays.state[u]
        if u not in self.plan.expression:
            length = self._lengths.get((u, source.key), -1) if state is _S.SUCCESS else -1
            return None if length < 0 else length
        expansion = self.expanded.get(u)
        if expansion is None:
            return 0 if state is _S.SKIPPED else None
        return None if expansion.open else len(self._stored.get((u, source.key), ()))

    def source_states(self, task: int) -> set[TaskState]:
        """The states of the tasks that decide the length. An expanded one neither failed nor was skipped as
        a whole: it counts as success once all its instances have ended.
        """
        found: set[TaskState] = set()
        for source in self.plan.sources.get(task, ()):
            u = self.graph.index[source.task_id]
            expansion = self.expanded.get(u)
            if expansion is None:
                found.add(self.arrays.state[u])
            else:
                found.add(_S.NONE if expansion.open else _S.SUCCESS)
        return found

    def summary(self, task: int) -> TaskState:
        """The state of a whole task, for those who ask whether it has ended well."""
        expansion = self.expanded.get(task)
        if expansion is None:
            return self.arrays.state[task]
        if not expansion.unsettled:
            return _S.SUCCESS
        return _S.RUNNING if expansion.open else _S.FAILED


def has_ended(states: Iterable[TaskState]) -> bool:
    """Whether all of these are final."""
    return all(state in FINISHED for state in states)
