"""DAG runs: list, trigger, wait for, cancel, clear."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from aiohttp import web

from tradewind.control_ports import TriggerRequest
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.rows import RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RUN_FINISHED, RunState, RunType
from tradewind.ports import RunFilter
from tradewind.web.answers import json_answer
from tradewind.web.keys import CLOSING
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.listing import FIELDS, LARGEST_PAGE, PAGE, between, chosen, order_by
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.roles import Permission

ALL_DAGS: Final = "~"
RUN_ID_PATTERN: Final = r"[A-Za-z0-9_.~:+-]+"
LONGEST_WAIT: Final = 3600.0

_ORDER: Final[Mapping[str, str]] = {
    "id": "run_id",
    "dag_run_id": "dag_run_id",
    "run_id": "dag_run_id",
    "execution_date": "logical_date",
    "logical_date": "logical_date",
    "start_date": "started_at",
    "end_date": "ended_at",
    "state": "state",
}


async def run_of(call: Call) -> RunRow:
    """The run that the address names. Raises Problem 404."""
    dag_id, dag_run_id = call.text("dag_id"), call.text("dag_run_id")
    run = await call.reads.run_get(dag_id, dag_run_id)
    if run is None:
        await call.catalog.dag(dag_id)
        raise not_found("DAGRun not found", f"DAGRun with DAG ID: '{dag_id}' and DagRun ID: '{dag_run_id}' not found")
    return run


async def list_runs(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagRuns; `~` for the runs of all DAGs."""
    dag_id = call.text("dag_id")
    if dag_id != ALL_DAGS:
        await call.catalog.dag(dag_id)
    types = call.texts("run_type")
    where = RunFilter(
        dag_id=None if dag_id == ALL_DAGS else dag_id,
        states=tuple(RunState(name) for name in call.texts("state")) or None,
        limit=call.integer("limit"),
        offset=call.integer("offset"),
        types=tuple(of for of in RunType if run_views.run_type_name(of) in types) if types else None,
    )
    rows, total = await call.reads.run_list(_narrowed(call, where))
    entries = [run_views.dag_run(run) for run in rows]
    return json_answer({"dag_runs": chosen(call, entries), "total_entries": total})


async def list_runs_of_many(call: Call) -> web.Response:
    """POST /dags/~/dagRuns/list: the same with the filters in the body."""
    where = RunFilter(
        states=tuple(RunState(name) for name in call.texts("states")) or None,
        limit=call.integer("page_limit"),
        offset=call.integer("page_offset"),
        dag_ids=tuple(call.texts("dag_ids")) or None,
        dag_run_ids=tuple(call.texts("dag_run_ids")) or None,
    )
    rows, total = await call.reads.run_list(_narrowed(call, where))
    return json_answer({"dag_runs": [run_views.dag_run(run) for run in rows], "total_entries": total})


def _narrowed(call: Call, where: RunFilter) -> RunFilter:
    order = call.maybe_text("order_by") or "id"
    return replace(
        where,
        logical_from=latest_of(call.instant("execution_date_gte"), call.instant("logical_date_gte")),
        logical_to=earliest_of(call.instant("execution_date_lte"), call.instant("logical_date_lte")),
        started=(call.instant("start_date_gte"), call.instant("start_date_lte")),
        ended=(call.instant("end_date_gte"), call.instant("end_date_lte")),
        order_by=("-" if order.startswith("-") else "") + _ORDER[order.removeprefix("-")],
    )


def latest_of(*moments: datetime | None) -> datetime | None:
    """The latest of the moments that there are."""
    return max((moment for moment in moments if moment is not None), default=None)


def earliest_of(*moments: datetime | None) -> datetime | None:
    """The earliest of the moments that there are."""
    return min((moment for moment in moments if moment is not None), default=None)


