"""Task groups that are mapped: all their tasks exist once for each value."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Unpack

from tradewind.authoring.expand_input import ExpandInput
from tradewind.authoring.nodes import DagContainer, DagNode, GroupNode
from tradewind.authoring.task_group import GroupLooks, TaskGroup
from tradewind.authoring.xcom_arg import iter_xcom_refs
from tradewind.model.errors import AuthoringError
from tradewind.model.states import TriggerRule

log = logging.getLogger(__name__)


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
        warn_of_group_results(f"task group {self.node_id!r}", expand_input)

    def __exit__(self, failure: object = None, *exc: object) -> None:
        try:
            if failure is None:
                self._wait_for_sources()
        finally:
            super().__exit__(failure, *exc)

    def _wait_for_sources(self) -> None:
        sources = [ref.operator for ref in iter_xcom_refs(self.expand_input.values)]
        if sources:
            self._check_none_runs_always()
        for source in sources:
            self.set_upstream(source)

    def _check_none_runs_always(self) -> None:
        for child in self.children.values():
            if getattr(child, "trigger_rule", None) is TriggerRule.ALWAYS:
                raise AuthoringError(
                    f"task {child.node_id!r}: Task-generated mapping within a mapped task group is not allowed with "
                    f"trigger rule 'always': the group {self.node_id!r} has as many instances as a task's result says, "
                    "and its tasks have to wait for that"
                )


def warn_of_group_results(who: str, over: ExpandInput) -> None:
    """Says that the results of a mapped group's tasks are nothing to map over: as in Airflow, that ends as
    `upstream_failed` when the run gets there.
    """
    for ref in iter_xcom_refs(over.values):
        group = mapped_group_of(ref.operator)
        if group is not None:
            log.warning(
                "%s is mapped over what %r returns, which is in the mapped group %r: it will be upstream_failed. Let a "
                "task outside the group take the results and return them as a list, and map over that",
                *(who, ref.operator.node_id, group.node_id),
            )


def mapped_group_of(node: DagNode) -> MappedTaskGroup | None:
    """The mapped group around a task or group, however far out."""
    group = node.task_group
    while group is not None:
        if isinstance(group, MappedTaskGroup):
            return group
        group = group.task_group
    return None
