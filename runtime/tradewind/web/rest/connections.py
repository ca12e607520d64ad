"""Connections: for Op and Admin. Passwords go in and never come out; of extras the secret parts do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from aiohttp import web

from tradewind.authoring.connection import Connection
from tradewind.authoring.masking import MASK, redact
from tradewind.model.rows import ConnectionRow
from tradewind.model.specs import Json
from tradewind.services.try_connection import try_connection
from tradewind.web.answers import json_answer
from tradewind.web.keys import CONFIG
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest.listing import PAGE, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.update_mask import UPDATE_MASK, fields_to_change
from tradewind.web.roles import Permission

LONGEST_ID: Final = 250
ID_PATTERN: Final = r"[\w#!()\-.:/\\]+"
_OPEN_FIELDS: Final = ("conn_type", "description", "host", "login", "schema", "port")
_FIELDS: Final = (*_OPEN_FIELDS, "password", "extra")


def _open(row: ConnectionRow) -> Connection:
    """The connection; with its id alone where no key opens it or its text cannot be read."""
    if row.value is not None:
        try:
            return Connection.from_text(row.conn_id, row.value)
        except ValueError:
            pass
    return Connection(row.conn_id)


def _entry(found: Connection) -> dict[str, Json]:
    return {"connection_id": found.conn_id, **{name: getattr(found, name) for name in _OPEN_FIELDS}}


def _detail(found: Connection) -> dict[str, Json]:
    return {**_entry(found), "extra": _shown_extra(found.extra)}


def _shown_extra(extra: str | None) -> str | None:
    """Its JSON with secret values masked. Other text might be anything, so it is masked whole."""
    if not extra:
        return None
    try:
        return json.dumps(redact(json.loads(extra)))
    except ValueError:
        return "***"


def _with_kept_secrets(given: object, stored: object) -> object:
    """What a client sends back masked, as it was shown, stays as it is stored."""
    if given == MASK and stored is not None:
        return stored
    values, before = _fields_of(given), _fields_of(stored)
    if values is None or before is None:
        return given
    return {name: _with_kept_secrets(value, before.get(name)) for name, value in values.items()}


def _fields_of(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


async def _find(call: Call, conn_id: str) -> Connection:
    found = await call.reads.connection_list(conn_id)
    if not found:
        raise not_found("Connection not found", f"The Connection with connection_id: `{conn_id}` was not found")
    return _open(found[0])


_ORDER: Final[Mapping[str, Callable[[Connection], Json]]] = {
    "connection_id": lambda found: found.conn_id,
    "conn_id": lambda found: found.conn_id,
    "id": lambda found: found.conn_id,
    "conn_type": lambda found: found.conn_type,
    "description": lambda found: found.description,
    "host": lambda found: found.host,
    "port": lambda found: found.port,
}


async def list_connections(call: Call) -> web.Response:
    """GET /connections."""
    every = [_open(row) for row in await call.reads.connection_list()]
    rows = ordered(every, call.text("order_by"), _ORDER)
    return json_answer({"connections": [_entry(row) for row in page_of(call, rows)], "total_entries": len(rows)})


async def get_connection(call: Call) -> web.Response:
    """GET /connections/{connection_id}."""
    return json_answer(_detail(await _find(call, call.text("connection_id"))))


async def post_connection(call: Call) -> web.Response:
    """POST /connections."""
    conn_id = call.text("connection_id")
    made = _given(call, conn_id)
    if await call.reads.connection_list(conn_id):
        raise Problem(409, "Conflict", f"Connection already exist. ID: {conn_id}")
    await call.control.named.connection_set(conn_id, made.stored_text())
    return json_answer(_detail(made))


async def patch_connection(call: Call) -> web.Response:
    """PATCH /connections/{connection_id}."""
    conn_id = str(call.values["connection_id"])
    found = await _find(call, conn_id)
    if call.body["connection_id"] not in (None, conn_id):
        raise bad_request("The connection_id cannot be updated.")
    changes = fields_to_change(call, _FIELDS)
    given = _given(call, conn_id)
    if "extra" in changes and given.extra:
        kept = _with_kept_secrets(json.loads(given.extra), found.extra_dejson)
        given.extra = json.dumps(kept)
    for name in changes:
        setattr(found, name, getattr(given, name))
    await call.control.named.connection_set(conn_id, found.stored_text())
    return json_answer(_detail(found))


async def delete_connection(call: Call) -> web.Response:
    """DELETE /connections/{connection_id}."""
    found = await _find(call, call.text("connection_id"))
    await call.control.named.connection_set(str(found.conn_id), None)
    return web.Response(status=204)


async def test_connection(call: Call) -> web.Response:
    """POST /connections/test: 403 unless core.test_connection allows it."""
    if call.request.app[CONFIG].test_connection != "Enabled":
        detail = "Testing connections is disabled: an administrator has to set core.test_connection to Enabled."
        raise Problem(403, "Forbidden", detail)
    tried = await try_connection(_given(call, call.text("connection_id")))
    return json_answer({"status": tried.worked, "message": tried.message})


def _given(call: Call, conn_id: str) -> Connection:
    """What the body describes. Raises Problem 400."""
    fields: dict[str, Any] = {name: call.body.get(name) for name in _FIELDS}
    extra = fields["extra"]
    if extra:
        try:
            valid = isinstance(json.loads(extra), dict)
        except ValueError:
            valid = False
        if not valid:
            raise bad_request('extra must be a JSON object as text, such as "{\\"timeout\\": 3}"')
    return Connection(conn_id, **fields)


def _body(*, is_new: bool) -> tuple[Param, ...]:
    def text(name: str, doc: str, **more: Any) -> Param:
        return Param(name, Kind.TEXT, doc, nullable=True, maximum=500, **more)

    conn_type = Param("conn_type", Kind.TEXT, "Such as postgres or http.", required=is_new, minimum=1, maximum=500)
    return (
        replace(_ID, required=is_new),
        conn_type,
        text("description", "What it is for."),
        text("host", "Where it is."),
        text("login", "Who logs in."),
        text("schema", "The database's name; http or https for HTTP."),
        Param("port", Kind.INTEGER, "The port.", nullable=True, minimum=0, maximum=65535),
        Param("password", Kind.TEXT, "Never answered.", nullable=True, maximum=5000),
        Param("extra", Kind.TEXT, "Further fields: a JSON object as text.", nullable=True, maximum=500_000),
    )


_ID: Final = Param(
    "connection_id", Kind.TEXT, "The connection's id.", required=True, minimum=1, maximum=LONGEST_ID, pattern=ID_PATTERN
)
_PATH: Final = "/connections/{connection_id:.+}"

ROUTES: Final = (
    Route(
        "GET",
        "/connections",
        "get_connections",
        list_connections,
        "Connection",
        "The stored connections, without secrets.",
        permission=Permission.OPERATE,
        query=(*PAGE, order_by(*_ORDER, default="connection_id")),
        answers={200: "ConnectionCollection"},
    ),
    Route(
        "POST",
        "/connections",
        "post_connection",
        post_connection,
        "Connection",
        "Store a new connection.",
        permission=Permission.OPERATE,
        body=_body(is_new=True),
        answers={200: "Connection"},
    ),
    Route(
        "POST",
        "/connections/test",
        "test_connection",
        test_connection,
        "Connection",
        "Whether the other side answers; the connection is not stored.",
        permission=Permission.OPERATE,
        body=_body(is_new=True),
        answers={200: "ConnectionTest"},
    ),
    Route(
        "GET",
        _PATH,
        "get_connection",
        get_connection,
        "Connection",
        "A connection, without its password.",
        permission=Permission.OPERATE,
        answers={200: "Connection"},
    ),
    Route(
        "PATCH",
        _PATH,
        "patch_connection",
        patch_connection,
        "Connection",
        "Change a connection.",
        permission=Permission.OPERATE,
        query=(UPDATE_MASK,),
        body=_body(is_new=False),
        answers={200: "Connection"},
    ),
    Route(
        "DELETE",
        _PATH,
        "delete_connection",
        delete_connection,
        "Connection",
        "Delete a connection.",
        permission=Permission.OPERATE,
        answers={204: ""},
    ),
)