async def get_run(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagRuns/{dag_run_id}."""
    run = await run_of(call)
    return json_answer(chosen(call, [run_views.dag_run(run)])[0])


async def post_run(call: Call) -> web.Response:
    """POST /dags/{dag_id}/dagRuns: triggers a run."""
    logical, execution = call.instant("logical_date"), call.instant("execution_date")
    if logical is not None and execution is not None and logical != execution:
        raise bad_request("logical_date and execution_date are two names of one time, but they differ; send one")
    row = await call.catalog.dag(call.text("dag_id"))
    if not row.is_active:
        detail = f"The file of {row.dag_id}, {row.source.fileloc}, is gone or no longer defines it."
        raise Problem(409, "DAG is not active", detail)
    request = TriggerRequest(
        row.dag_id,
        conf=call.mapping("conf"),
        dag_run_id=call.maybe_text("dag_run_id"),
        logical_date=logical or execution,
        unpause=call.flag("unpause"),
        note=call.maybe_text("note"),
        partition_key=call.maybe_text("partition_key"),
    )
    return json_answer(run_views.dag_run(await call.control.run_trigger(request)))


async def patch_run(call: Call) -> web.Response:
    """PATCH /dags/{dag_id}/dagRuns/{dag_run_id}: `failed` ends the run and its attempts."""
    run = await run_of(call)
    if run.state is not RunState.FAILED:
        run = await call.control.run_cancel(run.dag_id, run.dag_run_id)
    return json_answer(run_views.dag_run(run))


async def wait_for_run(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagRuns/{dag_run_id}/wait: 200 once it has finished, 202 if it has not."""
    run = await run_of(call)
    if run.state not in RUN_FINISHED:
        run = await _finished(call, run)
    results: dict[str, Json] = {}
    for task_id in call.texts("result") if run.state in RUN_FINISHED else []:
        value = await call.reads.xcom_get(run.run_id, task_id, RETURN_KEY)
        results[task_id] = run_views.xcom_native(value) if value is not None else None
    status = 200 if run.state in RUN_FINISHED else 202
    return json_answer({**run_views.dag_run(run), "results": results}, status)


async def _finished(call: Call, run: RunRow) -> RunRow:
    """The run when it has finished, the time is up or the server stops; in the last two as it is."""
    timeout = call.maybe_number("timeout")
    waiting = asyncio.ensure_future(call.control.run_wait(run.run_id, timeout))
    closing = asyncio.ensure_future(call.request.app[CLOSING].wait())
    try:
        await asyncio.wait({waiting, closing}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Problem(503, "The server stops", "The run goes on; ask again.", headers={"Retry-After": "2"})
        return waiting.result()
    except TimeoutError:
        return await run_of(call)
    finally:
        closing.cancel()
        waiting.cancel()


_DAG_RUN_ID: Final = Param(
    "dag_run_id",
    Kind.TEXT,
    "Id of the new run; made up if missing.",
    nullable=True,
    minimum=1,
    maximum=250,
    pattern=RUN_ID_PATTERN,
)
_TRIGGER: Final = (
    Param("conf", Kind.OBJECT, "The run's input: any JSON object.", nullable=True),
    _DAG_RUN_ID,
    Param("logical_date", Kind.INSTANT, "The run's logical date; now if missing.", nullable=True),
    Param("execution_date", Kind.INSTANT, "Older name of logical_date.", nullable=True),
    Param("note", Kind.TEXT, "A remark on the run.", nullable=True, maximum=1000),
    Param("partition_key", Kind.TEXT, "Which part of the data it is about.", nullable=True, minimum=1, maximum=250),
    Param("unpause", Kind.FLAG, "Switch the DAG on if it is paused; without it a paused DAG gives 409.", default=False),
)

_BETWEEN: Final = tuple(param.name for param in between("execution_date", "logical_date", "start_date", "end_date"))

_RUN: Final = "/dags/{dag_id}/dagRuns/{dag_run_id}"

ROUTES: Final = (
    Route(
        "GET",
        "/dags/{dag_id}/dagRuns",
        "get_dag_runs",
        list_runs,
        "DAGRun",
        "Runs of a DAG; `~` in place of its id: of all DAGs.",
        query=(
            *PAGE,
            order_by(*_ORDER, default="id"),
            *between("execution_date", "logical_date", "start_date", "end_date"),
            Param("state", Kind.TEXTS, "Only runs in one of these states.", choices=tuple(RunState)),
            Param("run_type", Kind.TEXTS, "Only runs of these types.", choices=run_views.RUN_TYPES),
            FIELDS,
        ),
        answers={200: "DAGRunCollection"},
    ),
    Route(
        "POST",
        "/dags/{dag_id}/dagRuns",
        "post_dag_run",
        post_run,
        "DAGRun",
        "Trigger a run. 409: a run of this id or logical date exists, or the DAG is paused.",
        permission=Permission.EDIT,
        body=_TRIGGER,
        answers={200: "DAGRun", 409: "Error"},
    ),
    Route(
        "POST",
        "/dags/~/dagRuns/list",
        "get_dag_runs_batch",
        list_runs_of_many,
        "DAGRun",
        "Runs of many DAGs, with the filters in the body.",
        body=(
            Param("page_limit", Kind.INTEGER, "How many at most.", default=100, minimum=1, maximum=LARGEST_PAGE),
            Param("page_offset", Kind.INTEGER, "How many to leave out.", default=0, minimum=0, maximum=2**31 - 1),
            order_by(*_ORDER, default="id"),
            Param("dag_ids", Kind.TEXTS, "Only runs of these DAGs.", maximum=250),
            Param("dag_run_ids", Kind.TEXTS, "Only runs of these ids.", maximum=250),
            Param("states", Kind.TEXTS, "Only runs in one of these states.", choices=tuple(RunState)),
            *between("execution_date", "logical_date", "start_date", "end_date"),
        ),
        answers={200: "DAGRunCollection"},
    ),
    Route("GET", _RUN, "get_dag_run", get_run, "DAGRun", "A run.", query=(FIELDS,), answers={200: "DAGRun"}),
    Route(
        "PATCH",
        _RUN,
        "update_dag_run_state",
        patch_run,
        "DAGRun",
        "Fail a run: its attempts are ended.",
        permission=Permission.EDIT,
        body=(Param("state", Kind.TEXT, "Only failed can be set by hand.", required=True, choices=("failed",)),),
        answers={200: "DAGRun"},
    ),
    Route(
        "GET",
        f"{_RUN}/wait",
        "wait_dag_run",
        wait_for_run,
        "DAGRun",
        "Wait until a run has finished. 202: it has not, within the time-out.",
        query=(
            Param("timeout", Kind.NUMBER, "Seconds to wait.", default=60.0, minimum=0, maximum=LONGEST_WAIT),
            Param("result", Kind.TEXTS, "Ids of tasks whose return values to put into `results`.", maximum=250),
        ),
        answers={200: "DAGRunResult", 202: "DAGRunResult"},
    ),
)
