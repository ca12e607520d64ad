"""Runtimes of one DAG file whose coroutines may be in async hosts, and looks at what runs there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tradewind.authoring.xcom import decode
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.rows import RunRow
from tradewind.store.memory import MemoryStore
from tradewind_executors.inline import InlineExecutor


@asynccontextmanager
async def running(home: Path, text: str, isolation: str) -> AsyncGenerator[Runtime]:
    folder = home / "dags"
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / "flow.py").write_text, text)
    overrides = {
        "dags.load_examples": False,
        "executors.inline.isolation": isolation,
        "scheduler.block_report": 0.05,
        "scheduler.drain_timeout": 0.2,
    }
    config = await asyncio.to_thread(load_config, home, overrides=overrides, environ={})
    parts = Parts(store=MemoryStore(), executors={"inline": InlineExecutor()})
    async with asyncio.timeout(60), Runtime(config, parts=parts) as runtime:
        await runtime.files_loaded()
        yield runtime


async def value_of(runtime: Runtime, run: RunRow, task_id: str, map_index: int = -1) -> object:
    value = await runtime.control.reads.xcom_get(run.run_id, task_id, RETURN_KEY, map_index)
    assert value is not None
    return decode(value)


async def begun(runtime: Runtime, dag_id: str) -> RunRow:
    async with asyncio.timeout(60):
        while True:
            if dag_id in runtime.services.scheduler.book.dags:
                break
            await asyncio.sleep(0.01)
    return await runtime.control.run_trigger(TriggerRequest(dag_id, {}, logical_date=datetime.now(UTC)))


async def host_at_work(runtime: Runtime, running: int, but: int = 0) -> int:
    async with asyncio.timeout(60):
        while True:
            for facts in runtime.control.loop_report().hosts:
                if facts.running == running and facts.state == "serving" and facts.pid not in (None, but):
                    return facts.pid or 0
            await asyncio.sleep(0.01)
