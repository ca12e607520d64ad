"""Server-sent events: writing them, keeping a silent stream alive, ending it in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final, Literal

import orjson
from aiohttp import web

from tradewind.model.specs import Json
from tradewind.web.answers import harden
from tradewind.web.keys import CLOSING, CONFIG

log = logging.getLogger(__name__)

RETRY_MS: Final = 2000
"""How long a browser waits before it comes back."""
WRITE_SECONDS: Final = 30.0
"""A reader that takes nothing for this long has gone."""


def frame(event: str, data: Json, event_id: str = "") -> bytes:
    """One event. orjson writes no line breaks, so `data` is one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return b"%sevent: %s\ndata: %s\n\n" % (head.encode(), event.encode(), orjson.dumps(data))


async def send_stream(request: web.Request, frames: AsyncGenerator[bytes]) -> web.StreamResponse:
    """Sends `frames` until they end, the reader goes, the server stops or the stream is too old.

    The first frame is asked for before the answer's head is sent: what happens after a reader has
    seen the head is in the stream.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    harden(response.headers)
    ahead = _Ahead(frames)
    closing: asyncio.Future[Literal[True]] = asyncio.ensure_future(request.app[CLOSING].wait())
    try:
        await asyncio.sleep(0)
        await response.prepare(request)
        if request.method != "HEAD":
            await _write(response, b"retry: %d\n\n" % RETRY_MS)
            await _pump(request, response, ahead, closing)
    except (ConnectionError, TimeoutError):
        log.debug("the reader of %s has gone", request.path)
    except Exception:
        if not response.prepared:
            raise
        log.exception("the stream %s broke off", request.path)
    finally:
        closing.cancel()
        await ahead.close()
    return response


class _Ahead:
    """Always asks for the next frame before it is wanted, so that waiting can be given up."""

    def __init__(self, frames: AsyncGenerator[bytes]) -> None:
        self._frames = frames
        self.upcoming = asyncio.ensure_future(self._next())

    def take(self) -> bytes | None:
        """The frame that has come; None after the last. Asks for another."""
        raw = self.upcoming.result()
        if raw is not None:
            self.upcoming = asyncio.ensure_future(self._next())
        return raw

    async def close(self) -> None:
        """Nothing outlives the request."""
        await put_away(self.upcoming)
        await self._frames.aclose()

    async def _next(self) -> bytes | None:
        return await anext(self._frames, None)


async def put_away(task: asyncio.Future[Any]) -> None:
    """Cancels and awaits; what it raised is nobody's business any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def close_iterator(iterator: AsyncIterator[Any]) -> None:
    """Ends an async generator now; what is no generator has nothing to end."""
    aclose = getattr(iterator, "aclose", None)
    if aclose is not None:
        await aclose()


async def _pump(
    request: web.Request, response: web.StreamResponse, ahead: _Ahead, closing: asyncio.Future[Literal[True]]
) -> None:
    config = request.app[CONFIG]
    loop = asyncio.get_running_loop()
    ends = loop.time() + config.stream_lifetime
    while (left := ends - loop.time()) > 0:
        wait = min(config.heartbeat, left)
        either: set[asyncio.Future[Literal[True]] | asyncio.Future[bytes | None]] = {ahead.upcoming, closing}
        await asyncio.wait(either, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        if closing.done():
            return
        if not ahead.upcoming.done():
            await _write(response, b": still here\n\n")
            continue
        raw = ahead.take()
        if raw is None:
            return
        await _write(response, raw)


async def _write(response: web.StreamResponse, raw: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(raw)
