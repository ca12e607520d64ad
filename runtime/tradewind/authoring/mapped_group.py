"""Task groups that are mapped: all their tasks exist once for each value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from tradewind.authoring.expand_input import ExpandInput
from tradewind.authoring.nodes import DagContainer, DagNode, GroupNode
from tradewind.authoring.task_group import GroupLooks, TaskGroup
from tradewind.authoring.xcom_arg import iter_xcom_refs
from tradewind.model.errors import AuthoringError


class MappedTaskGroup(TaskGroup):
    """A group with instances: made by `.expand(…)` of a `@task_group` function.

    Instance i of a task inside depends on instance i of the others; what stands outside waits for all.
    """

    def __init__(
        self,
        group_id: str | None,
        prefix_group_id: bool = True,
        parent_group: GroupNode | None = None,
        dag: DagContainer | None = None,
        default_args: Mapping[str, Any] | None = None,
        *,
        expand_input: ExpandInput,
        **looks: Unpack[GroupLooks],
    ) -> None:
        self.expand_input = expand_input
        super().__init__(group_id, prefix_group_id, parent_group, dag, default_args, **looks)
        outer = mapped_group_of(self)
        if outer is not None:
            raise AuthoringError(
                f"task group {self.node_id!r}: task group expansion inside the mapped task group {outer.node_id!r} is "
                "not supported; map the outer group over all combinations"
            )

    def __exit__(self, failure: object = None, *exc: object) -> None:
        if failure is None:
            for ref in iter_xcom_refs(self.expand_input.values):
                self.set_upstream(ref.operator)
        super().__exit__(failure, *exc)


def mapped_group_of(node: DagNode) -> MappedTaskGroup | None:
    """The mapped group around a task or group, however far out."""
    group = node.task_group
    while group is not None:
        if isinstance(group, MappedTaskGroup):
            return group
        group = group.task_group
    return None
