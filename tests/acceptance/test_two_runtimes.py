"""Several processes on one PostgreSQL, started as users start them: one dies, and one has only the pages."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.acceptance.standalone import Standalone, daemon
from tests.conftest import NewDatabase
from tests.web.conftest import basic
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.database import open_control
from tradewind.model.rows import AttemptRow, RunRow
from tradewind.services.control import RuntimeControl
from tradewind.store.migrate import migrate_url
from tradewind.version import VERSION

DAG_FILE = """
import asyncio, time
from tradewind import DAG, task

with DAG("{dag_id}", schedule=None, is_paused_upon_creation=False, max_active_runs=4, max_active_tasks=8):
    before = None
    for k in range(8):
        @task(task_id=f"process{{k}}")
        def in_a_process():
            time.sleep(0.4)
        @task(task_id=f"coroutine{{k}}")
        async def on_the_loop():
            await asyncio.sleep(0.4)
        now = [in_a_process(), on_the_loop()]
        if before is not None:
            before[0] >> now
            before[1] >> now
        before = now
"""

SECONDS = 60.0
TASKS = {f"{kind}{k}" for kind in ("process", "coroutine") for k in range(8)}


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    """A database with the schema."""
    made = await new_database()
    await migrate_url(made)
    return made


@pytest.fixture
async def control(own_home: Path, url: str) -> AsyncIterator[RuntimeControl]:
    """The way to the runtimes, from outside."""
    config = await asyncio.to_thread(load_config, own_home, overrides={"database.url": url}, environ={})
    async with open_control(config) as opened:
        yield opened


@asynccontextmanager
async def started(home: Path, url: str, roles: str) -> AsyncGenerator[Standalone]:
    command = ("run", "--roles", roles, "--database", url, "--no-examples", "--port", "0")
    async with daemon(home, *command, TRADEWIND__SCHEDULER__DRAIN_TIMEOUT="1") as running:
        yield running


async def owner_of(control: RuntimeControl, dag_id: str, *, is_not: int | None = None) -> int:
    """The runtime that owns the DAG, once there is one (another than `is_not`)."""
    async with asyncio.timeout(SECONDS):
        while True:
            row = await control.reads.dag_get(dag_id)
            if row is not None and row.owner is not None and row.owner != is_not:
                return row.owner
            await asyncio.sleep(0.02)  # other processes write it


async def write_dag(home: Path, dag_id: str) -> None:
    def write() -> None:
        (home / "dags").mkdir(exist_ok=True)
        (home / "dags" / f"{dag_id}.py").write_text(DAG_FILE.format(dag_id=dag_id))

    await asyncio.to_thread(write)


async def trigger(control: RuntimeControl, dag_id: str, count: int) -> list[RunRow]:
    return [
        await control.run_trigger(
            TriggerRequest(dag_id, dag_run_id=f"{dag_id}-{n}"),
        )
        for n in range(count)
    ]


async def under_way(control: RuntimeControl, run: RunRow) -> None:
    """Once some tasks of the run have ended and some have not."""
    async with asyncio.timeout(SECONDS):
        while len(await control.reads.attempt_list(run.run_id)) < 6:  # noqa: ASYNC110  other processes write them
            await asyncio.sleep(0.02)


def check(attempts: list[AttemptRow]) -> int:
    """Every task succeeded in exactly one attempt, the last of its attempts. How many were lost."""
    kinds = Counter((a.task_id, str(a.kind)) for a in attempts)
    assert {task_id: kinds[task_id, "success"] for task_id in TASKS} == dict.fromkeys(TASKS, 1)
    assert {kind for _, kind in kinds} <= {"success", "lost"}
    for task_id in TASKS:
        *earlier, last = [a for a in attempts if a.task_id == task_id]
        assert str(last.kind) == "success"
        assert all(a.ended_at is not None and last.started_at >= a.ended_at for a in earlier)
    return sum(count for (_, kind), count in kinds.items() if kind == "lost")


@pytest.mark.spec("3:B15", "3:UC8", "3:A14")
async def test_one_of_two_is_killed(own_home: Path, url: str, control: RuntimeControl) -> None:
    """Each owns a DAG whose runs are under way. The other takes the dead one's over within 3 s and finishes all."""
    await write_dag(own_home, "first")
    async with started(own_home, url, "scheduler") as dying:
        first = await owner_of(control, "first")
        async with started(own_home, url, "scheduler") as heir:
            assert heir.process.pid != dying.process.pid
            dying.process.send_signal(signal.SIGSTOP)  # while it does not look, the other one finds the new file
            await write_dag(own_home, "second")
            second = await owner_of(control, "second")
            dying.process.send_signal(signal.SIGCONT)
            assert await owner_of(control, "first") == first != second

            others = await trigger(control, "second", 3)
            runs = await trigger(control, "first", 3) + others
            await asyncio.gather(*(under_way(control, run) for run in runs))
            os.kill(dying.process.pid, signal.SIGKILL)
            killed = time.monotonic()
            assert await owner_of(control, "first", is_not=first) == second
            assert time.monotonic() - killed < 3

            ended = [await control.run_wait(run.run_id, SECONDS) for run in runs]
            assert [run.state.value for run in ended] == ["success"] * 6
            lost = [check(await control.reads.attempt_list(run.run_id)) for run in runs]
            assert sum(lost[:3]) > 0, "it was killed in the middle"
            assert sum(lost[3:]) == 0, "the other one lost nothing"


@pytest.mark.spec("1:C1", "3:A12", "3:A13")
async def test_a_process_with_only_the_pages(own_home: Path, url: str) -> None:
    """Its wishes go by mail to the process that schedules."""
    await write_dag(own_home, "first")
    async with (
        started(own_home, url, "scheduler") as scheduling,
        started(own_home, url, "web") as pages,
        ClientSession(f"{pages.url}/api/v1/", headers=basic(*pages.login)) as api,
    ):
        assert "Pages" not in scheduling.where
        assert VERSION in pages.where["Tradewind"]
        async with asyncio.timeout(SECONDS):
            while (await api.get("dags/first")).status != 200:  # noqa: ASYNC110  the other process loads it
                await asyncio.sleep(0.05)
        answer = await api.patch("dags/first", json={"is_paused": True})
        assert (answer.status, (await answer.json())["is_paused"]) == (200, True)
        assert (await api.post("dags/first/dagRuns", json={"dag_run_id": "r"})).status == 409
        answer = await api.post("dags/first/dagRuns", json={"dag_run_id": "r", "unpause": True})
        assert answer.status == 200, await answer.text()
        answer = await api.get("dags/first/dagRuns/r/wait", params={"timeout": "60"})
        assert (await answer.json())["state"] == "success"
        answer = await api.get("dags/first/dagRuns/r/taskInstances")
        assert {row["task_id"] for row in (await answer.json())["task_instances"]} == TASKS
        answer = await api.post("dags/first/dagRuns", json={"dag_run_id": "r"})
        assert answer.status == 409, "as if it were asked directly"
        answer = await api.post("dags/first/clearTaskInstances", json={"dag_run_id": "r", "dry_run": False})
        assert answer.status == 200, await answer.text()
        answer = await api.get("dags/first/dagRuns/r/wait", params={"timeout": "60"})
        assert (await answer.json())["state"] == "success"
