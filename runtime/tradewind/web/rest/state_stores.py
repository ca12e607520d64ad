"""State stores: the small values that task instances keep across their tries, and assets across runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from tradewind.authoring.state_stores import kept_text
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.model.state_stores import KeptState, StateScope
from tradewind.web.answers import json_answer
from tradewind.web.problems import bad_request, not_found
from tradewind.web.rest.listing import PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import run_of
from tradewind.web.rest.task_instances import INSTANCE, MAP_INDEX, instance_of
from tradewind.web.roles import Permission

TASK: Final = "task"
ASSET: Final = "asset"
BY_DEFAULT: Final = "default"
"""As `expires_at`: a value of a task instance stays as long as its run."""


async def _scope(call: Call, of: str, *, any_index: bool = False) -> StateScope:
    """Whose values the address names. Raises Problem 404."""
    if of == ASSET:
        number = call.integer("asset_id")
        for row in await call.reads.asset_list():
            if row.asset_id == number:
                return StateScope.of_asset(name=row.name)
        raise not_found("Asset not found", f"The asset with the id {number} was not found")
    run = await run_of(call)
    scope = StateScope(run.run_id, call.text("task_id"), call.integer("map_index"))
    if any_index:
        if not any(row.task_id == scope.owner for row in await call.reads.instance_list(run.run_id)):
            raise not_found("Task instance not found", f"The run {run.dag_run_id} has no instance of {scope.owner}")
        return scope
    await instance_of(call, run)
    return scope


def _shown(one: KeptState, of: str) -> dict[str, Json]:
    shown: dict[str, Json] = {"key": one.key, "value": _native(one.value), "updated_at": one.at}
    return {**shown, "expires_at": one.expires_at} if of == TASK else {**shown, "last_updated_by": None}


def _native(text: str) -> Json:
    """Half a surrogate pair, which Python keeps and JSON documents may not hold, leaves the value as its text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


async def list_values(call: Call, of: str) -> web.Response:
    """GET …/state-store."""
    found, total = await call.reads.state_page(await _scope(call, of), call.integer("limit"), call.integer("offset"))
    return json_answer({f"{of}_state_store": [_shown(one, of) for one in found], "total_entries": total})


async def get_value(call: Call, of: str) -> web.Response:
    """GET …/state-store/{key}."""
    return json_answer(_shown(await _existing(call, of, await _scope(call, of)), of))


async def put_value(call: Call, of: str) -> web.Response:
    """PUT …/state-store/{key}: sets a value, whether there is one or not."""
    await _put(call, await _scope(call, of), _expiry(call) if of == TASK else None)
    return web.Response(status=204)


async def patch_value(call: Call) -> web.Response:
    """PATCH …/state-store/{key}: another value, until when the one before it was known."""
    scope = await _scope(call, TASK)
    await _put(call, scope, (await _existing(call, TASK, scope)).expires_at)
    return json_answer(_shown(await _existing(call, TASK, scope), TASK))


async def delete_value(call: Call, of: str) -> web.Response:
    """DELETE …/state-store/{key}: no error where there is none."""
    await call.control.named.state_drop(await _scope(call, of), call.text("state_key"))
    return web.Response(status=204)


async def clear_values(call: Call, of: str) -> web.Response:
    """DELETE …/state-store: all of them."""
    every_index = of == TASK and call.flag("all_map_indices")
    await call.control.named.state_drop(await _scope(call, of, any_index=every_index), every_index=every_index)
    return web.Response(status=204)


async def _existing(call: Call, of: str, scope: StateScope) -> KeptState:
    key = call.text("state_key")
    found, _ = await call.reads.state_page(scope, 1, key=key)
    if not found:
        kind = of.capitalize()
        raise not_found(f"{kind} state store key not found", f"{kind} state store key {key!r} not found")
    return found[0]


async def _put(call: Call, scope: StateScope, expires_at: datetime | None) -> None:
    key = call.text("state_key")
    try:
        text = kept_text(call.body["value"], f"the state store's value {key!r}")
    except AuthoringError as why:
        raise bad_request(why.message) from None
    except ValueError as why:
        raise bad_request(str(why)) from None
    await call.control.named.state_put(scope, key, text, expires_at)


def _expiry(call: Call) -> datetime | None:
    text = call.maybe_text("expires_at")
    if text in (None, BY_DEFAULT):
        return None
    moment = _MOMENT.read_json(text)
    assert isinstance(moment, datetime)
    return moment


_MOMENT: Final = Param("expires_at", Kind.INSTANT)
_VALUE: Final = Param("value", Kind.ANYTHING, "Any JSON value but null, of at most 1 MiB.", required=True)
_EXPIRES: Final = Param(
    "expires_at",
    Kind.TEXT,
    "Until when it is known: an ISO 8601 time; null or `default`: as long as its run.",
    default=BY_DEFAULT,
    nullable=True,
)
_ALL: Final = Param("all_map_indices", Kind.FLAG, "Of every instance of a mapped task.", default=False)
_OWNERS: Final = {TASK: f"{INSTANCE}/state-store", ASSET: "/assets/{asset_id:[0-9]+}/state-store"}


def _routes(of: str) -> Iterable[Route]:
    where, query = _OWNERS[of], (MAP_INDEX,) if of == TASK else ()
    one = where + "/{state_key:.+}"
    kind, tag = f"{of.capitalize()}StateStore", f"{of.capitalize()} State Store"
    whose = "a task instance" if of == TASK else "an asset"
    may = Permission.EDIT if of == TASK else Permission.OPERATE
    kinds = {"asset_id": Kind.INTEGER}
    name = f"{of}_state_store"
    yield Route(
        "GET", where, f"list_{name}", partial(list_values, of=of), tag, f"What {whose} keeps, by key.",
        query=(*PAGE, *query), answers={200: f"{kind}Collection"}, path_kinds=kinds,
    )  # fmt: skip
    yield Route(
        "DELETE", where, f"clear_{name}", partial(clear_values, of=of), tag, f"Delete all that {whose} keeps.",
        permission=may, query=(*query, _ALL) if of == TASK else (), answers={204: ""}, path_kinds=kinds,
    )  # fmt: skip
    yield Route(
        "GET", one, f"get_{name}", partial(get_value, of=of), tag, f"One value that {whose} keeps.",
        query=query, answers={200: kind}, path_kinds=kinds,
    )  # fmt: skip
    yield Route(
        "PUT", one, f"set_{name}", partial(put_value, of=of), tag, f"Set a value that {whose} keeps.",
        permission=may, query=query, body=(_VALUE, _EXPIRES) if of == TASK else (_VALUE,), answers={204: ""},
        path_kinds=kinds,
    )  # fmt: skip
    yield Route(
        "DELETE", one, f"delete_{name}", partial(delete_value, of=of), tag, f"Delete a value that {whose} keeps.",
        permission=may, query=query, answers={204: ""}, path_kinds=kinds,
    )  # fmt: skip
    if of == TASK:
        yield Route(
            "PATCH", one, f"patch_{name}", patch_value, tag, "Change a value that is there; it expires as before.",
            permission=may, query=query, body=(_VALUE,), answers={200: kind},
        )  # fmt: skip


ROUTES: Final = (*_routes(TASK), *_routes(ASSET))
