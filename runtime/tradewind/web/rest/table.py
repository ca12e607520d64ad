"""The whole API in one table, its own description included."""

from __future__ import annotations

from html import escape
from typing import Final

import anyio.to_thread
import orjson
from aiohttp import web

from tradewind.model.specs import Json
from tradewind.web.answers import json_answer, text_answer
from tradewind.web.keys import mount_path
from tradewind.web.rest import (
    assets,
    clearing,
    connections,
    dag_bundles,
    dag_versions,
    dags,
    deadlines,
    events,
    human_inputs,
    logs,
    loop,
    outside_events,
    pools,
    queries,
    runs,
    state_stores,
    system,
    task_instances,
    variables,
    xcoms,
)
from tradewind.web.rest.openapi import document, open_path
from tradewind.web.rest.route import PREFIX, Call, Route, as_handler


def _document(call: Call) -> dict[str, Json]:
    server = mount_path(call.request.app).rstrip("/")
    return document(ROUTES, version=call.control.health().version, server=server)


async def get_openapi_json(call: Call) -> web.Response:
    """GET /openapi.json."""
    return json_answer(_document(call))


async def get_openapi_yaml(call: Call) -> web.Response:
    """GET /openapi.yaml."""
    return text_answer(await anyio.to_thread.run_sync(_as_yaml, _document(call)), "application/yaml")


def _as_yaml(data: dict[str, Json]) -> str:
    """In a thread: this takes some hundred milliseconds. Plain JSON values first, so that no part
    that appears twice becomes a YAML alias.
    """
    import yaml

    return yaml.safe_dump(orjson.loads(orjson.dumps(data)), sort_keys=False, allow_unicode=True)


async def get_page(call: Call) -> web.Response:
    """GET /ui: the operations as a plain page, for people."""
    rows = "".join(
        f"<tr><td><code>{route.method}</code></td><td><code>{escape(PREFIX + open_path(route.path))}</code></td>"
        f"<td>{escape(route.doc)}</td><td>{escape(', '.join(param.name for param in route.query))}</td>"
        f"<td>{escape(', '.join(param.name for param in route.body or ()))}</td></tr>\n"
        for route in ROUTES
    )
    return text_answer(_PAGE.replace("{rows}", rows), "text/html")


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tradewind REST API</title><link rel="stylesheet" href="../../plain.css"></head>
<body><h1>Tradewind REST API</h1>
<p>The same as a document for programs:
<a href="openapi.json">openapi.json</a>, <a href="openapi.yaml">openapi.yaml</a>.
<a href="../../">Back to the pages</a></p>
<table><thead><tr><th>Method</th><th>Address</th><th>What</th><th>Query</th><th>Body</th></tr></thead>
<tbody>
{rows}</tbody></table></body></html>
"""

_DESCRIPTION: Final = (
    Route(
        "GET",
        "/openapi.json",
        "get_openapi_json",
        get_openapi_json,
        "Description",
        "This document.",
        permission=None,
        answers={200: "OpenApi"},
    ),
    Route(
        "GET",
        "/openapi.yaml",
        "get_openapi_yaml",
        get_openapi_yaml,
        "Description",
        "This document as YAML.",
        permission=None,
        answers={200: ""},
        media=("application/yaml",),
    ),
    Route(
        "GET",
        "/ui",
        "get_api_page",
        get_page,
        "Description",
        "The operations as a page for people.",
        permission=None,
        answers={200: ""},
        media=("text/html",),
    ),
)

ROUTES: Final[tuple[Route, ...]] = (
    *system.ROUTES,
    *dags.ROUTES,
    *dag_versions.ROUTES,
    *dag_bundles.ROUTES,
    *runs.ROUTES,
    *task_instances.ROUTES,
    *deadlines.ROUTES,
    *clearing.ROUTES,
    *logs.ROUTES,
    *loop.ROUTES,
    *xcoms.ROUTES,
    *human_inputs.ROUTES,
    *queries.ROUTES,
    *connections.ROUTES,
    *variables.ROUTES,
    *pools.ROUTES,
    *state_stores.ROUTES,
    *assets.ROUTES,
    *events.ROUTES,
    *outside_events.ROUTES,
    *_DESCRIPTION,
)


def add_routes(app: web.Application) -> None:
    """Registers every operation below /api/v1."""
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(PREFIX + route.path, as_handler(route), name=route.operation)
        else:
            app.router.add_route(route.method, PREFIX + route.path, as_handler(route), name=route.operation)
