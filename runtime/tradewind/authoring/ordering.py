"""Orders of tasks: circles found, and the order in which views list them. Linear in tasks and edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tradewind.authoring.nodes import DagNode, GroupNode, TaskNode
from tradewind.model.errors import DagCycleError


def find_cycle(tasks: Mapping[str, TaskNode]) -> list[str] | None:
    """The ids along one circle of dependencies, from the task that was defined first back to it; None if there is
    none.
    """
    waiting = {task_id: len(task.upstream_task_ids) for task_id, task in tasks.items()}
    ready = [task_id for task_id, count in waiting.items() if not count]
    while ready:
        task_id = ready.pop()
        del waiting[task_id]
        for follower in tasks[task_id].downstream_task_ids:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if not waiting:
        return None
    # Each task that is left waits for another that is left: walking upstream must come round.
    path: dict[str, None] = {}
    here = min(waiting)
    while here not in path:
        path[here] = None
        here = min(tasks[here].upstream_task_ids & waiting.keys())
    circle = list(path)[list(path).index(here) :]
    circle.reverse()
    start = circle.index(next(task_id for task_id in tasks if task_id in circle))
    return [*circle[start:], *circle[:start], circle[start]]


def check_cycle(dag_id: str, tasks: Mapping[str, TaskNode]) -> None:
    """Raises DagCycleError, showing the circle, where tasks wait for each other."""
    circle = find_cycle(tasks)
    if circle is not None:
        shown = circle if len(circle) <= 12 else [*circle[:6], "…", *circle[-5:]]
        raise DagCycleError(
            f"Cycle detected in DAG: {dag_id}. Faulty task: {circle[-2]} to {circle[-1]}. "
            f"These wait for each other for ever: {' -> '.join(shown)}"
        )


def topological(group: GroupNode, tasks: Mapping[str, TaskNode]) -> Iterator[TaskNode]:
    """All tasks below `group`, members of a group together, each level in topological order.

    Levels are ordered as by repeated passes over the members in order of definition, each pass
    taking those whose upstream members have been taken. Links of a whole group to other groups
    do not order it; its links to tasks do.
    """
    for node in _level(group, tasks):
        if isinstance(node, GroupNode):
            yield from topological(node, tasks)
        elif isinstance(node, TaskNode):
            yield node


def _level(group: GroupNode, tasks: Mapping[str, TaskNode]) -> list[DagNode]:
    members = group.children
    place = {node_id: n for n, node_id in enumerate(members)}
    blockers = {node_id: _blockers(node, members, tasks) for node_id, node in members.items()}
    followers: dict[str, list[str]] = {}
    for node_id, before in blockers.items():
        for blocker in before:
            followers.setdefault(blocker, []).append(node_id)
    waiting = {node_id: len(before) for node_id, before in blockers.items()}
    taken_in: dict[str, int] = dict.fromkeys((n for n, count in waiting.items() if not count), 0)
    ready = list(taken_in)
    while ready:
        node_id = ready.pop()
        for follower in followers.get(node_id, ()):
            # A member that stands after its blocker is taken in the same pass, else in the next one.
            later = taken_in[node_id] + (place[follower] < place[node_id])
            taken_in[follower] = max(taken_in.get(follower, 0), later)
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if any(waiting.values()):
        raise DagCycleError(f"the members of {group!r} wait for each other")
    return [members[node_id] for node_id in sorted(members, key=lambda n: (taken_in[n], place[n]))]


def _blockers(node: DagNode, members: Mapping[str, DagNode], tasks: Mapping[str, TaskNode]) -> set[str]:
    """The members of the same level that must come before `node`."""
    found: set[str] = set()
    for task_id in node.upstream_task_ids:
        at: DagNode | None = tasks[task_id]
        while at is not None:
            if at.node_id in members:
                found.add(at.node_id)
                break
            at = at.task_group
    return found
