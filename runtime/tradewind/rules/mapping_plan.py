"""What of a DAG is mapped, compiled once a version: lengths, scopes, and who looks at whom.

An edge is *inner* where both its tasks lie in the same mapped group: instance i looks at instance i. Every
other edge is *outer*: it leads to all instances. As in Airflow, a task that stands directly in a mapped group
(not in a plain group in it) and starts as soon as one upstream instance has ended (`one_success`, `one_failed`,
`one_done`) looks at all instances too; but, so that its arguments are there, not before the one of its own index
has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import TriggerRule
from tradewind.rules.lengths import Source, measure, sources

_FAST: Final = frozenset({TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ONE_DONE})

Expression = Mapping[str, Json]


def is_mapped(spec: DagSpec) -> bool:
    """Whether any task of the DAG has instances of its own."""
    return any(task.expands is not None for task in spec.tasks) or any(g.expands is not None for g in spec.groups)


def literal_length(expression: Expression) -> int | None:
    """The length of an expression that asks for no value; None of any other."""
    return None if any(True for _ in sources(expression)) else measure(expression, lambda _: None)


class ScopeFinder:
    """Finds for each task the length expression it is under, and the mapped group it lies in."""

    def __init__(self, spec: DagSpec) -> None:
        self._groups = {group.group_id: group for group in spec.groups}

    def group_of(self, task: TaskSpec) -> str | None:
        """Full id of the innermost mapped group around a task."""
        group = self._groups.get(task.group) if task.group is not None else None
        while group is not None and group.expands is None:
            group = self._groups.get(group.parent) if group.parent is not None else None
        return None if group is None else group.group_id

    def expression_of(self, task: TaskSpec) -> Expression | None:
        """The task's own expression, or that of its mapped group; None where it is not mapped."""
        if task.expands is not None:
            return task.expands
        group = self.group_of(task)
        return None if group is None else self._groups[group].expands


def literal_lengths(spec: DagSpec) -> dict[str, int]:
    """How many instances each task has from the start, of those tasks whose length (not 0) stands in the file."""
    if not is_mapped(spec):
        return {}
    finder = ScopeFinder(spec)
    expressions = ((task.task_id, finder.expression_of(task)) for task in spec.tasks)
    lengths = ((task_id, literal_length(e)) for task_id, e in expressions if e is not None)
    return {task_id: length for task_id, length in lengths if length}


class MappingPlan:
    """Tasks are numbered as in the graph."""

    __slots__ = (
        "dependants",
        "expression",
        "gated_down",
        "gates",
        "inner_down",
        "inner_up",
        "literal",
        "measured",
        "outer_down",
        "scope",
        "sources",
    )

    def __init__(self, spec: DagSpec, index: Mapping[str, int], up: Sequence[tuple[int, ...]]) -> None:
        finder = ScopeFinder(spec)
        self.scope: dict[int, str] = {}
        """The mapped group that a task lies in."""
        self.expression: dict[int, Expression] = {}
        self.literal: dict[int, int] = {}
        """Lengths that are known from the file: these instances are there from the start."""
        self.sources: dict[int, tuple[Source, ...]] = {}
        """The values that decide how many instances a task gets."""
        self.dependants: dict[int, list[int]] = {}
        """The tasks whose length a task decides."""
        self.measured: dict[int, set[str]] = {}
        """The keys of a task over which others are mapped."""
        for n, task in enumerate(spec.tasks):
            group = finder.group_of(task)
            if group is not None:
                self.scope[n] = group
            expression = finder.expression_of(task)
            if expression is not None:
                self._add(n, expression, index)
        self._split(spec, up)

    def _add(self, n: int, expression: Expression, index: Mapping[str, int]) -> None:
        self.expression[n] = expression
        self.sources[n] = tuple(source for source in sources(expression) if source.task_id in index)
        for source in self.sources[n]:
            self.measured.setdefault(index[source.task_id], set()).add(source.key)
            self.dependants.setdefault(index[source.task_id], []).append(n)
        length = literal_length(expression)
        if length:
            self.literal[n] = length

    def _split(self, spec: DagSpec, up: Sequence[tuple[int, ...]]) -> None:
        count = len(spec.tasks)
        self.inner_up: list[tuple[int, ...]] = [()] * count
        inner: list[list[int]] = [[] for _ in range(count)]
        outer: list[list[int]] = [[] for _ in range(count)]
        gated: dict[int, list[int]] = {}
        self.gates: dict[int, list[int]] = {}
        """Upstream tasks of whose instances the one of the same index has to end first."""
        for n, task in enumerate(spec.tasks):
            fast = task.trigger_rule in _FAST and task.group == self.scope.get(n)
            mine: list[int] = []
            for u in up[n]:
                if self.same_scope(u, n) and not fast:
                    mine.append(u)
                    inner[u].append(n)
                else:
                    outer[u].append(n)
                    if fast and self.same_scope(u, n):
                        self.gates.setdefault(n, []).append(u)
                        gated.setdefault(u, []).append(n)
            self.inner_up[n] = tuple(mine)
        self.gated_down = gated
        self.inner_down: list[tuple[int, ...]] = [tuple(d) for d in inner]
        self.outer_down: list[tuple[int, ...]] = [tuple(d) for d in outer]

    def same_scope(self, a: int, b: int) -> bool:
        """Whether both tasks lie in the same mapped group."""
        scope = self.scope.get(a)
        return scope is not None and scope == self.scope.get(b)

    def counts_instances(self, n: int) -> bool:
        """Whether mapping over task `n` counts the instances that stored a value. Over a task of a mapped
        group nobody can map from outside: its length is never known (as in Airflow).
        """
        return n in self.expression and n not in self.scope
