"""Clearing: making finished task instances run again. Shows what it would do unless told to do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiohttp import web

from tradewind.instance_ports import InstanceFilter, ManyRuns
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import TaskState
from tradewind.ports import RunFilter
from tradewind.web.answers import json_answer
from tradewind.web.problems import bad_request, not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.dag_views import downstream_of
from tradewind.web.rest.listing import LARGEST_PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import RUN_ID_PATTERN, run_of
from tradewind.web.roles import Permission

FAILED: Final = (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
EVERY: Final = 2**31 - 1
"""Whatever is cleared is shown, on one page."""
Cleared = list[tuple[RunRow, list[InstanceRow]]]


async def clear_instances(call: Call) -> web.Response:
    """POST /dags/{dag_id}/clearTaskInstances."""
    row = await call.catalog.dag(call.text("dag_id"))
    spec = await call.catalog.spec(row.dag_id, row.version_hash)
    if call.flag("only_failed") and call.flag("only_running"):
        raise bad_request("only_failed and only_running exclude each other; set only_failed to false for running ones")
    wanted = _wanted_tasks(call, spec)
    chosen = await _chosen(call, await _runs(call), wanted)
    if not call.flag("dry_run"):
        chosen = await _clear(call, chosen)
    return json_answer({"task_instances": _references(chosen)})


async def clear_run(call: Call) -> web.Response:
    """POST /dags/{dag_id}/dagRuns/{dag_run_id}/clear: the whole run again."""
    run = await run_of(call)
    rows = await call.reads.instance_list(run.run_id)
    if call.flag("dry_run"):
        return json_answer({"task_instances": _references([(run, rows)])})
    await _clear(call, [(run, rows)])
    return json_answer(run_views.dag_run(await run_of(call)))


async def _chosen(call: Call, runs: Sequence[RunRow], task_ids: Iterable[str]) -> Cleared:
    """The instances of these tasks in these runs of one DAG that are in a state that is asked for."""
    if not runs:
        return []
    of = ManyRuns((runs[0].dag_id,), tuple(run.dag_run_id for run in runs))
    where = InstanceFilter(of, tuple(task_ids), _states(call), limit=EVERY)
    found: dict[RunId, list[InstanceRow]] = {run.run_id: [] for run in runs}
    for row in (await call.reads.instance_page(where))[0]:
        found[row.run_id].append(row)
    return [(run, found[run.run_id]) for run in runs if found[run.run_id]]


async def _clear(call: Call, chosen: Cleared) -> Cleared:
    """Exactly the chosen instances: what follows them was chosen before, by the same rules."""
    done: Cleared = []
    for run, rows in chosen:
        task_ids = sorted({row.task_id for row in rows})
        indexes: dict[str, list[int]] = {}
        for row in rows:
            if row.map_index != UNMAPPED:
                indexes.setdefault(row.task_id, []).append(row.map_index)
        cleared = await call.control.instances_clear(
            run.dag_id, run.dag_run_id, task_ids, downstream=False, map_indexes=indexes
        )
        places = {(row.task_id, row.map_index) for row in rows}
        done.append((run, [row for row in cleared if (row.task_id, row.map_index) in places or row.map_index < 0]))
    return done


def _references(chosen: Cleared) -> list[dict[str, object]]:
    return [run_views.instance_reference(run, row) for run, rows in chosen for row in rows]


def _states(call: Call) -> tuple[TaskState, ...] | None:
    if call.flag("only_running"):
        return (TaskState.RUNNING,)
    return FAILED if call.flag("only_failed") else None


def _wanted_tasks(call: Call, spec: DagSpec) -> set[str]:
    known = {task.task_id: task.upstream for task in spec.tasks}
    given = call.texts("task_ids")
    unknown = sorted(set(given).difference(known))
    if unknown:
        raise not_found("Task not found", f"{spec.dag_id} has no task {', '.join(unknown)}")
    if not given:
        return set(known)
    wanted = set(given)
    if call.flag("include_upstream"):
        wanted |= _reached(given, known)
    if call.flag("include_downstream"):
        wanted |= _reached(given, downstream_of(spec))
    return wanted


def _reached(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Everything that can be reached from `start` along the edges."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        for task_id in edges[waiting.pop()]:
            if task_id not in seen:
                seen.add(task_id)
                waiting.append(task_id)
    return seen


async def _runs(call: Call) -> list[RunRow]:
    """The runs in which to clear, oldest first."""
    dag_id, dag_run_id = call.text("dag_id"), call.maybe_text("dag_run_id")
    start, end = call.instant("start_date"), call.instant("end_date")
    if dag_run_id is None:
        if start is None and end is None:
            raise bad_request("say in which runs: dag_run_id, or start_date and end_date of their logical dates")
        return await _runs_between(call, RunFilter(dag_id, None, start, end, LARGEST_PAGE, 0, "logical_date"))
    if start is not None or end is not None:
        raise bad_request("dag_run_id and start_date/end_date exclude each other; send one of them")
    run = await call.reads.run_get(dag_id, dag_run_id)
    if run is None:
        raise not_found("DAGRun not found", f"{dag_id} has no run {dag_run_id!r}")
    past, future = call.flag("include_past"), call.flag("include_future")
    if not past and not future:
        return [run]
    first = None if past else run.logical_date
    last = None if future else run.logical_date
    return await _runs_between(call, RunFilter(dag_id, None, first, last, LARGEST_PAGE, 0, "logical_date"))


async def _runs_between(call: Call, where: RunFilter) -> list[RunRow]:
    rows, total = await call.reads.run_list(where)
    if total > len(rows):
        raise bad_request(f"{total} runs lie in these dates; clear at most {LARGEST_PAGE} at once")
    return rows


_DRY_RUN: Final = Param("dry_run", Kind.FLAG, "Only say which would be cleared.", default=True)

ROUTES: Final = (
    Route(
        "POST",
        "/dags/{dag_id}/clearTaskInstances",
        "post_clear_task_instances",
        clear_instances,
        "TaskInstance",
        "Make finished task instances run again.",
        permission=Permission.EDIT,
        body=(
            _DRY_RUN,
            Param("dag_run_id", Kind.TEXT, "The run.", nullable=True, maximum=250, pattern=RUN_ID_PATTERN),
            Param("task_ids", Kind.TEXTS, "Only these tasks; all if missing.", nullable=True, maximum=250),
            Param("start_date", Kind.INSTANT, "Without dag_run_id: runs from this logical date.", nullable=True),
            Param("end_date", Kind.INSTANT, "Without dag_run_id: runs until this logical date.", nullable=True),
            Param("only_failed", Kind.FLAG, "Only those that failed or whose upstream failed.", default=True),
            Param("only_running", Kind.FLAG, "Only those that run.", default=False),
            Param("include_upstream", Kind.FLAG, "Also all tasks before.", default=False),
            Param("include_downstream", Kind.FLAG, "Also all tasks after.", default=False),
            Param("include_past", Kind.FLAG, "Also in earlier runs.", default=False),
            Param("include_future", Kind.FLAG, "Also in later runs.", default=False),
            Param("reset_dag_runs", Kind.FLAG, "Accepted; the runs always go on.", default=True),
            Param("include_subdags", Kind.FLAG, "Accepted; there are no sub-DAGs.", default=False),
            Param("include_parentdag", Kind.FLAG, "Accepted; there are no sub-DAGs.", default=False),
        ),
        answers={200: "TaskInstanceReferenceCollection"},
    ),
    Route(
        "POST",
        "/dags/{dag_id}/dagRuns/{dag_run_id}/clear",
        "clear_dag_run",
        clear_run,
        "DAGRun",
        "Make a whole run again.",
        permission=Permission.EDIT,
        body=(_DRY_RUN,),
        answers={200: "ClearedRun"},
    ),
)
