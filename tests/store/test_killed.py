"""A process that is killed around a commit: what it leaves is before or after, and its place is free at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from tests.store.conftest import KEY, until
from tradewind.failpoints import VARIABLE
from tradewind.model.keys import RunId
from tradewind.model.states import TaskState
from tradewind.testing.store_world import NewStore, attempt_id, join

VICTIM = """
import asyncio, sys
from tradewind.store.postgres import PostgresStore
from tradewind.testing.store_world import new_world

async def main():
    async def new_store():
        store = PostgresStore(sys.argv[1], secret_key=sys.argv[2])
        await store.open()
        return store
    world = await new_world(new_store)
    run = await world.run()
    await world.start(run, "a")
    await world.start(run, "b")

asyncio.run(main())
"""


@pytest.mark.parametrize(("point", "started"), [("before", ["a"]), ("after", ["a", "b"])])
async def test_killed_around_a_commit(store_url: str, new_store: NewStore, point: str, started: list[str]) -> None:
    environ = {**os.environ, VARIABLE: f"store.batch.{point}_commit=kill@2"}
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", VICTIM, store_url, KEY, env=environ)
    assert await victim.wait() == -signal.SIGKILL
    heir, lease = await join(new_store, "heir")
    [dead] = (await heir.runtime_beat(lease)).peers
    await until(lambda: heir.runtime_is_provably_dead(dead.runtime_id))
    assert await heir.runtime_bury(dead.runtime_id, dead.beat)
    assert [dag.dag_id for dag in await heir.dag_claim(lease)] == ["etl"]
    [left] = await heir.run_load(lease, ["etl"])
    running = [row.task_id for row in left.instances if row.state is TaskState.RUNNING]
    assert running == started
    assert {row.attempt for row in left.live} == {attempt_id(f"{RunId(1)}/{task}") for task in started}
