"""Runtimes on one memory database, with coroutines and threads for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NewDatabase
from tradewind import DAG
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.rows import RunRow
from tradewind.ports import Clock, Store
from tradewind.store.memory import MemoryStore
from tradewind.store.memory import new_database as new_memory
from tradewind.store.migrate import migrate_url
from tradewind.store.postgres import PostgresStore
from tradewind_executors.inline import InlineExecutor

StartRuntime = Callable[..., Awaitable[Runtime]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartRuntime]:
    """Starts runtimes that share a database and end with the test. Sync tasks run in threads."""
    database = new_memory()
    stop = asyncio.Event()
    lives: list[asyncio.Task[None]] = []

    async def started(*dags: DAG, clock: Clock | None = None, **settings: object) -> Runtime:
        overrides = {key.replace("__", "."): value for key, value in settings.items()}
        overrides.setdefault("scheduler.drain_timeout", 0.2)
        config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
        inline = InlineExecutor()
        executors = {"inline": inline, "local": inline}
        parts = Parts(store=MemoryStore(database), clock=clock, executors=executors, watch_files=False)
        up: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()

        async def live() -> None:
            async with Runtime(config, dags=dags, parts=parts) as runtime:
                up.set_result(runtime)
                await stop.wait()

        life = asyncio.create_task(live())
        life.add_done_callback(partial(pass_on, up))
        lives.append(life)
        return await up

    yield started
    stop.set()
    await asyncio.gather(*lives)


KEY = "0" * 43 + "="


@pytest.fixture(params=["memory", "postgres"])
async def start_on_each(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: NewDatabase
) -> AsyncGenerator[StartRuntime]:
    """As `start`, on the memory store and on PostgreSQL."""
    store: Store = MemoryStore(new_memory())
    if request.param == "postgres":
        url = await new_database()
        await migrate_url(url)
        store = PostgresStore(url, secret_key=KEY)
    inline = InlineExecutor()
    parts = Parts(store=store, executors={"inline": inline, "local": inline}, watch_files=False)
    stop = asyncio.Event()
    lives: list[asyncio.Task[None]] = []

    async def live(dags: tuple[DAG, ...], settings: dict[str, object], up: asyncio.Future[Runtime]) -> None:
        overrides = {"scheduler.drain_timeout": 0.2, **settings}
        config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
        async with Runtime(config, dags=dags, parts=parts) as runtime:
            up.set_result(runtime)
            await stop.wait()

    async def started(*dags: DAG, **settings: object) -> Runtime:
        named = {key.replace("__", "."): value for key, value in settings.items()}
        up: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()
        life = asyncio.create_task(live(dags, named, up))
        life.add_done_callback(partial(pass_on, up))
        lives.append(life)
        return await up

    yield started
    stop.set()
    await asyncio.gather(*lives)
    await store.close()


def pass_on(up: asyncio.Future[Any], ended: asyncio.Future[None]) -> None:
    """A runtime that could not start says why to whoever waits for it."""
    if not up.done():
        up.set_exception(ended.exception() or RuntimeError("the runtime ended before it had started"))


async def until(runtime: Runtime, condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Returns when the condition holds; it is looked at again after every commit that views hear of."""
    events = runtime.control.live_events()
    following = asyncio.ensure_future(anext(events))
    try:
        async with asyncio.timeout(seconds):
            await asyncio.sleep(0)  # the subscription is in place before the first look
            while not await condition():
                await following
                following = asyncio.ensure_future(anext(events))
    finally:
        following.cancel()
        await asyncio.wait([following])


async def run_to_end(runtime: Runtime, dag_id: str, **wish: Any) -> RunRow:
    """Triggers a run and returns it once it has ended."""
    run = await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True, **wish))
    return await runtime.control.run_wait(run.run_id, 60)


async def why(runtime: Runtime, run: RunRow, task_id: str) -> str:
    """The reason of the task's last attempt."""
    detail = (await runtime.control.reads.attempt_list(run.run_id, task_id))[-1].detail
    return str(detail.get("reason")) if detail else ""
