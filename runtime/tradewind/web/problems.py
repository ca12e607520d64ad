"""Errors as answers: RFC 7807 problem documents, and which status each of our errors has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import orjson
from aiohttp import web

from tradewind.model.errors import (
    ConflictError,
    DagPausedError,
    Fenced,
    NotFoundError,
    ParamValidationError,
    StoreUnavailable,
    TryAgain,
)

TYPE_PREFIX: Final = "urn:tradewind:problem:"


class Problem(Exception):
    """An answer that says what is wrong and what to do. `slug` names its kind for programs."""

    def __init__(
        self, status: int, title: str, detail: str, *, slug: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.slug = slug or title.lower().replace(" ", "-")
        self.headers = dict(headers or {})

    def response(self, request_id: str = "") -> web.Response:
        """The problem document."""
        body = {"type": TYPE_PREFIX + self.slug, "title": self.title, "status": self.status, "detail": self.detail}
        if request_id:
            body["request_id"] = request_id
        return web.Response(
            status=self.status, body=orjson.dumps(body), content_type="application/problem+json", headers=self.headers
        )


def bad_request(detail: str, *, title: str = "Bad Request") -> Problem:
    """400: the caller has to change what it sends."""
    return Problem(400, title, detail)


def not_found(title: str, detail: str) -> Problem:
    """404. `title` says what is missing, such as 'DAG not found'."""
    return Problem(404, title, detail, slug="not-found")


def problem_of(error: Exception) -> Problem | None:
    """The answer to one of our own errors; None for an error nobody expected (500)."""
    if isinstance(error, ExceptionGroup):  # of reads side by side
        return problem_of(cast("ExceptionGroup[Exception]", error).exceptions[0])
    match error:
        case Problem():
            return error
        case NotFoundError():
            return not_found("Not Found", error.message)
        case DagPausedError():
            return Problem(409, "DAG is paused", error.message)
        case ConflictError():
            return Problem(409, "Conflict", error.message)
        case ParamValidationError():
            return bad_request(error.message, title="Invalid conf")
        case StoreUnavailable():
            detail = "The database cannot be reached just now. Nothing is lost; try again."
            return Problem(503, "Database unavailable", detail, headers={"Retry-After": "1"})
        case Fenced():
            detail = "Another runtime has taken this DAG over just now; try again."
            return Problem(503, "Try again", detail, headers={"Retry-After": "1"})
        case TryAgain():
            detail = error.message or "This could not be committed, and nothing of it has happened; try again."
            return Problem(503, "Try again", detail, headers={"Retry-After": "1"})
        case _:
            return None


def http_problem(error: web.HTTPException) -> Problem:
    """Aiohttp's own refusals (no such path, method not allowed) as problem documents."""
    match error:
        case web.HTTPNotFound():
            return not_found("Not Found", "There is nothing at this address.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{error.method} does not work here; {allowed} does."
            return Problem(405, "Method Not Allowed", detail, headers={"Allow": allowed})
        case _:
            return Problem(error.status, error.reason, error.text or error.reason)
