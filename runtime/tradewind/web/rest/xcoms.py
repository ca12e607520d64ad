"""XComs of task instances: what tasks left for each other. Read only."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tradewind.instance_ports import XComFilter
from tradewind.model.errors import XComError
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import RunRow, XComEntry
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.listing import PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import run_of
from tradewind.web.rest.task_instances import INSTANCE, MAP_INDEX


def _reference(run: RunRow, entry: XComEntry) -> dict[str, Json]:
    return {
        "dag_id": run.dag_id,
        "execution_date": run.logical_date,
        "key": entry.key,
        "map_index": entry.map_index,
        "run_id": run.dag_run_id,
        "task_id": entry.task_id,
        "timestamp": entry.at,
    }


async def _page(call: Call, run: RunRow, limit: int, offset: int = 0) -> tuple[list[XComEntry], int]:
    """Some of those of the task that the address names; of every task for `~`. And how many there are."""
    task_id = call.text("task_id")
    return await call.reads.xcom_page(
        XComFilter(
            run.run_id,
            None if task_id == "~" else task_id,
            call.maybe_integer("map_index"),
            call.maybe_text("xcom_key"),
            limit,
            offset,
        )
    )


async def list_xcoms(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/xcomEntries: keys, not values."""
    run = await run_of(call)
    entries, total = await _page(call, run, call.integer("limit"), call.integer("offset"))
    return json_answer({"xcom_entries": [_reference(run, entry) for entry in entries], "total_entries": total})


async def get_xcom(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/xcomEntries/{xcom_key}: with the value."""
    run = await run_of(call)
    entries, _ = await _page(call, run, limit=1)
    if not entries:
        raise not_found("XCom entry not found", f"{call.text('task_id')} left nothing under {call.text('xcom_key')!r}")
    entry = entries[0]
    try:
        stored = await call.reads.xcom_get(run.run_id, entry.task_id, entry.key, entry.map_index)
    except XComError as error:
        raise not_found("XCom entry not found", str(error)) from error
    if stored is None:
        raise not_found("XCom entry not found", f"{entry.task_id} has just deleted {entry.key!r}")
    value = run_views.xcom_native(stored)
    shown = str(value) if call.flag("stringify") else value
    return json_answer({**_reference(run, entry), "value": shown})


ROUTES: Final = (
    Route(
        "GET",
        f"{INSTANCE}/xcomEntries",
        "get_xcom_entries",
        list_xcoms,
        "XCom",
        "The XComs of a task instance.",
        query=(
            *PAGE,
            Param(
                "map_index",
                Kind.INTEGER,
                "Only of this instance of a mapped task.",
                minimum=UNMAPPED,
                maximum=2**31 - 1,
            ),
            Param("xcom_key", Kind.TEXT, "Only this key.", maximum=512),
        ),
        answers={200: "XComCollection"},
    ),
    Route(
        "GET",
        f"{INSTANCE}/xcomEntries/{{xcom_key}}",
        "get_xcom_entry",
        get_xcom,
        "XCom",
        "An XCom with its value.",
        query=(
            MAP_INDEX,
            Param("deserialize", Kind.FLAG, "Accepted; values are always decoded.", default=False),
            Param("stringify", Kind.FLAG, "The value as Python prints it; false: as JSON.", default=True),
        ),
        answers={200: "XCom"},
    ),
)
