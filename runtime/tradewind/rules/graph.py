"""A DAG version compiled for the run machine: tasks by number, edges as tuples of numbers.

Built once a version and shared by all its runs. Costs O(tasks + edges) to build.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from tradewind.model.keys import UNMAPPED
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import TriggerRule
from tradewind.rules.mapping_plan import MappingPlan, is_mapped


class Graph:
    """Tasks numbered in order of definition. `up[n]` and `down[n]` are direct neighbours."""

    __slots__ = (
        "down",
        "far_setups",
        "index",
        "mapping",
        "maps",
        "past_nodes",
        "rules",
        "run_leaves",
        "setup_followers",
        "skips_after_past",
        "spec",
        "tasks",
        "up",
    )

    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.tasks: tuple[TaskSpec, ...] = spec.tasks
        self.index: dict[str, int] = {task.task_id: n for n, task in enumerate(spec.tasks)}
        self.up: list[tuple[int, ...]] = [
            tuple(self.index[u] for u in task.upstream if u in self.index) for task in spec.tasks
        ]
        down: list[list[int] | None] = [None] * len(spec.tasks)
        for n, ups in enumerate(self.up):
            for u in ups:
                followers = down[u]
                if followers is None:
                    down[u] = [n]
                else:
                    followers.append(n)
        self.down: list[tuple[int, ...]] = [tuple(d) if d else () for d in down]
        self.mapping: MappingPlan | None = MappingPlan(spec, self.index, self.up) if is_mapped(spec) else None
        self.maps: array[int] = array("i", [UNMAPPED]) * len(spec.tasks)
        """Map index of each task's own node."""
        self.rules: list[TriggerRule] = [task.trigger_rule for task in spec.tasks]
        self.past_nodes: tuple[int, ...] = tuple(
            n for n, t in enumerate(spec.tasks) if t.depends_on_past or t.wait_for_downstream
        )
        self.skips_after_past: frozenset[int] = frozenset(
            n for n in self.past_nodes if spec.tasks[n].extra.get("wait_for_past_depends_before_skipping")
        )
        """Those that are not even skipped before their past lets them start."""
        self.run_leaves: tuple[int, ...] = self._run_leaves()
        self.far_setups: dict[int, tuple[int, ...]] = self._far_setups()
        self.setup_followers: dict[int, tuple[int, ...]] = {
            setup: tuple(n for n, setups in self.far_setups.items() if setup in setups)
            for setup in {s for setups in self.far_setups.values() for s in setups}
        }

    def __len__(self) -> int:
        return len(self.tasks)

    def _run_leaves(self) -> tuple[int, ...]:
        """The tasks whose end decides the run's state.

        A task is one if nothing that counts stands downstream of it and it counts itself; a
        teardown counts only where `on_failure_fail_dagrun` is set. Of a DAG that consists of
        uncounted teardowns, the last tasks decide.
        """
        leaves = tuple(
            n for n, down in enumerate(self.down) if self._counts(n) and not any(self._counts(d) for d in down)
        )
        return leaves or tuple(n for n, down in enumerate(self.down) if not down)

    def _counts(self, n: int) -> bool:
        task = self.tasks[n]
        return not task.is_teardown or task.on_failure_fail_dagrun

    def _far_setups(self) -> dict[int, tuple[int, ...]]:
        """For each task the setups that it needs although they are not direct upstreams: those
        above it which have a teardown below it, or none at all. Teardowns have their own rule,
        and `always` asks for nothing.
        """
        setups = [n for n, task in enumerate(self.tasks) if task.is_setup]
        if not setups:
            return {}
        far: dict[int, list[int]] = {}
        for setup in setups:
            teardowns = {d for d in self.down[setup] if self.tasks[d].is_teardown}
            for n in self.descendants((setup,)) - set(self.down[setup]):
                if self.tasks[n].is_teardown or self.rules[n] is TriggerRule.ALWAYS:
                    continue
                if not teardowns or teardowns & self.descendants((n,)):
                    far.setdefault(n, []).append(setup)
        return {n: tuple(found) for n, found in far.items()}

    def descendants(self, start: Iterable[int]) -> set[int]:
        """All tasks downstream of any of `start`, these themselves left out unless reached."""
        found: set[int] = set()
        stack = [d for n in start for d in self.down[n]]
        while stack:
            n = stack.pop()
            if n not in found:
                found.add(n)
                stack.extend(self.down[n])
        return found
