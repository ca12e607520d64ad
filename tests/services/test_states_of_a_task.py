"""The states that a task passes through on an executor where it may have to wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tradewind import DAG, task
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.executor_ports import ExecutorHost
from tradewind.host import Parts, Runtime
from tradewind.model.attempts import Attempt
from tradewind.model.rows import PoolRow
from tradewind.store.memory import MemoryStore
from tradewind_executors.inline import InlineExecutor


class QueueExecutor(InlineExecutor):
    """Takes attempts at once and begins them when it is told to: as a broker with workers somewhere else."""

    starts_at_once = False

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self._told: ExecutorHost | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    async def start(self, host: ExecutorHost) -> None:
        self._told = host
        await super().start(host)

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        self._waiting.add(asyncio.create_task(self._begin_later(attempts)))

    async def _begin_later(self, attempts: Sequence[Attempt]) -> None:
        await self.go.wait()
        assert self._told is not None
        for attempt in attempts:
            self._told.began(attempt.key, hostname=socket.gethostname(), pid=None)
        await super().submit(attempts)


@pytest.mark.spec("3:A15")
async def test_from_none_over_scheduled_and_queued_to_success(tmp_path: Path) -> None:
    """`scheduled` while limits have no room, `queued` while the executor has none, `running` from its first line on."""
    with DAG("flow", schedule=None) as dag:

        @task(pool="narrow")
        async def first() -> None: ...

        @task(pool="narrow")
        async def second() -> None: ...

        first() >> second()  # pyright: ignore[reportUnusedExpression] # it orders them
    executor = QueueExecutor()
    config = await asyncio.to_thread(load_config, tmp_path, {"scheduler.drain_timeout": 0.2}, {})
    parts = Parts(store=MemoryStore(), executors={"inline": executor}, watch_files=False)
    passed: dict[str, list[str]] = {"first": [], "second": []}
    async with Runtime(config, dags=[dag], parts=parts) as runtime, asyncio.timeout(60):
        events = runtime.control.live_events()
        following = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it listens
        run = await runtime.control.run_trigger(TriggerRequest("flow", unpause=True))
        rows = {row.task_id: row.state.value for row in await runtime.control.reads.instance_list(run.run_id)}
        assert rows["second"] == "none"
        while passed["second"][-1:] != ["success"]:
            for row in (await following).items:
                passed[row.task_id].append(row.state.value)
            following = asyncio.ensure_future(anext(events))
            if passed["first"] == ["scheduled"]:
                await runtime.pool_set(PoolRow("narrow", 1))
            elif passed["first"] == ["scheduled", "queued"]:
                executor.go.set()
        following.cancel()
        await asyncio.wait([following])
    assert passed["first"] == ["scheduled", "queued", "running", "success"]
    assert passed["second"][-3:] == ["queued", "running", "success"]
