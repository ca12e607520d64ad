"""A new version of a DAG leaves tasks out while a run of the older one goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tradewind import DAG, chain, task
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.states import RunState
from tradewind.store.memory import MemoryStore, new_database
from tradewind_executors.inline import InlineExecutor


def shop(*, began: asyncio.Event | None = None, taxed: bool) -> DAG:
    """Orders are counted, taxed (not in the next version), each packed (neither), and shipped."""
    with DAG("shop", schedule=None, is_paused_upon_creation=False) as dag:

        @task
        async def count() -> list[int]:
            if began is not None:
                began.set()
                await asyncio.Event().wait()
            return [1, 2]

        @task
        async def tax() -> None: ...

        @task
        async def pack(number: int) -> int:
            return number

        @task
        async def ship() -> str:
            return "shipped"

        orders: Any = count()
        if taxed:
            chain(orders, tax(), ship())
            pack.expand(number=orders)
        else:
            chain(orders, ship())
    return dag


async def test_their_instances_are_removed_and_the_run_goes_on(tmp_path: Path) -> None:
    config = await asyncio.to_thread(load_config, tmp_path, overrides={"scheduler.drain_timeout": 0.0}, environ={})
    database, began = new_database(), asyncio.Event()

    def runtime(dag: DAG) -> Runtime:
        inline = InlineExecutor()
        executors = {"inline": inline, "local": inline}
        return Runtime(
            config, dags=[dag], parts=Parts(store=MemoryStore(database), executors=executors, watch_files=False)
        )

    async with runtime(await asyncio.to_thread(shop, began=began, taxed=True)) as first:
        run = await first.control.run_trigger(TriggerRequest("shop"))
        async with asyncio.timeout(60):
            await began.wait()
    async with runtime(await asyncio.to_thread(shop, taxed=False)) as second:
        ended = await second.control.run_wait(run.run_id, 60)
        rows = await second.control.reads.instance_list(run.run_id)
        states = {row.task_id: row.state.value for row in rows}
        assert states == {"count": "success", "tax": "removed", "pack": "removed", "ship": "success"}
        assert ended.state is RunState.SUCCESS
        assert ended.version_hash == run.version_hash, "the run keeps its version"
