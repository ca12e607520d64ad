"""Task instances of a run and their tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from tradewind.instance_ports import InstanceFilter
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import AttemptRow, InstanceRow, RunRow
from tradewind.model.specs import TaskSpec
from tradewind.model.states import TaskState
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.listing import PAGE, between, order_by
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.run_views import InstanceFacts
from tradewind.web.rest.runs import run_of

NO_STATE: Final = "none"
FEW: Final = 50
"""Below one in so many of a run's instances, attempts are read one instance at a time."""

Tasks = Mapping[str, TaskSpec]

_ORDER: Final[Mapping[str, str]] = {
    "task_id": "task_id",
    "map_index": "map_index",
    "state": "state",
    "start_date": "started_at",
    "end_date": "ended_at",
    "try_number": "try_number",
    "duration": "duration",
}


async def tasks_of(call: Call, run: RunRow) -> Tasks:
    """Task id to task, of the version that the run began with."""
    return await call.catalog.tasks(run.dag_id, run.version_hash)


async def _latest_attempts(call: Call, run: RunRow, instances: Sequence[InstanceRow], total: int) -> Attempts:
    """The latest attempt of each instance."""
    tried = [row for row in instances if row.try_number]
    attempts: list[AttemptRow] = []
    if len(tried) * FEW < total:
        for row in tried:
            attempts += await call.reads.attempt_list(run.run_id, row.task_id, row.map_index)
    elif tried:
        attempts = await call.reads.attempt_list(run.run_id)
    return {(attempt.task_id, attempt.map_index): attempt for attempt in attempts}


Attempts = dict[tuple[str, int], AttemptRow]


async def facts_of(call: Call, run: RunRow, instances: Sequence[InstanceRow], total: int) -> list[InstanceFacts]:
    """Everything that the instances are shown from."""
    tasks = await tasks_of(call, run)
    attempts = await _latest_attempts(call, run, instances, total)
    return [
        InstanceFacts(run, row, tasks.get(row.task_id), attempts.get((row.task_id, row.map_index))) for row in instances
    ]


async def list_instances(call: Call) -> web.Response:
    """GET …/taskInstances."""
    run = await run_of(call)
    return await _answer(call, run, InstanceFilter(run.run_id, await _task_ids(call, run, call.texts("task_id"))))


