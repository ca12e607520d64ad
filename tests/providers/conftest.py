"""A runtime, and an HTTP service that remembers what it was asked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from tests.services.conftest import StartRuntime
from tests.services.conftest import start as start
from tradewind import Connection
from tradewind.authoring.xcom import decode
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
    return await runtime.control.run_wait(run.run_id, 60)


@pytest.fixture
def db(database_url: str) -> Connection:
    """An empty database, as a connection."""
    parts = urlsplit(database_url)
    place = parse_qs(parts.query)
    return Connection(
        "db",
        "postgres",
        host=place["host"][0],
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=parts.path.removeprefix("/"),
        port=int(place.get("port", ["5432"])[0]),
    )


@pytest.fixture
def known(db: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """The same, found by its id, and as the default one."""
    for name in ("DB", "POSTGRES_DEFAULT"):
        monkeypatch.setenv(f"TRADEWIND_CONN_{name}", db.stored_text())
    return db


async def store(runtime: Runtime, conn_id: str, connection: Connection) -> None:
    """As command line and REST API do."""
    await runtime.services.store.connection_set(conn_id, connection.stored_text())


async def value_of(runtime: Runtime, run: RunRow, task_id: str) -> Any:
    found = await runtime.control.reads.xcom_get(run.run_id, task_id, "return_value")
    return None if found is None else decode(found)


async def states_of(runtime: Runtime, run: RunRow) -> dict[str, str]:
    return {row.task_id: str(row.state) for row in await runtime.control.reads.instance_list(run.run_id)}


async def log_of(runtime: Runtime) -> str:
    root = Path(runtime.config.logging.folder)
    return await asyncio.to_thread(lambda: "".join(file.read_text() for file in root.rglob("*") if file.is_file()))
