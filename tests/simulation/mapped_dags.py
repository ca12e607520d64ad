"""Makes some tasks of a random DAG mapped: over literals, over results, over mapped tasks, and in a mapped group."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence

from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.specs import GroupSpec, Json, TaskSpec
from tradewind.rules.lengths import sources

GROUP = "g"


def map_some(dice: random.Random, tasks: Sequence[TaskSpec]) -> tuple[list[TaskSpec], tuple[GroupSpec, ...]]:
    """The tasks, some of them mapped, and the mapped group where there is one."""
    found = list(tasks)
    groups: tuple[GroupSpec, ...] = ()
    if len(found) > 2 and dice.random() < 0.5:
        start = dice.randint(0, len(found) - 2)
        groups = (_group(dice, found, range(start, min(start + dice.randint(2, 3), len(found)))),)
    for n, task in enumerate(found):
        if task.group is None and dice.random() < 0.5:
            expands = _length(dice, [u.task_id for u in found[:n]])
            found[n] = _after_sources(dataclasses.replace(task, expands=expands), expands)
    asked = {s.task_id for task in found if task.expands for s in sources(task.expands)}
    asked |= {s.task_id for group in groups if group.expands for s in sources(group.expands)}
    return [dataclasses.replace(t, measured=(RETURN_KEY,)) if t.task_id in asked else t for t in found], groups


def _group(dice: random.Random, tasks: list[TaskSpec], members: range) -> GroupSpec:
    expands = _length(dice, [u.task_id for u in tasks[: members.start]])
    inside = {tasks[n].task_id for n in members}
    for n in members:
        task = dataclasses.replace(tasks[n], group=GROUP, is_empty=False)
        if n > members.start and dice.random() < 0.7:  # mostly a chain
            task = dataclasses.replace(task, upstream=tuple(sorted({*task.upstream, tasks[n - 1].task_id})))
        if not inside & set(task.upstream):
            task = _after_sources(task, expands)
        tasks[n] = task
    return GroupSpec(GROUP, children=tuple(sorted(inside)), expands=expands)


def _after_sources(task: TaskSpec, expands: Mapping[str, Json]) -> TaskSpec:
    return dataclasses.replace(task, upstream=tuple(sorted({*task.upstream, *(s.task_id for s in sources(expands))})))


def _length(dice: random.Random, before: Sequence[str]) -> Mapping[str, Json]:
    draw = dice.random()
    if not before or draw < 0.3:
        return {"n": dice.randint(0, 3)}
    one: Mapping[str, Json] = {"of": dice.choice(before), "key": RETURN_KEY}
    if draw < 0.7:
        return one
    other = {"n": dice.randint(1, 2)} if draw < 0.85 else {"of": dice.choice(before), "key": RETURN_KEY}
    return {dice.choice(("product", "sum", "min", "max")): [one, other]}
