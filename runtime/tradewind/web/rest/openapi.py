"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from tradewind.model.specs import Json
from tradewind.web.auth.identity import COOKIE
from tradewind.web.rest.params import Param
from tradewind.web.rest.route import PREFIX, Route
from tradewind.web.rest.schemas import COMPONENTS

_PATTERN: Final = re.compile(r"\{(\w+):[^{}]*\}")
_PROBLEMS: Final = (400, 401, 403, 404, 503)


def document(routes: Iterable[Route], *, version: str, server: str) -> dict[str, Json]:
    """The whole document. `server` is the path under which the API is reached."""
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(open_path(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tradewind",
            "version": version,
            "description": (
                "Runs workflows. Fields, names and status codes are those of Airflow's stable REST API; "
                "what is added to it is described where it stands."
            ),
        },
        "servers": [{"url": server + PREFIX}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "Basic": {"type": "http", "scheme": "basic"},
                "Session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "security": [{"Basic": []}, {"Session": []}],
    }


def open_path(path: str) -> str:
    """A path without the patterns that only the router needs."""
    return _PATTERN.sub(r"{\1}", path)


def _operation(route: Route) -> dict[str, Json]:
    operation: dict[str, Json] = {
        "operationId": route.operation,
        "summary": route.doc,
        "tags": [route.tag],
        "parameters": [
            *(_parameter("path", param) for param in route.path_params()),
            *(_parameter("query", param) for param in route.query),
        ],
        "responses": _responses(route),
    }
    if route.permission is None:
        operation["security"] = []
    else:
        operation["x-permission"] = route.permission.value
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(route.body)}}}
    return operation


def _parameter(where: str, param: Param) -> dict[str, Json]:
    parameter: dict[str, Json] = {
        "name": param.name,
        "in": where,
        "required": where == "path" or param.required,
        "description": param.doc,
        "schema": param.schema(),
    }
    if parameter["schema"].get("type") == "array":
        parameter["explode"] = True
    return parameter


def _body(params: tuple[Param, ...]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {param.name: {**param.schema(), "description": param.doc} for param in params},
        "required": [param.name for param in params if param.required],
        "additionalProperties": False,
    }


def _responses(route: Route) -> dict[str, Json]:
    answers: dict[str, Json] = {}
    for status, name in route.answers.items():
        if name == "Error":
            answers[str(status)] = _problem(status)
            continue
        content: dict[str, Json] = {media: {"schema": {"type": "string"}} for media in route.media}
        if name:
            content["application/json"] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
        answers[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    problems = (*_PROBLEMS, 413, 415) if route.body is not None else _PROBLEMS
    for status in problems if route.permission is not None else (400, 404):
        answers.setdefault(str(status), _problem(status))
    return answers


def _problem(status: int) -> dict[str, Json]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": {"schema": schema}}}
