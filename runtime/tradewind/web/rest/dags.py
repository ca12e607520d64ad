"""DAGs and their tasks: list, look at, pause and unpause, read the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from tradewind.model.rows import DagRow
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer, text_answer
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest import dag_views
from tradewind.web.rest.dag_versions import VERSION, spec_asked_for
from tradewind.web.rest.listing import FIELDS, PAGE, chosen, like, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.roles import Permission

_ORDER: Final[Mapping[str, Callable[[DagRow], Json]]] = {
    "dag_id": lambda row: row.dag_id,
    "is_active": lambda row: row.is_active,
    "is_paused": lambda row: row.is_paused,
    "last_parsed_time": lambda row: row.last_parsed_at,
    "next_dagrun": lambda row: row.cursor.next_logical_date if row.cursor else None,
    "next_dagrun_create_after": lambda row: row.cursor.next_run_after if row.cursor else None,
}

_FILTERS: Final = (
    Param("dag_id_pattern", Kind.TEXT, "Only DAGs whose id contains this; `%` stands for any text.", maximum=250),
    Param("only_active", Kind.FLAG, "Leave out DAGs whose file is gone.", default=True),
    Param("paused", Kind.FLAG, "Only paused (true) or only unpaused (false) DAGs."),
    Param("tags", Kind.TEXTS, "Only DAGs with one of these tags.", maximum=250),
)

_IS_PAUSED: Final = Param("is_paused", Kind.FLAG, "Whether the DAG's schedule rests.")
_UPDATE_MASK: Final = Param("update_mask", Kind.TEXTS, "Which fields of the body count.", choices=("is_paused",))


async def _filtered(call: Call) -> list[DagRow]:
    rows = await call.reads.dag_list()
    if call.flag("only_active"):
        rows = [row for row in rows if row.is_active]
    paused = call.maybe_flag("paused")
    if paused is not None:
        rows = [row for row in rows if row.is_paused is paused]
    pattern = call.maybe_text("dag_id_pattern")
    if pattern:
        matches = like(pattern)
        rows = [row for row in rows if matches(row.dag_id)]
    tags = set(call.texts("tags"))
    if tags:
        summaries = await call.catalog.summaries(rows)
        rows = [row for row, summary in zip(rows, summaries, strict=True) if summary.tags & tags]
    return rows


async def _shown(call: Call, rows: Sequence[DagRow]) -> list[dict[str, Json]]:
    summaries = await call.catalog.summaries(rows)
    return [dag_views.dag(row, summary.fields) for row, summary in zip(rows, summaries, strict=True)]


async def list_dags(call: Call) -> web.Response:
    """GET /dags."""
    rows = ordered(await _filtered(call), call.text("order_by"), _ORDER)
    entries = await _shown(call, page_of(call, rows))
    return json_answer({"dags": chosen(call, entries), "total_entries": len(rows)})


async def get_dag(call: Call) -> web.Response:
    """GET /dags/{dag_id}."""
    row = await call.catalog.dag(call.text("dag_id"))
    return json_answer(chosen(call, await _shown(call, [row]))[0])


async def get_details(call: Call) -> web.Response:
    """GET /dags/{dag_id}/details."""
    row = await call.catalog.dag(call.text("dag_id"))
    # As it is kept now, not as it was when this version was first looked at: the order of the params is no part of it.
    version = await call.reads.dag_version_get(row.dag_id, row.version_hash)
    spec = await call.catalog.spec(row.dag_id, row.version_hash) if version is None else version.spec
    [summary] = await call.catalog.summaries([row])
    return json_answer(chosen(call, [dag_views.dag_detail(row, summary.fields, spec)])[0])


def _wanted_pause(call: Call) -> bool:
    masked = call.texts("update_mask")
    wanted = call.maybe_flag("is_paused")
    if wanted is None:
        named = "update_mask names is_paused, but the body has none" if masked else "the body has no is_paused"
        raise bad_request(f"{named}; send " + '{"is_paused": true} or {"is_paused": false}')
    return wanted


async def patch_dag(call: Call) -> web.Response:
    """PATCH /dags/{dag_id}: pauses or unpauses."""
    paused = _wanted_pause(call)
    await call.catalog.dag(call.text("dag_id"))
    row = await call.control.dag_pause(call.text("dag_id"), paused=paused)
    return json_answer((await _shown(call, [row]))[0])


async def patch_dags(call: Call) -> web.Response:
    """PATCH /dags: pauses or unpauses all DAGs that the filters choose."""
    paused = _wanted_pause(call)
    if not call.maybe_text("dag_id_pattern"):
        raise bad_request("dag_id_pattern is missing; '~' stands for all DAGs, any other text for ids that contain it")
    rows = await _matching_dags(call)
    changed = [await call.control.dag_pause(row.dag_id, paused=paused) for row in page_of(call, rows)]
    return json_answer({"dags": await _shown(call, changed), "total_entries": len(rows)})


async def _matching_dags(call: Call) -> list[DagRow]:
    if call.text("dag_id_pattern") == "~":
        everything = {**call.values, "dag_id_pattern": None}
        return await _filtered(Call(call.request, call.identity, everything))
    return await _filtered(call)


async def list_tasks(call: Call) -> web.Response:
    """GET /dags/{dag_id}/tasks: all of them, in order of definition unless told otherwise."""
    spec = await spec_asked_for(call)
    below = dag_views.downstream_of(spec)
    entries = [dag_views.task(task, below[task.task_id], spec) for task in spec.tasks]
    order = call.maybe_text("order_by")
    if order is not None:
        name = order.removeprefix("-")
        entries = ordered(entries, order, {name: lambda entry: entry[name]})
    return json_answer({"tasks": entries, "total_entries": len(entries)})


async def get_task(call: Call) -> web.Response:
    """GET /dags/{dag_id}/tasks/{task_id}."""
    spec = await spec_asked_for(call)
    task_id = call.text("task_id")
    for task in spec.tasks:
        if task.task_id == task_id:
            return json_answer(dag_views.task(task, dag_views.downstream_of(spec)[task_id], spec))
    raise not_found("Task not found", f"The DAG {spec.dag_id} has no task {task_id!r}")


async def get_source(call: Call) -> web.Response:
    """GET /dagSources/{file_token}: the code of a DAG's version, as text or JSON."""
    code = await call.catalog.code(call.text("file_token"))
    wanted = call.request.headers.get("Accept", "*/*")
    if "application/json" in wanted:
        return json_answer({"content": code})
    if "text/plain" in wanted or "*/*" in wanted or "text/*" in wanted:
        return text_answer(code)
    raise Problem(406, "Not Acceptable", "The source is there as text/plain and as application/json.")


