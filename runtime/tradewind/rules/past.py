"""`depends_on_past` and `wait_for_downstream`: what a task needs of the previous run.

The previous run is the one with the latest earlier logical date. A task that depends on its past
may start when its own instance there ended as success or skipped; one that waits for downstream
also needs that of the tasks directly downstream of it there. Without a previous run, or where it
has no such task (any more), nothing holds the task up.
"""

from __future__ import annotations

from collections.abc import Callable

from tradewind.model.states import TaskState
from tradewind.rules.graph import Graph

StateOf = Callable[[str], TaskState | None]
"""The state of a task's instance in the previous run; None: it has none."""

_GOOD = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED, None})


def tasks_asked_of_past(graph: Graph) -> tuple[str, ...]:
    """The tasks whose instances in the previous run matter."""
    asked = set(graph.past_nodes)
    for n in graph.past_nodes:
        if graph.tasks[n].wait_for_downstream:
            asked.update(graph.down[n])
    return tuple(graph.tasks[n].task_id for n in sorted(asked))


def past_is_settled(graph: Graph, n: int, state_of: StateOf) -> bool:
    """Whether the previous run lets task `n` start."""
    task = graph.tasks[n]
    if state_of(task.task_id) not in _GOOD:
        return False
    if not task.wait_for_downstream:
        return True
    return all(state_of(graph.tasks[d].task_id) in _GOOD for d in graph.down[n])


def past_of(graph: Graph, state_of: StateOf) -> dict[str, bool]:
    """For each task that depends on its past, whether the previous run lets it start."""
    return {graph.tasks[n].task_id: past_is_settled(graph, n, state_of) for n in graph.past_nodes}
