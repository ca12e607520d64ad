"""A runtime inside an aiohttp service of yours: on its loop, for as long as it runs.

::

    runtime = Runtime(database=url, dags=[onboarding])
    app = web.Application()
    app.cleanup_ctx.append(tradewind_ctx(runtime))
    app.add_subapp("/workflows", make_app(runtime))

    async def sign_up(request: web.Request) -> web.Response:
        greeting = await request.app[RUNTIME].run("onboarding", {"user": 7}, timeout=5)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import web

from tradewind.host import Runtime
from tradewind.web.app import make_app

__all__ = ["RUNTIME", "make_app", "tradewind_ctx"]

log = logging.getLogger(__name__)

RUNTIME: Final = web.AppKey("tradewind_runtime", Runtime)
"""Where `tradewind_ctx` puts the runtime."""


def tradewind_ctx(runtime: Runtime) -> Callable[[web.Application], AsyncIterator[None]]:
    """For `app.cleanup_ctx`: the runtime starts with the application, before it listens, and drains when it is
    cleaned up. What keeps it from starting keeps the application from starting. Signals stay the application's.
    """

    async def live(app: web.Application) -> AsyncIterator[None]:
        app[RUNTIME] = runtime
        up, stop = asyncio.Event(), asyncio.Event()
        # A task of its own: aiohttp may start and clean up in different ones.
        life = asyncio.create_task(_live(runtime, up, stop), name="tradewind runtime")

        def ended(_: asyncio.Task[None]) -> None:
            if up.is_set() and not stop.is_set():
                log.critical("the runtime inside this service has ended; start the service again", exc_info=_why(life))
            up.set()

        life.add_done_callback(ended)
        try:
            await up.wait()
            if life.done():
                await life
            yield
        finally:
            stop.set()
            await life

    return live


async def _live(runtime: Runtime, up: asyncio.Event, stop: asyncio.Event) -> None:
    async with runtime:
        up.set()
        await stop.wait()


def _why(life: asyncio.Task[None]) -> BaseException | None:
    return None if life.cancelled() else life.exception()
