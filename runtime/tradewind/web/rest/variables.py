"""Variables: for Op and Admin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from tradewind.model.rows import VariableRow
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest.listing import PAGE, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.update_mask import UPDATE_MASK, fields_to_change
from tradewind.web.roles import Permission

LONGEST_KEY: Final = 250
LONGEST_VALUE: Final = 1_000_000
PATH: Final = "/variables/{variable_key:.+}"

_ORDER: Final[Mapping[str, Callable[[VariableRow], Json]]] = {
    "key": lambda row: row.key,
    "id": lambda row: row.key,
    "description": lambda row: row.description or None,
}


def _entry(row: VariableRow) -> dict[str, Json]:
    return {"key": row.key, "value": row.value, "description": row.description or None}


async def _find(call: Call) -> VariableRow:
    key = call.text("variable_key")
    found = await call.reads.variable_list(key)
    if not found:
        raise not_found("Variable not found", f"The Variable with variable_key: `{key}` was not found")
    return found[0]


async def list_variables(call: Call) -> web.Response:
    """GET /variables."""
    rows = ordered(await call.reads.variable_list(), call.text("order_by"), _ORDER)
    page = [_entry(row) for row in page_of(call, rows)]
    return json_answer({"variables": page, "total_entries": len(rows)})


async def get_variable(call: Call) -> web.Response:
    """GET /variables/{variable_key}. Raises Problem 500 where no key opens it."""
    row = await _find(call)
    if row.value is None:
        detail = f"No configured encryption key opens the variable {row.key!r}; see core.fernet_key."
        raise Problem(500, "Variable cannot be decrypted", detail)
    return json_answer(_entry(row))


async def post_variable(call: Call) -> web.Response:
    """POST /variables: makes or replaces one."""
    row = VariableRow(call.text("key"), call.text("value"), call.maybe_text("description") or "")
    await call.control.named.variable_set(row.key, row.value, row.description)
    return json_answer(_entry(row))


async def patch_variable(call: Call) -> web.Response:
    """PATCH /variables/{variable_key}."""
    row = await _find(call)
    if "key" in call.given and call.text("key") != row.key:
        raise bad_request("Invalid post body: key from request body doesn't match uri parameter")
    changes = fields_to_change(call, ("value", "description"))
    value = call.text("value") if "value" in changes else row.value
    about = call.maybe_text("description") or "" if "description" in changes else row.description
    if value is None:
        raise bad_request(f"no configured encryption key opens the variable {row.key!r}: give it a value too")
    await call.control.named.variable_set(row.key, value, about)
    return json_answer(_entry(VariableRow(row.key, value, about)))


async def delete_variable(call: Call) -> web.Response:
    """DELETE /variables/{variable_key}."""
    row = await _find(call)
    await call.control.named.variable_set(row.key, None)
    return web.Response(status=204)


_KEY: Final = Param("key", Kind.TEXT, "The variable's key.", minimum=1, maximum=LONGEST_KEY)
_DESCRIPTION: Final = Param("description", Kind.TEXT, "What it is for.", nullable=True, maximum=10_000)
_VALUE: Final = "The variable's text."

ROUTES: Final = (
    Route(
        "GET",
        "/variables",
        "get_variables",
        list_variables,
        "Variable",
        "The stored variables.",
        permission=Permission.OPERATE,
        query=(*PAGE, order_by(*_ORDER, default="key")),
        answers={200: "VariableCollection"},
    ),
    Route(
        "POST",
        "/variables",
        "post_variables",
        post_variable,
        "Variable",
        "Make or replace a variable.",
        permission=Permission.OPERATE,
        body=(
            Param("key", Kind.TEXT, "The variable's key.", required=True, minimum=1, maximum=LONGEST_KEY),
            Param("value", Kind.TEXT, _VALUE, required=True, maximum=LONGEST_VALUE),
            _DESCRIPTION,
        ),
        answers={200: "Variable"},
    ),
    Route(
        "GET",
        PATH,
        "get_variable",
        get_variable,
        "Variable",
        "A variable.",
        permission=Permission.OPERATE,
        answers={200: "Variable"},
    ),
    Route(
        "PATCH",
        PATH,
        "patch_variable",
        patch_variable,
        "Variable",
        "Change a variable.",
        permission=Permission.OPERATE,
        query=(UPDATE_MASK,),
        body=(_KEY, Param("value", Kind.TEXT, _VALUE, maximum=LONGEST_VALUE), _DESCRIPTION),
        answers={200: "Variable"},
    ),
    Route(
        "DELETE",
        PATH,
        "delete_variable",
        delete_variable,
        "Variable",
        "Delete a variable.",
        permission=Permission.OPERATE,
        answers={204: ""},
    ),
)
