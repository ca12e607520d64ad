"""Who looks at whom among the instances of mapped tasks, and how many there are: a second time, from the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import FINISHED, TaskState

Place = tuple[str, int]
States = Mapping[Place, TaskState]
_FAST = {"one_success", "one_failed", "one_done"}
_COMBINE: dict[str, Callable[[list[int]], int]] = {"product": prod, "sum": sum, "min": min, "max": max}


class MappedReference:
    """The mapping of one DAG version over the states of one run's instances."""

    def __init__(self, spec: DagSpec) -> None:
        self.tasks = {task.task_id: task for task in spec.tasks}
        self.groups = {group.group_id: group for group in spec.groups}

    def scope(self, task: TaskSpec) -> str | None:
        """The mapped group around a task."""
        group = self.groups.get(task.group or "")
        return group.group_id if group is not None and group.expands is not None else None

    def expression(self, task: TaskSpec) -> Mapping[str, Json] | None:
        """The length expression that a task is under."""
        scope = self.scope(task)
        return task.expands if scope is None else self.groups[scope].expands

    def upstream(self, states: States, place: Place) -> list[TaskState]:
        """The states of all instances that one looks at."""
        task_id, index = place
        task = self.tasks[task_id]
        found: list[TaskState] = []
        for up in task.upstream:
            if up not in self.tasks:
                continue
            mine = {i: s for (t, i), s in states.items() if t == up}
            inner = self.scope(task) is not None and self.scope(task) == self.scope(self.tasks[up])
            if inner and -1 not in mine and task.trigger_rule.value not in _FAST:
                mine = {i: s for i, s in mine.items() if i == index}
            found += [s for s in mine.values() if s is not TaskState.REMOVED]
        return found

    def waits_for_its_own_index(self, states: States, place: Place) -> bool:
        """Whether a task with a fast rule in a group waits for the upstream instance of its index."""
        task = self.tasks[place[0]]
        if place[1] < 0 or self.scope(task) is None or task.trigger_rule.value not in _FAST:
            return False
        ups = [up for up in task.upstream if up in self.tasks and self.scope(self.tasks[up]) == self.scope(task)]
        own = [states.get((up, place[1]), states.get((up, -1), TaskState.SKIPPED)) for up in ups]
        return any(state not in FINISHED for state in own)

    def source_states(self, states: States, task: TaskSpec) -> list[TaskState]:
        """The states of all instances of the tasks that a length asks for."""
        asked = _asked(self.expression(task) or {})
        return [s for (t, _), s in states.items() if t in asked]

    def length(self, task: TaskSpec, pushed: Mapping[str, int], stored: Mapping[str, int]) -> int | None:
        """How many instances a mapped task has to have, by what its sources have pushed and stored."""

        def known(expression: Mapping[str, Json]) -> int | None:
            if "n" in expression:
                return int(expression["n"])
            if "of" in expression:
                source = self.tasks[expression["of"]]
                if self.scope(source) is not None:
                    return None
                if source.expands is not None:
                    return stored.get(source.task_id)
                return pushed.get(source.task_id)
            ((how, parts),) = expression.items()
            lengths = [known(part) for part in parts]
            return None if None in lengths else _COMBINE[how]([n for n in lengths if n is not None])

        return known(self.expression(task) or {"n": 1})


def _asked(expression: Mapping[str, Json]) -> set[str]:
    if "of" in expression:
        return {expression["of"]}
    if "n" in expression:
        return set()
    return {t for parts in expression.values() for part in parts for t in _asked(part)}
