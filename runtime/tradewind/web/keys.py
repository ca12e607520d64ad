"""Typed keys of what the application and a request carry."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from tradewind.control_ports import Control
from tradewind.web.auth.identity import Authenticator
from tradewind.web.auth.sessions import TokenSigner
from tradewind.web.settings import WebConfig
from tradewind.web.timings import RequestTimings

CONTROL: Final = web.AppKey("tradewind_control", Control)
CONFIG: Final = web.AppKey("tradewind_web_config", WebConfig)
AUTHENTICATOR: Final = web.AppKey("tradewind_authenticator", Authenticator)
TIMINGS: Final = web.AppKey("tradewind_request_timings", RequestTimings)
LOG_TOKENS: Final = web.AppKey("tradewind_log_tokens", TokenSigner)
CLOSING: Final = web.AppKey("tradewind_closing", asyncio.Event)
"""Set when the server is about to stop: streams and long waits end."""


def mount_path(app: web.Application) -> str:
    """The path under which `app` is reached, ending in a slash: `/`, or what add_subapp was given."""
    return str(app.router["index"].url_for())
