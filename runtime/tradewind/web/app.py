"""The web application: made from a runtime, or any `Control`; usable alone or under a path of another application.

::

    site = web.Application()
    site.add_subapp("/flows", make_app(runtime))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from aiohttp import web

from tradewind.config import Config
from tradewind.control_ports import Control
from tradewind.model.errors import ConfigError
from tradewind.web import login, metrics, pages
from tradewind.web.auth.identity import Authenticator
from tradewind.web.auth.sessions import TokenSigner
from tradewind.web.keys import AUTHENTICATOR, CLOSING, CONFIG, CONTROL, LOG_TOKENS, TIMINGS
from tradewind.web.middleware import around_request
from tradewind.web.rest import table
from tradewind.web.rest.catalog import CATALOG, Catalog
from tradewind.web.settings import WebConfig, web_config
from tradewind.web.timings import RequestTimings


@runtime_checkable
class HasControl(Protocol):
    """What is needed of a runtime."""

    @property
    def control(self) -> Control:
        """What is asked of it."""
        ...

    @property
    def config(self) -> Config:
        """Its configuration."""
        ...


def make_app(of: HasControl | Control, config: WebConfig | None = None) -> web.Application:
    """Pages, REST API, event streams, metrics and login over a runtime, which may start later (see `embedding`).

    Without `config` the runtime's configuration holds; its key for sessions is read from the home folder, so call
    this before the loop runs, or in a thread. `app[TIMINGS]` counts its requests. Streams and long waits end when the
    application shuts down. Raises ConfigError.
    """
    control = of.control if isinstance(of, HasControl) else of
    if config is None:
        if not isinstance(of, HasControl):
            raise ConfigError("make_app: give a runtime, or a WebConfig beside the control")
        config = web_config(of.config)
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
    metrics.add_routes(app)
    pages.add_routes(app)
    return app


async def _reopen(app: web.Application) -> AsyncIterator[None]:
    """A started application takes requests until it shuts down."""
    app[CLOSING].clear()
    yield
    app[CLOSING].set()


async def _close_streams(app: web.Application) -> None:
    app[CLOSING].set()
