"""Gathers what task instances are shown from: their runs, tasks, last attempts and missed SLAs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson

from tradewind.instance_ports import MissFilter
from tradewind.model.keys import RunId
from tradewind.model.rows import AttemptRow, InstanceRow, RunRow
from tradewind.model.specs import TaskSpec
from tradewind.web.problems import Problem
from tradewind.web.rest.route import Call
from tradewind.web.rest.run_views import InstanceFacts

MOST_MISSES: Final = 10_000
"""Missed SLAs that the runs of one list have: one a run and moment."""

Tasks = Mapping[str, TaskSpec]
Place = tuple[RunId, str, int]


async def tasks_of(call: Call, run: RunRow) -> Tasks:
    """Task id to task, of the version that the run began with."""
    return await call.catalog.tasks(run.dag_id, run.version_hash)


async def tasks_of_version(call: Call, dag_id: str, version_hash: str) -> Tasks:
    """Task id to task of a version; none of one that is not kept."""
    try:
        return await call.catalog.tasks(dag_id, version_hash)
    except Problem:
        return {}


async def facts_of(call: Call, run: RunRow, instances: Sequence[InstanceRow]) -> list[InstanceFacts]:
    """Everything that these instances of a run are shown from."""
    return await _facts(call, {run.run_id: run}, {run.version_hash: await tasks_of(call, run)}, instances)


async def facts_of_many(call: Call, instances: Sequence[InstanceRow]) -> list[InstanceFacts]:
    """Everything that these instances of any runs are shown from. Of a version that is not kept the task is unknown."""
    runs = {run.run_id: run for run in await call.reads.run_many(sorted({row.run_id for row in instances}))}
    tasks: dict[str, Tasks] = {}
    for run in runs.values():
        if run.version_hash not in tasks:
            tasks[run.version_hash] = await tasks_of_version(call, run.dag_id, run.version_hash)
    return await _facts(call, runs, tasks, [row for row in instances if row.run_id in runs])


async def _facts(
    call: Call, runs: Mapping[RunId, RunRow], tasks: Mapping[str, Tasks], instances: Sequence[InstanceRow]
) -> list[InstanceFacts]:
    latest = await call.reads.attempt_latest([row for row in instances if row.try_number])
    attempts = {_place(attempt): attempt for attempt in latest}
    found: list[InstanceFacts] = []
    for row in instances:
        run = runs[row.run_id]
        task = tasks[run.version_hash].get(row.task_id)
        found.append(InstanceFacts(run, row, task, attempts.get(_place(row))))
    return await _with_misses(call, found)


def _place(row: InstanceRow | AttemptRow) -> Place:
    return row.run_id, row.task_id, row.map_index


async def _with_misses(call: Call, found: list[InstanceFacts]) -> list[InstanceFacts]:
    """Those that have missed their SLA know it."""
    runs = {facts.run.run_id: facts.run for facts in found if facts.task is not None and "sla" in facts.task.extra}
    late = await _late(call, tuple(runs)) if runs else {}
    if not late:
        return found
    calls_back = {run_id: await _calls_back(call, runs[run_id]) for run_id in {run_id for run_id, _ in late}}
    return [
        replace(facts, late_since=late[key], calls_back=calls_back[facts.run.run_id])
        if (key := (facts.run.run_id, facts.instance.task_id)) in late
        else facts
        for facts in found
    ]


async def _late(call: Call, run_ids: tuple[RunId, ...]) -> dict[tuple[RunId, str], datetime]:
    """When the tasks of these runs that have missed their SLA were found late."""
    misses, _ = await call.reads.deadline_page(MissFilter("sla", run_ids=run_ids, limit=MOST_MISSES))
    late: dict[tuple[RunId, str], datetime] = {}
    for _, _, row in misses:
        for one in orjson.loads(row.miss.body)["tasks"]:
            late[row.miss.run_id, one["task_id"]] = row.at
    return late


async def _calls_back(call: Call, run: RunRow) -> bool:
    return bool((await call.catalog.spec(run.dag_id, run.version_hash)).extra.get("sla_miss_callback"))
