"""Request bodies: JSON, not larger than allowed."""

from __future__ import annotations

import orjson
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from tradewind.model.specs import Json
from tradewind.web.keys import CONFIG
from tradewind.web.problems import Problem, bad_request


async def read_json(request: web.Request) -> Json:
    """The request's JSON body. Raises Problem 400, 413 or 415."""
    if request.content_type != "application/json":
        detail = f"The body is {request.content_type}; send JSON with the header Content-Type: application/json."
        raise Problem(415, "Unsupported Media Type", detail)
    raw = await read_raw(request)
    if not raw:
        raise bad_request("the body is empty; send a JSON object, at least {}")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from None


async def read_raw(request: web.Request) -> bytes:
    """The request's body as it came. Raises Problem 400 or 413."""
    most = request.app[CONFIG].max_body_bytes
    if (request.content_length or 0) > most:
        raise _too_large(most)
    return await _read_at_most(request, most)


async def _read_at_most(request: web.Request, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.content.iter_any():
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
    except (web.RequestPayloadError, ContentEncodingError):
        raise bad_request("the body cannot be decoded as its Content-Encoding says") from None
    return b"".join(parts)


def _too_large(most: int) -> Problem:
    return Problem(413, "Body too large", f"The body may have at most {most} bytes.", headers={"Connection": "close"})
