"""A runtime in a service that was there before: its loop, its signals, its paths."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from tests.conftest import NewDatabase
from tests.web.conftest import ADMIN, HASHES, SECRET
from tradewind import DAG, task
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.errors import StoreError
from tradewind.model.rows import UserRow
from tradewind.store.migrate import migrate_url
from tradewind.web.app import make_app
from tradewind.web.embedding import RUNTIME, tradewind_ctx
from tradewind.web.settings import WebConfig

Client = TestClient[web.Request, web.Application]


def onboarding(seen: list[object]) -> DAG:
    """An async task on the service's loop, which sees the service's own objects."""
    with DAG("onboarding", schedule=None, is_paused_upon_creation=False) as dag:

        @task
        async def greet() -> str:
            seen.append(asyncio.get_running_loop())
            return "welcome"

        greet()
    return dag


async def sign_up(request: web.Request) -> web.Response:
    control = request.app[RUNTIME].control
    run = await control.run_trigger(TriggerRequest("onboarding", {"user": 7}))
    run = await control.run_wait(run.run_id, timeout=20)
    return web.json_response({"run": run.dag_run_id, "state": run.state})


def new_runtime(home: Path, url: str, *dags: DAG) -> Runtime:
    config = load_config(home, overrides={"database.url": url, "scheduler.drain_timeout": 0.5}, environ={})
    return Runtime(config, dags=dags, parts=Parts(watch_files=False))


@asynccontextmanager
async def service(runtime: Runtime) -> AsyncGenerator[Client]:
    """The service, listening; started in one task and cleaned up in another, as test runners do."""
    app = web.Application()
    app.cleanup_ctx.append(tradewind_ctx(runtime))
    app.router.add_post("/sign-up", sign_up)
    app.add_subapp("/workflows", make_app(runtime.control, WebConfig(secret_key=SECRET)))
    client = TestClient(TestServer(app))
    try:
        await asyncio.create_task(client.start_server())
        yield client
    finally:
        await asyncio.create_task(client.close())


async def test_a_service_with_workflows(own_home: Path, new_database: NewDatabase) -> None:
    """Its own paths and ours, one loop; stopped and started again it goes on with the same history."""
    url = await new_database()
    await migrate_url(url)
    seen: list[object] = []
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for life in range(2):
        runtime = await asyncio.to_thread(new_runtime, own_home, url, onboarding(seen))
        with pytest.raises(RuntimeError, match="has not started"):
            await runtime.control.reads.dag_list()
        async with service(runtime) as client:
            answer = await client.post("/sign-up")
            assert (await answer.json())["state"] == "success"
            assert seen[-1] is asyncio.get_running_loop()
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers

            await runtime.control.store.user_set(UserRow("admin", HASHES["admin"], "Admin"))
            assert (await client.get("/workflows/api/v1/dags/onboarding")).status == 401
            answer = await client.get("/workflows/api/v1/dags/onboarding/dagRuns", headers=ADMIN)
            assert (await answer.json())["total_entries"] == life + 1
            answer = await client.get("/workflows/api/v1/health")
            assert (await answer.json())["scheduler"]["status"] == "healthy"
            async with ClientSession() as elsewhere:
                assert (await elsewhere.get(client.make_url("/api/v1/health"))).status == 404


async def test_a_runtime_that_cannot_start_stops_the_service(own_home: Path, postgres_url: str) -> None:
    """With its own error, before anybody is let in."""
    url = postgres_url.replace("/tradewind?", "/missing?")
    runtime = await asyncio.to_thread(new_runtime, own_home, url)
    with pytest.raises(StoreError, match="missing"):
        async with service(runtime):
            pytest.fail("it listens")
