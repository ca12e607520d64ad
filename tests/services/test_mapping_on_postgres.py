# pyright: reportUnusedExpression=false
"""Mapped tasks on PostgreSQL, from one runtime to the next."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tradewind import DAG, task, task_group
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.rules.expanding import Expanding
from tradewind.store.migrate import migrate_url
from tradewind.store.postgres import PostgresStore
from tradewind_executors.inline import InlineExecutor

KEY = "0" * 43 + "="


@asynccontextmanager
async def runtime_on(url: str, folder: Path, dag: DAG) -> AsyncGenerator[Runtime]:
    """A runtime whose tasks are coroutines of this process."""
    overrides = {"scheduler.drain_timeout": 0.1}
    config = await asyncio.to_thread(load_config, folder, overrides=overrides, environ={})
    inline, store = InlineExecutor(), PostgresStore(url, secret_key=KEY)
    parts = Parts(store=store, executors={"inline": inline, "local": inline}, watch_files=False)
    try:
        async with Runtime(config, dags=[dag], parts=parts) as runtime:
            yield runtime
    finally:
        await store.close()


async def instances(runtime: Runtime, dag_run_id: str, task_id: str) -> Counter[str]:
    run = await runtime.control.reads.run_get("mapped", dag_run_id)
    assert run is not None
    rows = await runtime.control.reads.instance_list(run.run_id)
    return Counter(f"{row.state}{'' if row.map_index >= 0 else ' itself'}" for row in rows if row.task_id == task_id)


@pytest.mark.parametrize("at_once", [3, 2_000])
async def test_the_next_runtime_goes_on(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Expanded in one commit or in several; then half done, and cleared with fewer."""
    monkeypatch.setattr(Expanding, "at_once", at_once)
    url = await new_database()
    await migrate_url(url)
    numbers, done = list(range(10)), asyncio.Semaphore(5)
    five, collected = asyncio.Event(), list[list[int]]()
    half = True

    with DAG("mapped", schedule=None) as dag:

        @task
        async def source() -> list[int]:
            return numbers

        @task
        async def double(n: int) -> int:
            if half:
                if done.locked():
                    five.set()
                await done.acquire()
            return 2 * n

        @task
        async def collect(values: list[int]) -> None:
            collected.append(list(values))

        collect(double.expand(n=source()))

    async with runtime_on(url, tmp_path, dag) as runtime:
        run = await runtime.control.run_trigger(TriggerRequest("mapped", dag_run_id="one", unpause=True))
        async with asyncio.timeout(60):
            await five.wait()
    half = False
    async with runtime_on(url, tmp_path, dag) as runtime:
        ended = await runtime.control.run_wait(run.run_id, 60)
        assert ended.state == "success"
        assert await instances(runtime, "one", "double") == {"success": 10}
        assert collected == [[2 * n for n in range(10)]]
        numbers[:] = [7, 8]
        await runtime.control.instances_clear("mapped", "one", [])
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
        assert await instances(runtime, "one", "double") == {"success": 2, "removed": 8}
        assert collected[-1] == [14, 16]
        await runtime.control.instances_clear("mapped", "one", ["double"], map_indexes={"double": [1]})
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
        tries = {row.map_index: row.try_number for row in await runtime.control.reads.instance_list(run.run_id)}
        assert tries[1] == tries[0] + 1
        numbers.clear()
        await runtime.control.instances_clear("mapped", "one", [])
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
        assert await instances(runtime, "one", "double") == {"skipped itself": 1}
        assert await instances(runtime, "one", "collect") == {"skipped itself": 1}


async def test_the_next_runtime_knows_which_way_was_not_chosen(new_database: NewDatabase, tmp_path: Path) -> None:
    """Also of an instance that decided before the others of its number had rows."""
    url = await new_database()
    await migrate_url(url)
    go_on = asyncio.Event()

    with DAG("mapped", schedule=None) as dag:

        @task
        async def source() -> list[int]:
            return [0, 1]

        @task.branch
        async def choose(n: int) -> str | None:
            return "g.work" if n else None

        @task
        async def gate() -> None:
            await go_on.wait()

        @task
        async def work() -> None:
            return None

        @task_group
        def g(n: int) -> None:
            [choose(n), opened] >> work()

        opened = gate()
        g.expand(n=source())

    async with runtime_on(url, tmp_path, dag) as runtime, asyncio.timeout(60):
        events = runtime.control.live_events("mapped")
        run = await runtime.control.run_trigger(TriggerRequest("mapped", dag_run_id="one", unpause=True))
        while await instances(runtime, "one", "g.choose") != {"success": 2}:
            await anext(events)
        assert await instances(runtime, "one", "g.work") == {"none itself": 1}
    go_on.set()
    for again in ([], ["gate", "g.work"], ["g.work"]):
        async with runtime_on(url, tmp_path, dag) as runtime:
            if again:
                await runtime.control.instances_clear("mapped", "one", again)
            assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
            assert await instances(runtime, "one", "g.work") == {"skipped": 1, "success": 1}
