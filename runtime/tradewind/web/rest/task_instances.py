"""Task instances of a run and their tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import AttemptRow, InstanceRow, RunRow
from tradewind.model.specs import Json, TaskSpec
from tradewind.model.states import TaskState
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.listing import PAGE, between, is_between, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.run_views import InstanceFacts
from tradewind.web.rest.runs import run_of

NO_STATE: Final = "none"
FEW: Final = 50
"""Below one in so many of a run's instances, attempts are read one instance at a time."""

_ORDER: Final[Mapping[str, Callable[[InstanceFacts], Json]]] = {
    "task_id": lambda facts: (facts.instance.task_id, facts.instance.map_index),
    "map_index": lambda facts: facts.instance.map_index,
    "state": lambda facts: run_views.state_name(facts.instance.state),
    "start_date": lambda facts: facts.instance.started_at,
    "end_date": lambda facts: facts.instance.ended_at,
    "try_number": lambda facts: facts.instance.try_number,
    "duration": lambda facts: _duration(facts),
    "pool": lambda facts: facts.task.pool if facts.task else None,
    "queue": lambda facts: facts.task.queue if facts.task else None,
}


def _duration(facts: InstanceFacts) -> float | None:
    return run_views.seconds_between(facts.instance.started_at, facts.instance.ended_at)


async def tasks_of(call: Call, run: RunRow) -> dict[str, TaskSpec]:
    """Task id to task, of the version that the run began with."""
    spec = await call.catalog.spec(run.dag_id, run.version_hash)
    return {task.task_id: task for task in spec.tasks}


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
        InstanceFacts(run, row, tasks.get(row.task_id), attempts.get((row.task_id, row.map_index)))
        for row in instances
    ]


async def list_instances(call: Call) -> web.Response:
    """GET …/taskInstances."""
    run = await run_of(call)
    return await _answer(call, run, await call.reads.instance_list(run.run_id))


async def list_mapped(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/listMapped: the instances of a mapped task."""
    run = await run_of(call)
    task_id = call.text("task_id")
    if task_id not in await tasks_of(call, run):
        raise not_found("Task not found", f"The run {run.dag_run_id} of {run.dag_id} has no task {task_id!r}")
    rows = await call.reads.instance_list(run.run_id)
    return await _answer(call, run, [row for row in rows if row.task_id == task_id and row.map_index != UNMAPPED])


async def _answer(call: Call, run: RunRow, rows: list[InstanceRow]) -> web.Response:
    tasks = await tasks_of(call, run)
    kept = [facts for row in rows if _is_wanted(call, facts := InstanceFacts(run, row, tasks.get(row.task_id), None))]
    order = call.maybe_text("order_by")
    if order is not None:
        kept = ordered(kept, order, _ORDER)
    page = await facts_of(call, run, [facts.instance for facts in page_of(call, kept)], len(rows))
    entries = [run_views.task_instance(facts) for facts in page]
    return json_answer({"task_instances": entries, "total_entries": len(kept)})


def _is_wanted(call: Call, facts: InstanceFacts) -> bool:
    row, task = facts.instance, facts.task
    pairs = (
        ("state", row.state.value),
        ("pool", task.pool if task else ""),
        ("queue", task.queue if task else ""),
        ("executor", task.executor if task else ""),
        ("task_id", row.task_id),
    )
    if not all(value in wanted for name, value in pairs if (wanted := call.texts(name))):
        return False
    low, high = call.maybe_number("duration_gte"), call.maybe_number("duration_lte")
    if low is not None or high is not None:
        length = _duration(facts)
        if length is None or (low is not None and length < low) or (high is not None and length > high):
            return False
    map_index = call.maybe_integer("map_index")
    if map_index is not None and row.map_index != map_index:
        return False
    return is_between(call, "start_date", row.started_at) and is_between(call, "end_date", row.ended_at)


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
    Param("order_by", Kind.TEXT, "Field to order by; `-` in front: descending.",
          choices=order_by(*_ORDER, default="task_id").choices),
)

INSTANCES: Final = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"
INSTANCE: Final = f"{INSTANCES}/{{task_id}}"
MAPPED: Final = f"{INSTANCE}/{{map_index:-?[0-9]+}}"
_KINDS: Final = {"map_index": Kind.INTEGER, "task_try_number": Kind.INTEGER}

ROUTES: Final = (
    Route(
        "GET", INSTANCES, "get_task_instances", list_instances, "TaskInstance", "The task instances of a run.",
        query=(*PAGE, *_FILTERS), answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "GET", INSTANCE, "get_task_instance", get_instance, "TaskInstance", "A task instance.",
        query=(MAP_INDEX,), answers={200: "TaskInstance"},
    ),
    Route(
        "GET", f"{INSTANCE}/listMapped", "get_mapped_task_instances", list_mapped, "TaskInstance",
        "The instances of a mapped task.", query=(*PAGE, *(one for one in _FILTERS if one.name != "task_id")),
        answers={200: "TaskInstanceCollection"},
    ),
    Route("GET", MAPPED, "get_mapped_task_instance", get_instance, "TaskInstance", "One instance of a mapped task.",
          answers={200: "TaskInstance"}, path_kinds=_KINDS),
    Route(
        "GET", f"{INSTANCE}/tries", "get_task_instance_tries", list_tries, "TaskInstance", "Every try so far.",
        query=(MAP_INDEX,), answers={200: "TaskInstanceCollection"},
    ),
    Route(
        "GET", f"{INSTANCE}/tries/{{task_try_number}}", "get_task_instance_try_details", get_try, "TaskInstance",
        "One try.", query=(MAP_INDEX,), answers={200: "TaskInstance"}, path_kinds=_KINDS,
    ),
)
