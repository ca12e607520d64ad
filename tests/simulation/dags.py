"""Random DAGs for the simulation: every rule, limit and kind of task that the engine knows."""

from __future__ import annotations

import dataclasses
import random
from datetime import timedelta

from tests.simulation.mapped_dags import map_some
from tests.simulation.waits import begin_some_with_a_wait, some_durable
from tradewind.model.specs import DagSource, DagSpec, GroupSpec, TaskSpec, TimetableSpec
from tradewind.model.states import TriggerRule
from tradewind.testing.virtual_time import EPOCH

POOLS = {"default_pool": 6, "small": 2}
PARALLELISM = 5
SLOTS = 4
"""Of the executor `local`."""

_RULES = [rule for rule in TriggerRule if rule is not TriggerRule.ALL_DONE_SETUP_SUCCESS]


def random_dag(
    dice: random.Random,
    dag_id: str,
    version: int = 1,
    *,
    mapped: bool = False,
    waiting: bool = False,
    durable: bool = False,
) -> DagSpec:
    """A DAG of two to six tasks, some of them `mapped`, some `waiting` before they begin, some `durable`. The same dice
    give the same limits, whatever the version.
    """
    count = dice.randint(2, 6)
    mostly_success = dice.random() < 0.4
    past = dice.random() < 0.3
    tasks: list[TaskSpec] = []
    for n in range(count):
        upstream = tuple(sorted(f"t{u}" for u in range(n) if dice.random() < 0.45))
        tasks.append(_task(dice, n, upstream, plain=mostly_success, past=past))
    if version > 1:
        tasks = tasks[: max(1, count - (version % 2))]
        tasks.append(TaskSpec(f"v{version}", upstream=(tasks[-1].task_id,)))
    groups: tuple[GroupSpec, ...] = ()
    if mapped:
        tasks, groups = map_some(random.Random(dice.random()), tasks)
    if waiting:
        tasks = begin_some_with_a_wait(random.Random(dice.random()), tasks)
    if durable:
        tasks = some_durable(random.Random(dice.random()), tasks)
    tasks = [_with_downstream(task, tasks) for task in tasks]
    is_scheduled = dice.random() < 0.4
    return DagSpec(
        dag_id,
        tasks=tuple(tasks),
        groups=groups,
        timetable=every_ten_minutes() if is_scheduled else TimetableSpec("none"),
        start_date=EPOCH - timedelta(minutes=20) if is_scheduled else None,
        catchup=is_scheduled and dice.random() < 0.5,
        max_active_runs=dice.choice((1, 2, 4)),
        max_active_tasks=dice.choice((1, 3, 16)),
        is_paused_upon_creation=dice.random() < 0.2,
        description=f"version {version}",
        fail_stop=dice.random() < 0.15,
    )


def _with_downstream(task: TaskSpec, tasks: list[TaskSpec]) -> TaskSpec:
    """What a branch may choose from."""
    down = [other.task_id for other in tasks if task.task_id in other.upstream]
    return dataclasses.replace(task, extra={"kind": task.extra.get("kind", "plain"), "down": down})


def source_of(spec: DagSpec) -> DagSource:
    """Each DAG is a file of its own."""
    return DagSource("main", "1", f"/dags/{spec.dag_id}.py", f"{spec.dag_id}.py")


def _task(dice: random.Random, n: int, upstream: tuple[str, ...], *, plain: bool, past: bool) -> TaskSpec:
    kind = dice.choice(("plain", "plain", "plain", "branch", "short_circuit"))
    depends = past and dice.random() < 0.5
    return TaskSpec(
        f"t{n}",
        upstream=upstream,
        trigger_rule=TriggerRule.ALL_SUCCESS if plain else dice.choice(_RULES),
        executor=dice.choice(("local", "inline", "remote")),
        is_empty=dice.random() < 0.1,
        pool=dice.choice(("default_pool", "small")),
        pool_slots=dice.choice((1, 1, 2)),
        priority_weight=dice.randint(1, 3),
        retries=dice.choice((0, 0, 1, 2)),
        retry_delay=dice.choice((0.0, 5.0, 60.0)),
        retry_exponential_backoff=dice.random() < 0.3,
        depends_on_past=depends,
        wait_for_downstream=depends and dice.random() < 0.4,
        max_active_tis_per_dag=dice.choice((None, None, 1, 2)),
        max_active_tis_per_dagrun=dice.choice((None, None, 1)),
        max_lost=dice.choice((0, 1, 3)),
        extra={"kind": kind},
    )


def every_ten_minutes() -> TimetableSpec:
    return TimetableSpec("delta_data_interval", {"delta": {"timedelta": 600.0}}, "0:10:00")
