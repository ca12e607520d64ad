"""Task instances of a run and their tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from tradewind.instance_ports import InstanceFilter, ManyRuns
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import TaskSpec
from tradewind.model.states import TaskState
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.instance_facts import facts_of, facts_of_many, tasks_of, tasks_of_version
from tradewind.web.rest.listing import LARGEST_PAGE, PAGE, between, order_by
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.run_views import InstanceFacts
from tradewind.web.rest.runs import earliest_of, latest_of, run_of

NO_STATE: Final = "none"

ALL: Final = "~"
"""In place of a DAG's id or a run's: whichever."""

_OF_TASKS: Final = ("pool", "queue", "executor")

_ORDER: Final[Mapping[str, str]] = {
    "task_id": "task_id",
    "map_index": "map_index",
    "state": "state",
    "start_date": "started_at",
    "end_date": "ended_at",
    "try_number": "try_number",
    "duration": "duration",
}


async def list_instances(call: Call) -> web.Response:
    """GET …/taskInstances; `~` for those of all DAGs, or of all runs of a DAG."""
    dag_id, dag_run_id = call.text("dag_id"), call.text("dag_run_id")
    if ALL not in (dag_id, dag_run_id):
        run = await run_of(call)
        return await _answer(call, run, InstanceFilter(run.run_id, await _task_ids(call, run, call.texts("task_id"))))
    if dag_id != ALL:
        await call.catalog.dag(dag_id)
    dag_ids = None if dag_id == ALL else (dag_id,)
    many = ManyRuns(dag_ids, None if dag_run_id == ALL else (dag_run_id,))
    return await _answer_of_many(call, many, call.texts("task_id"))


async def list_instances_of_many(call: Call) -> web.Response:
    """POST /dags/~/dagRuns/~/taskInstances/list: the same with the filters in the body."""
    logical = (
        latest_of(call.instant("execution_date_gte"), call.instant("logical_date_gte")),
        earliest_of(call.instant("execution_date_lte"), call.instant("logical_date_lte")),
    )
    many = ManyRuns(tuple(call.texts("dag_ids")) or None, tuple(call.texts("dag_run_ids")) or None, logical)
    page = {"limit": call.integer("page_limit"), "offset": call.integer("page_offset"), "map_index": None}
    asked = Call(call.request, call.identity, {**call.body, **page})
    return await _answer_of_many(asked, many, call.texts("task_ids"))


async def list_mapped(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/listMapped: the instances of a mapped task."""
    run = await run_of(call)
    task_id = call.text("task_id")
    if task_id not in await tasks_of(call, run):
        raise not_found("Task not found", f"The run {run.dag_run_id} of {run.dag_id} has no task {task_id!r}")
    task_ids = await _task_ids(call, run, [task_id])
    return await _answer(call, run, InstanceFilter(run.run_id, task_ids, mapped_only=True))


async def _answer(call: Call, run: RunRow, where: InstanceFilter) -> web.Response:
    rows, total = await call.reads.instance_page(_narrowed(call, where))
    page = await facts_of(call, run, rows)
    return json_answer({"task_instances": [run_views.task_instance(facts) for facts in page], "total_entries": total})


async def _answer_of_many(call: Call, many: ManyRuns, task_ids: Sequence[str]) -> web.Response:
    if any(call.texts(name) for name in _OF_TASKS):
        many = replace(many, tasks=await _tasks_of_many(call, many))
    rows, total = await call.reads.instance_page(_narrowed(call, InstanceFilter(many, tuple(task_ids) or None)))
    page = await facts_of_many(call, rows)
    return json_answer({"task_instances": [run_views.task_instance(facts) for facts in page], "total_entries": total})


def _narrowed(call: Call, where: InstanceFilter) -> InstanceFilter:
    order = call.maybe_text("order_by") or "task_id"
    sign = "-" if order.startswith("-") else ""
    return replace(
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


async def _task_ids(call: Call, run: RunRow, named: Sequence[str]) -> tuple[str, ...] | None:
    """The tasks that the caller's filters leave; None: all."""
    if not any(call.texts(name) for name in _OF_TASKS):
        return tuple(named) or None
    tasks = (await tasks_of(call, run)).values()
    return tuple(task.task_id for task in tasks if (not named or task.task_id in named) and _fits(call, task))


async def _tasks_of_many(call: Call, many: ManyRuns) -> tuple[tuple[str, str], ...]:
    """The tasks that the caller's filters leave, of every version that there are runs of and that is kept."""
    found: list[tuple[str, str]] = []
    for dag_id, version_hash in await call.reads.run_versions(many.dag_ids):
        tasks = await tasks_of_version(call, dag_id, version_hash)
        found += [(version_hash, task.task_id) for task in tasks.values() if _fits(call, task)]
    return tuple(found)


def _fits(call: Call, task: TaskSpec) -> bool:
    pools, queues, executors = (call.texts(name) for name in _OF_TASKS)
    return (
        (not pools or task.pool in pools)
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
    [facts] = await facts_of(call, run, [await instance_of(call, run)])
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

_ORDER_BY: Final = Param(
    "order_by",
    Kind.TEXT,
    "Field to order by; `-` in front: descending.",
    choices=order_by(*_ORDER, default="task_id").choices,
)
_ANYWHERE: Final = (
    *between("start_date", "end_date"),
    Param("duration_gte", Kind.NUMBER, "Only those that took at least so many seconds."),
    Param("duration_lte", Kind.NUMBER, "Only those that took at most so many seconds."),
    Param("state", Kind.TEXTS, "Only in one of these states; `none`: not scheduled yet.", choices=tuple(TaskState)),
    Param("pool", Kind.TEXTS, "Only of these pools.", maximum=250),
    Param("queue", Kind.TEXTS, "Only of these queues.", maximum=250),
    Param("executor", Kind.TEXTS, "Only of these executors.", maximum=250),
)
_FILTERS: Final = (
    *_ANYWHERE,
    Param("task_id", Kind.TEXTS, "Only of these tasks.", maximum=250),
    Param("map_index", Kind.INTEGER, "Only this instance of mapped tasks.", minimum=UNMAPPED, maximum=2**31 - 1),
    _ORDER_BY,
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
        "The task instances of a run; with `~` in place of the run or the DAG: of all.",
        query=(*PAGE, *_FILTERS),
        answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "POST",
        "/dags/~/dagRuns/~/taskInstances/list",
        "get_task_instances_batch",
        list_instances_of_many,
        "TaskInstance",
        "Task instances of many runs and DAGs, with the filters in the body.",
        body=(
            Param("page_limit", Kind.INTEGER, "How many at most.", default=100, minimum=1, maximum=LARGEST_PAGE),
            Param("page_offset", Kind.INTEGER, "How many to leave out.", default=0, minimum=0, maximum=2**31 - 1),
            Param("dag_ids", Kind.TEXTS, "Only of these DAGs.", maximum=250),
            Param("dag_run_ids", Kind.TEXTS, "Only of runs of these ids.", maximum=250),
            Param("task_ids", Kind.TEXTS, "Only of these tasks.", maximum=250),
            *between("execution_date", "logical_date"),
            *_ANYWHERE,
            _ORDER_BY,
        ),
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
