"""What a branch task's result means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView
from typing import cast

from tradewind.authoring.nodes import GroupNode, TaskNode
from tradewind.model.errors import TaskFailed


def branch_ids(operator: TaskNode, result: object) -> tuple[str, ...]:
    """The task ids that a branch goes on with, sorted; ids of groups become the tasks they begin with.

    Raises TaskFailed for what is no id of the DAG.
    """
    dag = operator.dag
    if dag is None:
        raise TaskFailed(f"branch {operator.task_id!r} belongs to no DAG")
    chosen: set[str] = set()
    unknown: set[str] = set()
    groups = _groups(dag.task_group)
    for item in _listed(operator, result):
        if not isinstance(item, str):
            raise TaskFailed(
                f"branch {operator.task_id!r} of DAG {dag.dag_id!r} returned {item!r}; "
                "it has to return a task id, a list of task ids, or None"
            )
        if item in groups:
            chosen.update(task.task_id for task in groups[item].roots)
        elif item in dag.task_dict:
            chosen.add(item)
        else:
            unknown.add(item)
    if unknown:
        followers = ", ".join(sorted(operator.downstream_task_ids)) or "none"
        raise TaskFailed(
            f"branch {operator.task_id!r} of DAG {dag.dag_id!r}: 'branch_task_ids' must contain only valid task_ids. "
            f"Invalid tasks found: {', '.join(map(repr, sorted(unknown)))}. Directly downstream: {followers}"
        )
    return tuple(sorted(chosen))


def _listed(operator: TaskNode, result: object) -> Iterable[object]:
    if result is None:
        return ()
    if isinstance(result, str):
        return (result,)
    if isinstance(result, (list, tuple, set, frozenset, KeysView, Iterator)):
        return cast("Iterable[object]", result)
    raise TaskFailed(
        f"branch {operator.task_id!r}: 'branch_task_ids' must be either None, a task ID, or an Iterable of IDs, "
        f"but got {type(result).__name__!r}"
    )


def _groups(root: GroupNode) -> dict[str, GroupNode]:
    found: dict[str, GroupNode] = {}
    stack = [root]
    while stack:
        for child in stack.pop().children.values():
            if isinstance(child, GroupNode):
                found[child.node_id] = child
                stack.append(child)
    return found
