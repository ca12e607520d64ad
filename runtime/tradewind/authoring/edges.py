"""Ways to draw many edges at once, and labels on edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tradewind.authoring.nodes import DagNode, Dependencies, Dependency, EdgeText, GroupNode, TaskNode, as_sequence
from tradewind.authoring.xcom_arg import XComArg
from tradewind.model.errors import AuthoringError


class EdgeLabeler(EdgeText):
    """`a >> Label("text") >> b`: remembers one side until the other comes, then draws and labels.

    A labelled edge between tasks of different groups is drawn between their groups, as Airflow does.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._before: list[Dependency] = []
        self._after: list[Dependency] = []

    @property
    def roots(self) -> Sequence[TaskNode]:
        """What was put downstream so far."""
        return [task for item in self._after for task in item.roots]

    @property
    def leaves(self) -> Sequence[TaskNode]:
        """What was put upstream so far."""
        return [task for item in self._before for task in item.leaves]

    def set_upstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Puts `other` before the label, and draws the edges to what already stands after it."""
        self._before.extend(_labelled(other))
        self._lift()
        for node in self._after:
            node.set_upstream(other, edge_modifier=self)

    def set_downstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Puts `other` after the label, and draws the edges from what already stands before it."""
        self._after.extend(_labelled(other))
        self._lift()
        for node in self._before:
            node.set_downstream(other, edge_modifier=self)

    def note_relative(self, other: Dependency, *, upstream: bool, label: EdgeText | None) -> None:
        """The other side of `task >> label`: the label takes the task in."""
        if upstream:
            self.set_upstream(other)
        else:
            self.set_downstream(other)

    def _lift(self) -> None:
        """Replaces tasks by their groups once both sides are known and lie in different groups."""
        if not (self._before and self._after):
            return
        if len({_home(node) for node in (*self._before, *self._after)} - {None}) == 1:
            return
        self._before = [_group_of(node) or node for node in self._before]
        self._after = [_group_of(node) or node for node in self._after]


def Label(text: str) -> EdgeLabeler:  # noqa: N802 - the name that DAG files use
    """A text on the edge between what stands on its two sides."""
    return EdgeLabeler(text)


def _labelled(items: Dependencies) -> Sequence[Dependency]:
    nodes = as_sequence(items, "Label")
    for node in nodes:
        if isinstance(node, EdgeLabeler):
            raise AuthoringError(f"Label({node.text!r}): a label stands between tasks, not beside another label")
    return nodes


def _home(node: Dependency) -> str | None:
    """Which group a side of the edge lies in; the empty text for the DAG's own level."""
    if isinstance(node, XComArg):
        node = node.operator
    if isinstance(node, DagNode) and node.task_group is not None:
        return node.task_group.node_id
    return node.node_id if isinstance(node, GroupNode) else None


def _group_of(node: Dependency) -> GroupNode | None:
    if isinstance(node, DagNode) and node.task_group is not None and not node.task_group.is_root:
        return node.task_group
    return None


def chain(*steps: Dependencies) -> None:
    """`chain(a, [b, c], [d, e], f)`: each before the next; two lists side by side are joined pairwise.

    Raises AuthoringError where two neighbouring lists differ in length.
    """
    for number, (left, right) in enumerate(pairwise(steps), start=1):
        if isinstance(left, Dependency):
            left.set_downstream(right)
        elif isinstance(right, Dependency):
            right.set_upstream(left)
        else:
            if len(left) != len(right):
                raise AuthoringError(
                    f"chain: the lists at places {number} and {number + 1} have {len(left)} and {len(right)} entries; "
                    "lists side by side are joined one to one, so they need the same length (or use chain_linear)"
                )
            for one, other in zip(left, right, strict=True):
                one.set_downstream(other)


def chain_linear(*steps: Dependencies) -> None:
    """`chain_linear(a, [b, c], [d, e])`: all of each step before all of the next."""
    if not steps:
        raise AuthoringError("chain_linear: no tasks given")
    levels = [as_sequence(step, "chain_linear") for step in steps]
    levels = [level for level in levels if level]
    if len(levels) == 1 and len(steps) == 1:
        raise AuthoringError("chain_linear: a single step makes no dependency; give at least two")
    for left, right in pairwise(levels):
        for task in left:
            task.set_downstream(list(right))


def cross_downstream(from_tasks: Sequence[Dependency], to_tasks: Dependencies) -> None:
    """Every one of `from_tasks` before every one of `to_tasks`."""
    for task in as_sequence(from_tasks, "cross_downstream"):
        task.set_downstream(to_tasks)