ROUTES: Final = (
    Route(
        "GET",
        "/dags",
        "get_dags",
        list_dags,
        "DAG",
        "DAGs, by id.",
        query=(*PAGE, order_by(*_ORDER, default="dag_id"), *_FILTERS, FIELDS),
        answers={200: "DAGCollection"},
    ),
    Route(
        "PATCH",
        "/dags",
        "patch_dags",
        patch_dags,
        "DAG",
        "Pause or unpause the DAGs that the filters choose.",
        permission=Permission.EDIT,
        query=(*PAGE, *_FILTERS, _UPDATE_MASK),
        body=(_IS_PAUSED,),
        answers={200: "DAGCollection"},
    ),
    Route("GET", "/dags/{dag_id}", "get_dag", get_dag, "DAG", "A DAG.", query=(FIELDS,), answers={200: "DAG"}),
    Route(
        "PATCH",
        "/dags/{dag_id}",
        "patch_dag",
        patch_dag,
        "DAG",
        "Pause or unpause a DAG.",
        permission=Permission.EDIT,
        query=(_UPDATE_MASK,),
        body=(_IS_PAUSED,),
        answers={200: "DAG"},
    ),
    Route(
        "GET",
        "/dags/{dag_id}/details",
        "get_dag_details",
        get_details,
        "DAG",
        "A DAG with all that its file says.",
        query=(FIELDS,),
        answers={200: "DAGDetail"},
    ),
    Route(
        "GET",
        "/dags/{dag_id}/tasks",
        "get_tasks",
        list_tasks,
        "DAG",
        "The tasks of a DAG.",
        query=(
            VERSION,
            Param(
                "order_by",
                Kind.TEXT,
                "task_id or operator_name; `-` in front: descending.",
                choices=("task_id", "-task_id", "operator_name", "-operator_name"),
            ),
        ),
        answers={200: "TaskCollection"},
    ),
    Route(
        "GET",
        "/dags/{dag_id}/tasks/{task_id}",
        "get_task",
        get_task,
        "DAG",
        "A task.",
        query=(VERSION,),
        answers={200: "Task"},
    ),
    Route(
        "GET",
        "/dagSources/{file_token}",
        "get_dag_source",
        get_source,
        "DAG",
        "The code that made a DAG's version.",
        answers={200: "DagSource"},
        media=("application/json", "text/plain"),
    ),
)
