"""Queries: what a task instance lets people and programs read while it runs or waits."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tradewind.services.answering import Place
from tradewind.services.querying import published, published_as
from tradewind.web.answers import json_answer
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import run_of
from tradewind.web.rest.task_instances import INSTANCE, MAP_INDEX


async def place_of(call: Call) -> Place:
    """The task instance that address and `map_index` name. Raises Problem 404 without its run."""
    return Place(await run_of(call), call.text("task_id"), call.integer("map_index"))


async def list_queries(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/queries: each name with its newest value."""
    found = [one.shown() for one in await published(call.reads, await place_of(call))]
    return json_answer({"queries": found, "total_entries": len(found)})


async def get_query(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/queries/{query_name}."""
    return json_answer((await published_as(call.reads, await place_of(call), call.text("query_name"))).shown())


ROUTES: Final = (
    Route(
        "GET",
        f"{INSTANCE}/queries",
        "get_queries",
        list_queries,
        "Query",
        "What a task instance has published with `ctx.publish`: the newest value of each name.",
        query=(MAP_INDEX,),
        answers={200: "QueryCollection"},
    ),
    Route(
        "GET",
        f"{INSTANCE}/queries/{{query_name}}",
        "get_query",
        get_query,
        "Query",
        "The newest value that a task instance has published under a name.",
        query=(MAP_INDEX,),
        answers={200: "Query"},
    ),
)
