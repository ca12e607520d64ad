"""Deadlines of runs and SLAs of tasks that were missed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from tradewind.instance_ports import FoundMiss, MissFilter
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer
from tradewind.web.problems import bad_request
from tradewind.web.rest.listing import PAGE, between, order_by
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import ALL_DAGS, earliest_of, latest_of, run_of

SLA: Final = "sla"
DEADLINE: Final = "deadline"
_ORDER: Final[Mapping[str, str]] = {"deadline_time": "due", "created_at": "at", "last_updated_at": "at"}


def _shown(found: FoundMiss) -> dict[str, Json]:
    miss, body = found.row.miss, orjson.loads(found.row.miss.body)
    kind = SLA if miss.name.startswith(SLA) else DEADLINE
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"tradewind:{miss.run_id}:{miss.name}")),
        "dag_id": miss.dag_id,
        "dag_run_id": found.dag_run_id,
        "logical_date": found.logical_date,
        "kind": kind,
        "alert_name": body.get("name"),
        "deadline_time": miss.due,
        "missed": True,
        "created_at": found.row.at,
        "last_updated_at": found.row.at,
        "tasks": _tasks(body, "tasks"),
        "blocking_tasks": _tasks(body, "blocking"),
    }


def _tasks(body: Mapping[str, Any], name: str) -> list[Json]:
    return [{"task_id": one["task_id"], "state": one["state"]} for one in body.get(name, ())]


async def list_deadlines(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagRuns/{dag_run_id}/deadlines; `~` for those of all DAGs, or of all runs of one."""
    dag_id, dag_run_id = call.text("dag_id"), call.text("dag_run_id")
    run_ids = None
    if dag_run_id != ALL_DAGS:
        if dag_id == ALL_DAGS:
            raise bad_request("dag_id is required when dag_run_id is specified")
        run_ids = ((await run_of(call)).run_id,)
    elif dag_id != ALL_DAGS:
        await call.catalog.dag(dag_id)
    order = call.text("order_by")
    where = MissFilter(
        kind=call.maybe_text("kind"),
        dag_id=None if dag_id == ALL_DAGS else dag_id,
        run_ids=run_ids,
        due=(call.instant("deadline_time_gte"), call.instant("deadline_time_lte")),
        at=(
            latest_of(call.instant("created_at_gte"), call.instant("last_updated_at_gte")),
            earliest_of(call.instant("created_at_lte"), call.instant("last_updated_at_lte")),
        ),
        limit=call.integer("limit"),
        offset=call.integer("offset"),
        order_by=("-" if order.startswith("-") else "") + _ORDER[order.removeprefix("-")],
    )
    if call.maybe_flag("missed") is False:
        return json_answer({"deadlines": [], "total_entries": 0})
    found, total = await call.reads.deadline_page(where)
    return json_answer({"deadlines": [_shown(one) for one in found], "total_entries": total})


ROUTES: Final = (
    Route(
        "GET",
        "/dags/{dag_id}/dagRuns/{dag_run_id}/deadlines",
        "get_deadlines",
        list_deadlines,
        "Deadlines",
        "Deadlines and SLAs that a run has missed; `~` in place of the run or the DAG: of all.",
        query=(
            *PAGE,
            order_by(*_ORDER, default="deadline_time"),
            Param("kind", Kind.TEXT, "Only SLAs of tasks, or deadlines of DAGs.", choices=(SLA, DEADLINE)),
            Param("missed", Kind.FLAG, "Those that are not missed yet are not kept: with false there are none."),
            *between("deadline_time", "created_at", "last_updated_at"),
        ),
        answers={200: "DeadlineCollection"},
    ),
)
