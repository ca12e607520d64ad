"""The web application: made from a `Control`, usable alone or under a path of another application.

::

    site = web.Application()
    site.add_subapp("/flows", make_app(runtime, WebConfig(secret_key=...)))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from tradewind.control_ports import Control
from tradewind.web import login, pages
from tradewind.web.auth.identity import Authenticator
from tradewind.web.auth.sessions import TokenSigner
from tradewind.web.keys import AUTHENTICATOR, CLOSING, CONFIG, CONTROL, LOG_TOKENS, TIMINGS
from tradewind.web.middleware import around_request
from tradewind.web.rest import table
from tradewind.web.rest.catalog import CATALOG, Catalog
from tradewind.web.settings import WebConfig
from tradewind.web.timings import RequestTimings


def make_app(control: Control, config: WebConfig) -> web.Application:
    """Pages, REST API, event streams and login over `control`.

    `control` may be of a runtime that starts later (see `embedding`). `app[TIMINGS]` counts its
    requests. Streams and long waits end when the application shuts down.
    """
    app = web.Application(middlewares=[around_request], client_max_size=config.max_body_bytes)
    app[CONTROL] = control
    app[CONFIG] = config
    app[TIMINGS] = RequestTimings()
    app[AUTHENTICATOR] = Authenticator(control, config)
    app[CATALOG] = Catalog(control, config.secret_key)
    app[LOG_TOKENS] = TokenSigner(config.secret_key, "log")
    app[CLOSING] = asyncio.Event()
    app.on_shutdown.append(_close_streams)
    app.cleanup_ctx.append(_reopen)
    table.add_routes(app)
    login.add_routes(app)
    pages.add_routes(app)
    return app


async def _reopen(app: web.Application) -> AsyncIterator[None]:
    """A started application takes requests until it shuts down."""
    app[CLOSING].clear()
    yield
    app[CLOSING].set()


async def _close_streams(app: web.Application) -> None:
    app[CLOSING].set()
