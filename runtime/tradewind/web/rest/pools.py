"""Pools and their use: whoever reads sees them, Op and Admin change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web

from tradewind.model.rows import PoolRow
from tradewind.model.specs import DEFAULT_POOL, Json
from tradewind.services.pool_usage import PoolUsage, delete_pool, pool_usage
from tradewind.web.answers import json_answer
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest.listing import PAGE, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.update_mask import UPDATE_MASK, fields_to_change
from tradewind.web.roles import Permission

LONGEST_NAME: Final = 250

_ORDER: Final[Mapping[str, Callable[[PoolRow], Json]]] = {
    "name": lambda row: row.name,
    "id": lambda row: (row.name != DEFAULT_POOL, row.name),
    "slots": lambda row: row.slots,
}


def _entry(row: PoolRow, usage: Mapping[str, PoolUsage]) -> dict[str, Json]:
    used = usage.get(row.name, PoolUsage())
    return {
        "name": row.name,
        "slots": row.slots,
        "running_slots": used.running,
        "queued_slots": used.queued,
        "scheduled_slots": used.scheduled,
        "deferred_slots": used.deferred,
        "occupied_slots": used.occupied(row),
        "open_slots": used.open(row),
        "description": row.description or None,
        "include_deferred": row.include_deferred,
    }


async def _usage(call: Call) -> dict[str, PoolUsage]:
    return await pool_usage(call.reads, call.catalog.tasks)


async def _find(call: Call, name: str) -> PoolRow:
    for row in await call.reads.pool_list():
        if row.name == name:
            return row
    raise not_found("Pool not found", f"Pool with name:'{name}' not found")


async def list_pools(call: Call) -> web.Response:
    """GET /pools."""
    rows = ordered(await call.reads.pool_list(), call.text("order_by"), _ORDER)
    usage = await _usage(call)
    return json_answer({"pools": [_entry(row, usage) for row in page_of(call, rows)], "total_entries": len(rows)})


async def get_pool(call: Call) -> web.Response:
    """GET /pools/{pool_name}."""
    return json_answer(_entry(await _find(call, call.text("pool_name")), await _usage(call)))


async def post_pool(call: Call) -> web.Response:
    """POST /pools."""
    name = call.text("name")
    if any(row.name == name for row in await call.reads.pool_list()):
        raise Problem(409, "Conflict", f"Pool: {name} already exists")
    about = call.maybe_text("description") or ""
    row = PoolRow(name, call.integer("slots"), about, call.flag("include_deferred"))
    await call.control.named.pool_set(row)
    return json_answer(_entry(row, await _usage(call)))


async def patch_pool(call: Call) -> web.Response:
    """PATCH /pools/{pool_name}. The name may change too, but not that of the default pool."""
    row = await _find(call, call.text("pool_name"))
    changes = fields_to_change(call, ("name", "slots", "description", "include_deferred"))
    name = call.text("name") if "name" in changes else row.name
    if name != row.name:
        if row.name == DEFAULT_POOL:
            raise bad_request("Default Pool's name can't be modified")
        if any(other.name == name for other in await call.reads.pool_list()):
            raise Problem(409, "Conflict", f"Pool: {name} already exists")
        await delete_pool(call.reads, call.control.named, row.name)
    changed = replace(
        row,
        name=name,
        slots=call.integer("slots") if "slots" in changes else row.slots,
        description=(call.maybe_text("description") or "") if "description" in changes else row.description,
        include_deferred=call.flag("include_deferred") if "include_deferred" in changes else row.include_deferred,
    )
    await call.control.named.pool_set(changed)
    return json_answer(_entry(changed, await _usage(call)))


async def remove_pool(call: Call) -> web.Response:
    """DELETE /pools/{pool_name}: not the default one (400), and none that is in use (409)."""
    row = await _find(call, call.text("pool_name"))
    if row.name == DEFAULT_POOL:
        raise bad_request("Default Pool can't be deleted")
    await delete_pool(call.reads, call.control.named, row.name)
    return web.Response(status=204)


_ABOUT: Final = Param("description", Kind.TEXT, "What it is for.", nullable=True, maximum=10_000)
_DEFERRED: Final = Param("include_deferred", Kind.FLAG, "Deferred tasks keep their slots.", default=False)
_NAME: Final = "The pool's name."
_SLOTS: Final = "How many slots; -1: no limit."
_MOST: Final = 2**31 - 1

ROUTES: Final = (
    Route(
        "GET",
        "/pools",
        "get_pools",
        list_pools,
        "Pool",
        "Pools with their use.",
        query=(*PAGE, order_by(*_ORDER, default="id")),
        answers={200: "PoolCollection"},
    ),
    Route(
        "POST",
        "/pools",
        "post_pool",
        post_pool,
        "Pool",
        "Make a pool.",
        permission=Permission.OPERATE,
        body=(
            Param("name", Kind.TEXT, _NAME, required=True, minimum=1, maximum=LONGEST_NAME),
            Param("slots", Kind.INTEGER, _SLOTS, required=True, minimum=-1, maximum=_MOST),
            _ABOUT,
            _DEFERRED,
        ),
        answers={200: "Pool"},
    ),
    Route("GET", "/pools/{pool_name}", "get_pool", get_pool, "Pool", "A pool.", answers={200: "Pool"}),
    Route(
        "PATCH",
        "/pools/{pool_name}",
        "patch_pool",
        patch_pool,
        "Pool",
        "Change a pool. It counts at once, in every runtime.",
        permission=Permission.OPERATE,
        query=(UPDATE_MASK,),
        body=(
            Param("name", Kind.TEXT, _NAME, minimum=1, maximum=LONGEST_NAME),
            Param("slots", Kind.INTEGER, _SLOTS, minimum=-1, maximum=_MOST),
            _ABOUT,
            _DEFERRED,
        ),
        answers={200: "Pool"},
    ),
    Route(
        "DELETE",
        "/pools/{pool_name}",
        "delete_pool",
        remove_pool,
        "Pool",
        "Delete a pool that no task uses just now.",
        permission=Permission.OPERATE,
        answers={204: ""},
    ),
)
