"""Pools change at once, in every runtime."""

from __future__ import annotations

import asyncio

import pytest

from tests.services.conftest import StartRuntime, until
from tests.store.conftest import until as until_true
from tradewind import DAG, task
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import ConflictError
from tradewind.model.rows import PoolRow
from tradewind.model.states import TaskState
from tradewind.rules.admission import pool_limit
from tradewind.services.pool_usage import delete_pool, pool_usage


def gated(dag_id: str, gate: asyncio.Event, tasks: int = 2) -> DAG:
    """A DAG whose tasks take a slot of `p` each, until the gate is open."""
    with DAG(dag_id, schedule=None) as dag:
        for n in range(tasks):

            @task(task_id=f"t{n}", pool="p")
            async def wait() -> None:
                await gate.wait()

            wait()
    return dag


async def running(runtime: Runtime) -> int:
    used = (await pool_usage(runtime.control.reads)).get("p")
    return 0 if used is None else used.running


async def test_a_change_holds_in_the_runtime_that_did_not_make_it(start: StartRuntime) -> None:
    gate = asyncio.Event()
    ours, other = await start(gated("d", gate)), await start()
    run = await ours.control.run_trigger(TriggerRequest("d", unpause=True))
    rows = await ours.control.reads.instance_list(run.run_id)
    assert {row.state for row in rows} <= {TaskState.NONE, TaskState.SCHEDULED}, "there is no such pool"

    async def as_many(n: int) -> bool:
        return await running(ours) == n

    await other.control.named.pool_set(PoolRow("p", 1))
    await until(ours, lambda: as_many(1))
    await other.control.named.pool_set(PoolRow("p", 2))
    await until(ours, lambda: as_many(2))
    with pytest.raises(ConflictError, match=r"pool 'p' is in use: 2 slots running.*give them another pool"):
        await delete_pool(other.control.reads, other.control.named, "p")
    gate.set()
    await ours.control.run_wait(run.run_id, 60)
    await delete_pool(other.control.reads, other.control.named, "p")
    admission = ours.services.scheduler.book.admission

    async def gone() -> bool:
        return admission.size(pool_limit("p")) == 0

    await until_true(gone)


async def test_the_default_pool_stays(start: StartRuntime) -> None:
    runtime = await start()
    with pytest.raises(ConflictError, match="default_pool cannot be deleted"):
        await delete_pool(runtime.control.reads, runtime.control.named, "default_pool")
