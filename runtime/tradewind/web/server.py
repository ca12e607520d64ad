"""The web server as a service of the runtime: listens, and stops without cutting answers off."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import ssl
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from tradewind.control_ports import Control
from tradewind.model.errors import ConfigError
from tradewind.web.app import make_app
from tradewind.web.log_files import ACCESS
from tradewind.web.settings import WebConfig

log = logging.getLogger(__name__)
access_log = logging.getLogger(ACCESS)

STOP_SECONDS: Final = 5.0
"""How long answers in progress may take when the server stops."""


class WebServer:
    """Serves `make_app` on the configured host and port. `async with WebServer(...)`, or start and stop."""

    def __init__(self, control: Control, config: WebConfig) -> None:
        self._config = config
        self.app = make_app(control, config)
        self._runner: web.AppRunner | None = None
        self._port = config.port

    @property
    def port(self) -> int:
        """The port that is listened on; once started the real one, also where 0 was configured."""
        return self._port

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = self._config.host
        if host in ("", "0.0.0.0", "::", "127.0.0.1", "::1"):  # noqa: S104 - compared, not bound
            host = "localhost"
        return f"{self._scheme}://[{host}]:{self._port}" if ":" in host else f"{self._scheme}://{host}:{self._port}"

    @property
    def _scheme(self) -> str:
        return "http" if self._config.ssl_cert is None else "https"

    async def start(self) -> None:
        """Listens. Raises ConfigError when the port is taken, the address is not this machine's, or there is something
        wrong with the certificate.
        """
        tls = await asyncio.to_thread(_tls_of, self._config)
        runner = web.AppRunner(
            self.app,
            access_log=access_log if self._config.access_log else None,
            access_log_class=_AccessLine,
            handle_signals=False,
            shutdown_timeout=STOP_SECONDS,
            keepalive_timeout=75.0,
        )
        await runner.setup()
        try:
            place = self._config.host, self._config.port
            await web.TCPSite(runner, *place, reuse_address=True, ssl_context=tls).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(self._why(error)) from error
        self._runner = runner
        self._port = runner.addresses[0][1]
        log.info("listening on %s://%s:%s, process %s", self._scheme, self._config.host, self._port, os.getpid())

    async def stop(self) -> None:
        """Ends streams, lets answers in progress finish, stops listening. Twice is allowed."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            log.info("stopped listening on port %s", self._port)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _why(self, error: OSError) -> str:
        host, port = self._config.host, self._config.port
        if error.errno == errno.EADDRINUSE:
            return f"port {port} on {host} is taken by another program; choose another with --port (web.port)"
        if error.errno == errno.EACCES:
            return f"port {port} needs root; choose one above 1023 with --port (web.port)"
        return f"cannot listen on {host}:{port} (web.host, web.port): {error.strerror or error}"


def _tls_of(config: WebConfig) -> ssl.SSLContext | None:
    if config.ssl_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.ssl_cert, config.ssl_key)
    except OSError as error:  # ssl.SSLError is one
        files = f"{config.ssl_cert} (web.ssl_cert)"
        files += "" if config.ssl_key is None else f", {config.ssl_key} (web.ssl_key)"
        raise ConfigError(f"no certificate with its key can be read from {files}: {error}") from error
    return context


class _AccessLine(AbstractAccessLogger):
    """Who, when, what, status, bytes, from where and with what; paths without queries, which may hold secrets."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        version = request.version
        line = f"{request.method} {request.path} HTTP/{version.major}.{version.minor}"
        self.logger.info(
            '%s - - [%s] "%s" %s %s "%s" "%s" %.1f ms',
            request.remote or "-",
            datetime.now().astimezone().strftime("%d/%b/%Y:%H:%M:%S %z"),
            _quotable(line),
            response.status,
            response.body_length,
            _quotable(request.headers.get("Referer", "-").partition("?")[0]),
            _quotable(request.headers.get("User-Agent", "-")),
            time * 1000,
        )


def _quotable(text: str) -> str:
    """What a client sends ends neither the quotes nor the line."""
    return json.dumps(text)[1:-1]
