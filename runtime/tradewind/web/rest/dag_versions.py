"""The versions of a DAG: old runs are shown with the graph of their time."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tradewind.model.rows import DagVersionLine
from tradewind.model.specs import DagSpec, Json
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest.listing import PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route

VERSION: Final = Param("version_number", Kind.INTEGER, "Of which version; the current one if missing.", minimum=1)


def _shown(line: DagVersionLine) -> dict[str, Json]:
    return {
        "id": line.version_hash,
        "version_number": line.number,
        "dag_id": line.dag_id,
        "bundle_name": line.source.bundle,
        "bundle_version": line.source.bundle_version,
        "fileloc": line.source.fileloc,
        "created_at": line.created_at,
    }


async def _line(call: Call, dag_id: str, number: int) -> DagVersionLine:
    """One version by its number. Raises Problem 404."""
    _, total = await call.reads.dag_version_list(dag_id, 0)
    lines, _ = await call.reads.dag_version_list(dag_id, 1, max(0, total - number))
    if not lines or lines[0].number != number:
        lines, _ = await call.reads.dag_version_list(dag_id, total)  # some have been pruned
        lines = [line for line in lines if line.number == number]
    if not lines:
        raise not_found("DAG version not found", f"The DAG {dag_id} has no version {number}")
    return lines[0]


async def spec_asked_for(call: Call) -> DagSpec:
    """The version that `version_number` names, or the current one. Raises Problem 404."""
    row = await call.catalog.dag(call.text("dag_id"))
    number = call.maybe_integer("version_number")
    version_hash = row.version_hash if number is None else (await _line(call, row.dag_id, number)).version_hash
    return await call.catalog.spec(row.dag_id, version_hash)


async def list_versions(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagVersions."""
    row = await call.catalog.dag(call.text("dag_id"))
    lines, total = await call.reads.dag_version_list(row.dag_id, call.integer("limit"), call.integer("offset"))
    return json_answer({"dag_versions": [_shown(line) for line in lines], "total_entries": total})


async def get_version(call: Call) -> web.Response:
    """GET /dags/{dag_id}/dagVersions/{version_number}."""
    row = await call.catalog.dag(call.text("dag_id"))
    return json_answer(_shown(await _line(call, row.dag_id, call.integer("version_number"))))


ROUTES: Final = (
    Route(
        "GET",
        "/dags/{dag_id}/dagVersions",
        "get_dag_versions",
        list_versions,
        "DAG",
        "The versions of a DAG, the newest first.",
        query=PAGE,
        answers={200: "DagVersionCollection"},
    ),
    Route(
        "GET",
        "/dags/{dag_id}/dagVersions/{version_number}",
        "get_dag_version",
        get_version,
        "DAG",
        "A version of a DAG.",
        path_kinds={"version_number": Kind.INTEGER},
        answers={200: "DagVersion"},
    ),
)
