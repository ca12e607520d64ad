"""A runtime in a service that was there before: its loop, its signals, its paths, its transactions."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import asyncpg
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from tests.architecture.tree import ROOT
from tests.conftest import NewDatabase
from tests.web.conftest import ADMIN, HASHES, SECRET
from tradewind import DAG, Runtime, task
from tradewind.config import load_config
from tradewind.model.errors import StoreError
from tradewind.model.rows import UserRow
from tradewind.ports import RunFilter
from tradewind.services.given_dags import GivenDag
from tradewind.store.migrate import migrate_url
from tradewind.web.embedding import RUNTIME, make_app, tradewind_ctx
from tradewind.web.settings import WebConfig

Client = TestClient[web.Request, web.Application]
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    made = await new_database()
    await migrate_url(made)
    return made


def new_runtime(home: Path, url: str, *dags: GivenDag, **settings: object) -> Runtime:
    overrides: dict[str, Any] = {"database.url": url, "scheduler.drain_timeout": 0.5}
    overrides |= {key.replace("__", "."): value for key, value in settings.items()}
    return Runtime(load_config(home, overrides=overrides, environ={}), dags=dags)


def onboarding(seen: list[object]) -> DAG:
    """An async task on the service's loop, which sees the service's own objects."""
    with DAG("onboarding", schedule=None, params={"user": 0}) as made:

        @task
        async def greet(user: str) -> str:
            seen.append(asyncio.get_running_loop())
            return f"welcome, {user}"

        greet("{{ params.user }}")
    return made


# ------------------------------------------------------------------------------ in an application


async def sign_up(request: web.Request) -> web.Response:
    run = await request.app[RUNTIME].trigger("onboarding", {"user": 7})
    return web.json_response({"run": run.id, "result": await run.result(timeout=60)})


@asynccontextmanager
async def service(runtime: Runtime) -> AsyncGenerator[Client]:
    """The service, listening; started in one task and cleaned up in another, as test runners do."""
    app = web.Application()
    app.cleanup_ctx.append(tradewind_ctx(runtime))
    app.router.add_post("/sign-up", sign_up)
    app.router.add_post("/talk", talk)
    app.add_subapp("/workflows", make_app(runtime, WebConfig(secret_key=SECRET)))
    client = TestClient(TestServer(app))
    try:
        await asyncio.create_task(client.start_server())
        yield client
    finally:
        await asyncio.create_task(client.close())


def global_state() -> dict[str, object]:
    """What belongs to the whole process, and so to the service."""
    root = logging.getLogger()
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "logging": (
            root.level,
            list(root.handlers),
            [list(h.filters) for h in root.handlers],
            logging.getLogger("shop").level,
        ),
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook),
        "path": list(sys.path),
        "memory": (gc.get_threshold(), gc.get_freeze_count() > 0, gc.isenabled()),  # what is frozen may go
        "folder": Path.cwd(),
        "environment": dict(os.environ),
        "faults": faulthandler.is_enabled(),
    }


@pytest.mark.blocks_the_loop  # the state of the process is looked at
async def test_a_service_with_workflows(own_home: Path, url: str) -> None:
    """Its own paths and ours, one loop; stopped and started again it goes on with the same history."""
    seen: list[object] = []
    before = global_state()
    for life in range(2):
        runtime = await asyncio.to_thread(new_runtime, own_home, url, onboarding(seen))
        with pytest.raises(RuntimeError, match="has not started"):
            await runtime.control.reads.dag_list()
        async with service(runtime) as client:
            answer = await client.post("/sign-up")
            assert (await answer.json())["result"] == "welcome, 7"
            assert seen[-1] is asyncio.get_running_loop()
            assert global_state() == before

            await runtime.control.store.user_set(UserRow("admin", HASHES["admin"], "Admin"))
            assert (await client.get("/workflows/api/v1/dags/onboarding")).status == 401
            answer = await client.get("/workflows/api/v1/dags/onboarding/dagRuns", headers=ADMIN)
            assert (await answer.json())["total_entries"] == life + 1
            answer = await client.get("/workflows/api/v1/health")
            assert (await answer.json())["scheduler"]["status"] == "healthy"
            async with ClientSession() as elsewhere:
                assert (await elsewhere.get(client.make_url("/api/v1/health"))).status == 404
        with pytest.raises(RuntimeError, match="has stopped"):
            await runtime.trigger("onboarding")
        assert global_state() == before


async def talk(request: web.Request) -> web.Response:
    run = await request.app[RUNTIME].trigger("talk")
    await run.result(timeout=60)
    return web.json_response({"run": run.id})


@pytest.mark.blocks_the_loop  # the log is read
async def test_what_tasks_say(
    own_home: Path, url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their own loggers reach their logs, and the service's handlers by the service's thresholds. The rest is the
    service's, as it would be without us.
    """
    caplog.set_level(logging.WARNING)
    with DAG("talk", schedule=None) as dag:

        @task
        async def say() -> None:
            print("printed")  # noqa: T201 - what a task prints
            logging.getLogger("tradewind.task.shop").info("for the log")
            logging.getLogger("tradewind.task.shop").warning("for both")
            logging.getLogger("shop").warning("for the service")

        say()
    runtime = await asyncio.to_thread(new_runtime, own_home, url, dag)
    async with service(runtime) as client:
        run = (await (await client.post("/talk")).json())["run"]
        await runtime.control.store.user_set(UserRow("admin", HASHES["admin"], "Admin"))
        path = f"/workflows/api/v1/dags/talk/dagRuns/{run}/taskInstances/say/logs/1"
        answer = await client.get(path, headers={**ADMIN, "Accept": "text/plain"})
        text = await answer.text()
    said = [(record.name, record.message) for record in caplog.records]
    assert "for the log" in text
    assert "for both" in text
    assert "for the service" not in text
    assert "printed" not in text
    assert "printed" in capsys.readouterr().out
    assert [message for _, message in said if message.startswith("for ")] == ["for both", "for the service"]


async def test_a_runtime_that_cannot_start_stops_the_service(own_home: Path, postgres_url: str) -> None:
    """With its own error, before anybody is let in."""
    url = postgres_url.replace("/tradewind?", "/missing?")
    runtime = await asyncio.to_thread(new_runtime, own_home, url)
    with pytest.raises(StoreError, match="missing"):
        async with service(runtime):
            pytest.fail("it listens")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The service that the guide shows, imported."""
    spec = importlib.util.spec_from_file_location("signup_service", ROOT / "docs/examples/signup_service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def test_the_example_service(
    example: ModuleType, own_home: Path, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an empty database: it makes its table and ours. Who signs up twice gets no second run."""
    monkeypatch.setenv("TRADEWIND_HOME", str(own_home))
    app: web.Application = await asyncio.to_thread(example.make_service, await new_database())
    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/sign-up", json={"email": "ada@example.org"})
        assert await answer.json() == {"email": "ada@example.org", "greeting": "Welcome, ada!"}
        assert (await client.post("/sign-up", json={"email": "ada@example.org"})).status == 409
        answer = await client.get("/preview", params={"email": "bob@example.org"})
        assert await answer.json() == {"greeting": "Welcome, bob!"}
        answer = await client.post("/sign-up", json={"email": "nobody"})
        assert answer.status == 422
        assert "task 'write' failed: FailWithoutRetry: 'nobody' is no address" in (await answer.json())["error"]
        rows, total = await app[RUNTIME].control.reads.run_list(RunFilter("onboarding"))
        assert total == 3
        assert {row.dag_run_id for row in rows} > {"manual__ada@example.org", "manual__nobody"}
        assert (await client.get("/workflows/api/v1/health")).status == 200
