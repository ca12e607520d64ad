"""Around every request: its id, its time, the security headers, and errors as problem documents."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from tradewind.web.answers import harden
from tradewind.web.keys import TIMINGS, mount_path
from tradewind.web.problems import http_problem, problem_of

log = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-Id"
_GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def around_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Times the request and answers every error as a problem document with the request's id."""
    began = time.perf_counter()
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _GOOD_ID.fullmatch(given) else secrets.token_hex(8)
    response = await _answer(request, handler, request_id)
    if not response.prepared:
        response.headers[REQUEST_ID] = request_id
        harden(response.headers)
    resource = request.match_info.route.resource
    pattern = resource.canonical if resource is not None else "(no such path)"
    request.app[TIMINGS].observe(request.method, pattern, response.status, time.perf_counter() - began)
    return response


async def _answer(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        if request.method == "OPTIONS":
            allowed = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
            return web.Response(status=204, headers={"Allow": allowed})
        return http_problem(error).response(request_id)
    except web.HTTPNotFound as error:
        mount = mount_path(request.app)
        if request.path + "/" == mount:
            return web.Response(status=308, headers={"Location": mount})
        return http_problem(error).response(request_id)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return http_problem(error).response(request_id)
    except ConnectionResetError:
        raise  # The caller has gone: there is nobody to answer.
    except Exception as error:
        problem = problem_of(error)
        if problem is not None:
            return problem.response(request_id)
        return _unexpected(request, request_id, error)


def _unexpected(request: web.Request, request_id: str, error: Exception) -> web.Response:
    """The path is logged, never the query or a header: they may hold what is nobody's business."""
    log.error("request %s failed: %s %s", request_id, request.method, request.path, exc_info=error)
    body = (
        '{"type":"urn:tradewind:problem:internal","title":"Internal Server Error","status":500,'
        f'"detail":"Something went wrong here, not with you. The server\'s log tells more under this request id.",'
        f'"request_id":"{request_id}"}}'
    )
    return web.Response(status=500, text=body, content_type="application/problem+json")