async def list_mapped(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/listMapped: the instances of a mapped task."""
    run = await run_of(call)
    task_id = call.text("task_id")
    if task_id not in await tasks_of(call, run):
        raise not_found("Task not found", f"The run {run.dag_run_id} of {run.dag_id} has no task {task_id!r}")
    task_ids = await _task_ids(call, run, [task_id])
    return await _answer(call, run, InstanceFilter(run.run_id, task_ids, mapped_only=True))


async def _answer(call: Call, run: RunRow, where: InstanceFilter) -> web.Response:
    order = call.maybe_text("order_by") or "task_id"
    sign = "-" if order.startswith("-") else ""
    where = replace(
        where,
        states=tuple(TaskState(name) for name in call.texts("state")) or None,
        map_index=call.maybe_integer("map_index"),
        started=(call.instant("start_date_gte"), call.instant("start_date_lte")),
        ended=(call.instant("end_date_gte"), call.instant("end_date_lte")),
        lasted=(call.maybe_number("duration_gte"), call.maybe_number("duration_lte")),
        limit=call.integer("limit"),
        offset=call.integer("offset"),
        order_by=sign + _ORDER[order.removeprefix("-")],
    )
    rows, total = await call.reads.instance_page(where)
    counts: dict[str, int] = run.counts or {}
    page = await facts_of(call, run, rows, max(total, sum(counts.values())))
    return json_answer({"task_instances": [run_views.task_instance(facts) for facts in page], "total_entries": total})


async def _task_ids(call: Call, run: RunRow, named: Sequence[str]) -> tuple[str, ...] | None:
    """The tasks that the caller's filters leave; None: all."""
    pools, queues, executors = call.texts("pool"), call.texts("queue"), call.texts("executor")
    if not (pools or queues or executors):
        return tuple(named) or None
    return tuple(
        task.task_id
        for task in (await tasks_of(call, run)).values()
        if (not named or task.task_id in named)
        and (not pools or task.pool in pools)
        and (not queues or task.queue in queues)
        and (not executors or task.executor in executors)
    )


async def instance_of(call: Call, run: RunRow) -> InstanceRow:
    """The task instance that the address names. Raises Problem 404."""
    task_id = call.text("task_id")
    map_index = call.maybe_integer("map_index")
    row = await call.reads.instance_get(run.run_id, task_id, UNMAPPED if map_index is None else map_index)
    if row is None:
        which = task_id if map_index in (None, UNMAPPED) else f"{task_id} with map_index {map_index}"
        detail = f"The run {run.dag_run_id} of {run.dag_id} has no instance of {which}"
        raise not_found("Task instance not found", detail)
    return row


async def _facts(call: Call) -> InstanceFacts:
    run = await run_of(call)
    [facts] = await facts_of(call, run, [await instance_of(call, run)], 1)
    return facts


async def get_instance(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}, with or without /{map_index}."""
    return json_answer(run_views.task_instance(await _facts(call)))


async def list_tries(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/tries: every attempt, in the order they began."""
    facts = await _facts(call)
    row = facts.instance
    attempts = await call.reads.attempt_list(row.run_id, row.task_id, row.map_index)
    entries = [run_views.task_try(facts, attempt) for attempt in attempts]
    return json_answer({"task_instances": entries, "total_entries": len(entries)})


async def get_try(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/tries/{task_try_number}: the last attempt of one try."""
    facts = await _facts(call)
    row, number = facts.instance, call.integer("task_try_number")
    attempts = await call.reads.attempt_list(row.run_id, row.task_id, row.map_index)
    of_try = [attempt for attempt in attempts if attempt.try_number == number]
    if not of_try:
        raise not_found("Task instance not found", f"{row.task_id} has no try {number}; it has had {row.try_number}")
    return json_answer(run_views.task_try(facts, of_try[-1]))


async def list_dependencies(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/dependencies: why it is not running; empty if it is."""
    run = await run_of(call)
    row = await instance_of(call, run)
    reasons = await call.control.why_waiting(run.dag_id, run.dag_run_id, row.task_id, row.map_index)
    return json_answer({"dependencies": [{"name": "Tradewind", "reason": reason} for reason in reasons]})


MAP_INDEX: Final = Param(
    "map_index", Kind.INTEGER, "Which instance of a mapped task.", default=UNMAPPED, minimum=UNMAPPED, maximum=2**31 - 1
)

_FILTERS: Final = (
    *between("start_date", "end_date"),
    Param("duration_gte", Kind.NUMBER, "Only those that took at least so many seconds."),
    Param("duration_lte", Kind.NUMBER, "Only those that took at most so many seconds."),
    Param("state", Kind.TEXTS, "Only in one of these states; `none`: not scheduled yet.", choices=tuple(TaskState)),
    Param("pool", Kind.TEXTS, "Only of these pools.", maximum=250),
    Param("queue", Kind.TEXTS, "Only of these queues.", maximum=250),
    Param("executor", Kind.TEXTS, "Only of these executors.", maximum=250),
    Param("task_id", Kind.TEXTS, "Only of these tasks.", maximum=250),
    Param("map_index", Kind.INTEGER, "Only this instance of mapped tasks.", minimum=UNMAPPED, maximum=2**31 - 1),
    Param(
        "order_by",
        Kind.TEXT,
        "Field to order by; `-` in front: descending.",
        choices=order_by(*_ORDER, default="task_id").choices,
    ),
)

INSTANCES: Final = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"
INSTANCE: Final = f"{INSTANCES}/{{task_id}}"
MAPPED: Final = f"{INSTANCE}/{{map_index:-?[0-9]+}}"
_KINDS: Final = {"map_index": Kind.INTEGER, "task_try_number": Kind.INTEGER}

ROUTES: Final = (
    Route(
        "GET",
        INSTANCES,
        "get_task_instances",
        list_instances,
        "TaskInstance",
        "The task instances of a run.",
        query=(*PAGE, *_FILTERS),
        answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "GET",
        INSTANCE,
        "get_task_instance",
        get_instance,
        "TaskInstance",
        "A task instance.",
        query=(MAP_INDEX,),
        answers={200: "TaskInstance"},
    ),
    Route(
        "GET",
        f"{INSTANCE}/listMapped",
        "get_mapped_task_instances",
        list_mapped,
        "TaskInstance",
        "The instances of a mapped task.",
        query=(*PAGE, *(one for one in _FILTERS if one.name != "task_id")),
        answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "GET",
        MAPPED,
        "get_mapped_task_instance",
        get_instance,
        "TaskInstance",
        "One instance of a mapped task.",
        answers={200: "TaskInstance"},
        path_kinds=_KINDS,
    ),
    Route(
        "GET",
        f"{INSTANCE}/dependencies",
        "get_task_instance_dependencies",
        list_dependencies,
        "TaskInstance",
        "Why a task instance is not running.",
        query=(MAP_INDEX,),
        answers={200: "TaskInstanceDependencyCollection"},
    ),
    Route(
        "GET",
        f"{INSTANCE}/tries",
        "get_task_instance_tries",
        list_tries,
        "TaskInstance",
        "Every try so far.",
        query=(MAP_INDEX,),
        answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "GET",
        f"{INSTANCE}/tries/{{task_try_number}}",
        "get_task_instance_try_details",
        get_try,
        "TaskInstance",
        "One try.",
        query=(MAP_INDEX,),
        answers={200: "TaskInstance"},
        path_kinds=_KINDS,
    ),
    Route(
        "GET",
        f"{MAPPED}/dependencies",
        "get_mapped_task_instance_dependencies",
        list_dependencies,
        "TaskInstance",
        "Why one instance of a mapped task is not running.",
        answers={200: "TaskInstanceDependencyCollection"},
        path_kinds=_KINDS,
    ),
    Route(
        "GET",
        f"{MAPPED}/tries",
        "get_mapped_task_instance_tries",
        list_tries,
        "TaskInstance",
        "Every try so far of one instance of a mapped task.",
        answers={200: "TaskInstanceCollection"},
        path_kinds=_KINDS,
    ),
    Route(
        "GET",
        f"{MAPPED}/tries/{{task_try_number}}",
        "get_mapped_task_instance_try_details",
        get_try,
        "TaskInstance",
        "One try of one instance of a mapped task.",
        answers={200: "TaskInstance"},
        path_kinds=_KINDS,
    ),
)
