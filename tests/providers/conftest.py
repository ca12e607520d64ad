"""A runtime, and an HTTP service that remembers what it was asked."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.services.conftest import StartRuntime
from tests.services.conftest import start as start
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import RunRow

__all__ = ["StartRuntime", "start"]


@dataclass
class Service:
    """What it was asked, by whom, and over how many connections."""

    url: str = ""
    requests: list[web.Request] = field(default_factory=list[web.Request])
    bodies: list[str] = field(default_factory=list[str])
    peers: set[object] = field(default_factory=set[object])
    status: int = 200
    """Of `/ready`."""

    @property
    def login(self) -> str:
        """Of the last request."""
        sent = self.requests[-1].headers["Authorization"]
        return base64.b64decode(sent.removeprefix("Basic ")).decode()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Runs on a port of its own."""
    known = Service()

    @web.middleware
    async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
        known.requests.append(request)
        known.bodies.append(await request.text())
        known.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        return await handler(request)

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"method": request.method, "query": dict(request.query), "body": known.bodies[-1]})

    async def ready(_: web.Request) -> web.Response:
        return web.Response(status=known.status, text="state: done")

    async def page(request: web.Request) -> web.Response:
        number = int(request.query.get("page", "1"))
        return web.json_response({"items": [number], "next": number + 1 if number < 3 else None})

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    app = web.Application(middlewares=[remember])
    app.router.add_route("*", "/base/echo", echo)
    app.router.add_route("*", "/base", echo)
    app.router.add_get("/base/ready", ready)
    app.router.add_get("/base/items", page)
    app.router.add_get("/base/elsewhere", elsewhere)
    async with TestServer(app) as server:
        known.url = str(server.make_url("/base"))
        yield known


async def ended(runtime: Runtime, dag_id: str) -> RunRow:
    """A run of the DAG, at its end."""
    run = await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True))
    return await runtime.control.run_wait(run.run_id, 30)
