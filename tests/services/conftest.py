"""Runtimes on one memory database, with coroutines and threads for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tradewind import DAG
from tradewind.config import load_config
from tradewind.host import Parts, Runtime
from tradewind.store.memory import MemoryStore, new_database
from tradewind_executors.inline import InlineExecutor

StartRuntime = Callable[..., Awaitable[Runtime]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartRuntime]:
    """Starts runtimes that share a database and end with the test. Sync tasks run in threads."""
    database = new_database()
    stop = asyncio.Event()
    lives: list[asyncio.Task[None]] = []

    async def started(*dags: DAG, **settings: object) -> Runtime:
        overrides = {key.replace("__", "."): value for key, value in settings.items()}
        overrides.setdefault("scheduler.drain_timeout", 0.2)
        config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
        inline = InlineExecutor()
        executors = {"inline": inline, "local": inline}
        parts = Parts(store=MemoryStore(database), executors=executors, watch_files=False)
        up: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()

        async def live() -> None:
            async with Runtime(config, dags=dags, parts=parts) as runtime:
                up.set_result(runtime)
                await stop.wait()

        life = asyncio.create_task(live())
        life.add_done_callback(lambda ended: up.done() or up.set_exception(ended.exception() or RuntimeError()))
        lives.append(life)
        return await up

    yield started
    stop.set()
    await asyncio.gather(*lives)
