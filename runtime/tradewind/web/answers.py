"""How data becomes an answer: JSON by orjson, and the headers that every answer carries."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web
from multidict import CIMultiDict

from tradewind.model.specs import Json

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Tradewind",
}


def json_answer(data: Json, status: int = 200) -> web.Response:
    """`data` as JSON. It depends on who asks and when, so nobody may keep it."""
    return web.Response(
        status=status,
        body=orjson.dumps(data),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "Vary": "Accept, Authorization, Cookie"},
    )


def text_answer(text: str, content_type: str = "text/plain") -> web.Response:
    """Text as UTF-8."""
    return web.Response(text=text, content_type=content_type, charset="utf-8", headers={"Cache-Control": "no-store"})


def harden(headers: CIMultiDict[str]) -> None:
    """Adds the security headers that are not there yet."""
    for name, value in SECURITY_HEADERS.items():
        if name not in headers:
            headers[name] = value
