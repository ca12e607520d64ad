"""Several processes on one PostgreSQL, started as users start them: one dies, and one has only the pages."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
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
import asyncio, socket
from tradewind import DAG, task

GATE = {gate!r}

with DAG("{dag_id}", schedule=None, is_paused_upon_creation=False, max_active_runs=4, max_active_tasks=8):
    before = None
    for k in range(8):
        @task(task_id=f"process{{k}}")
        def in_a_process(k=k, run_id=None):
            if k == 3:
                with socket.create_connection(GATE) as gate:
                    gate.sendall(f"{{run_id}}\\n".encode())
                    gate.recv(1)
        @task(task_id=f"coroutine{{k}}")
        async def on_the_loop(k=k, run_id=None):
            if k == 3:
                reader, writer = await asyncio.open_connection(*GATE)
                writer.write(f"{{run_id}}\\n".encode())
                await reader.read(1)
                writer.close()
        now = [in_a_process(), on_the_loop()]
        if before is not None:
            before[0] >> now
            before[1] >> now
        before = now
"""

SECONDS = 120.0
LEASE = "600"
"""Seconds: longer than a test may take, so that a take-over which comes at all has not waited for its end."""
TASKS = {f"{kind}{k}" for kind in ("process", "coroutine") for k in range(8)}
WATCH_OWNERS = """
CREATE FUNCTION tell_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('owners', NEW.dag_id || ' ' || NEW.owner);
    RETURN NULL;
END $$;
CREATE TRIGGER owners AFTER INSERT OR UPDATE OF owner ON tradewind.dag
    FOR EACH ROW WHEN (NEW.owner IS NOT NULL) EXECUTE FUNCTION tell_owner();
"""


class Gate:
    """Tasks in the middle of their run come here, by a connection each, and wait until it is opened."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        """The run of each one that comes, in order."""
        self._is_open = asyncio.Event()

    def open(self) -> None:
        """From now on nobody waits."""
        self._is_open.set()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[tuple[str, int]]:
        """Gives its address."""
        server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            yield address[0], address[1]

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.put_nowait((await reader.readline()).decode().strip())
        gone, opened = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(self._is_open.wait())
        await asyncio.wait((gone, opened), return_when=asyncio.FIRST_COMPLETED)
        for waiting in (gone, opened):
            waiting.cancel()
        writer.close()


class Owners:
    """Which runtime owns which DAG, heard from the database as it happens."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """A DAG has found an owner."""
        dag_id, _, owner = str(payload).partition(" ")
        self._owners[dag_id] = int(owner)
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def of(self, dag_id: str, *, is_not: int | None = None) -> int:
        """The owner, once there is one (another than `is_not`). Raises TimeoutError."""
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._owners.get(dag_id, is_not) != is_not)
            return self._owners[dag_id]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    """A database with the schema."""
    made = await new_database()
    await migrate_url(made)
    return made


@pytest.fixture
async def owners(url: str) -> AsyncIterator[Owners]:
    """Hears of every DAG that gets an owner."""
    heard = Owners()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(WATCH_OWNERS)
        await connection.add_listener("owners", heard.hear)
        yield heard
    finally:
        await connection.close()


@pytest.fixture
async def control(own_home: Path, url: str) -> AsyncIterator[RuntimeControl]:
    """The way to the runtimes, from outside."""
    config = await asyncio.to_thread(load_config, own_home, overrides={"database.url": url}, environ={})
    async with open_control(config) as opened:
        yield opened


@asynccontextmanager
async def started(home: Path, url: str, roles: str) -> AsyncGenerator[Standalone]:
    command = ("run", "--roles", roles, "--database", url, "--no-examples", "--port", "0")
    variables = {"TRADEWIND__SCHEDULER__DRAIN_TIMEOUT": "1", "TRADEWIND__SCHEDULER__LEASE": LEASE}
    async with daemon(home, *command, **variables) as running:
        yield running


async def write_dag(home: Path, dag_id: str, gate: tuple[str, int]) -> None:
    def write() -> None:
        (home / "dags").mkdir(exist_ok=True)
        (home / "dags" / f"{dag_id}.py").write_text(DAG_FILE.format(dag_id=dag_id, gate=gate))

    await asyncio.to_thread(write)


async def trigger(control: RuntimeControl, dag_id: str, count: int) -> list[RunRow]:
    return [
        await control.run_trigger(
            TriggerRequest(dag_id, dag_run_id=f"{dag_id}-{n}"),
        )
        for n in range(count)
    ]


async def in_the_middle(gate: Gate, runs: list[RunRow]) -> None:
    """Once both tasks of the fourth layer of each of these runs wait at the gate."""
    missing = Counter({run.dag_run_id: 2 for run in runs})
    async with asyncio.timeout(SECONDS):
        while missing:
            missing -= Counter([await gate.arrived.get()])


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
async def test_one_of_two_is_killed(own_home: Path, url: str, control: RuntimeControl, owners: Owners) -> None:
    """Each owns a DAG whose runs are under way. The other hears of the death, takes over and finishes all."""
    gate = Gate()
    async with gate.listening() as address, started(own_home, url, "scheduler") as dying:
        await write_dag(own_home, "first", address)
        first = await owners.of("first")
        async with started(own_home, url, "scheduler") as heir:
            assert heir.process.pid != dying.process.pid
            dying.process.send_signal(signal.SIGSTOP)  # while it does not look, the other one finds the new file
            await write_dag(own_home, "second", address)
            second = await owners.of("second")
            dying.process.send_signal(signal.SIGCONT)
            assert await owners.of("first") == first != second

            others = await trigger(control, "second", 3)
            runs = await trigger(control, "first", 3) + others
            await in_the_middle(gate, runs)
            os.kill(dying.process.pid, signal.SIGKILL)
            assert await owners.of("first", is_not=first) == second
            await in_the_middle(gate, runs[:3])  # what was lost has been started again
            gate.open()

            ended = [await control.run_wait(run.run_id, SECONDS) for run in runs]
            assert [run.state.value for run in ended] == ["success"] * 6
            lost = [check(await control.reads.attempt_list(run.run_id)) for run in runs]
            assert lost == [2, 2, 2, 0, 0, 0], "the other one lost nothing"


@pytest.mark.spec("1:C1", "3:A12", "3:A13")
async def test_a_process_with_only_the_pages(own_home: Path, url: str, owners: Owners) -> None:
    """Its wishes go by mail to the process that schedules."""
    gate = Gate()
    gate.open()
    async with (
        gate.listening() as address,
        started(own_home, url, "scheduler") as scheduling,
        started(own_home, url, "web") as pages,
        ClientSession(f"{pages.url}/api/v1/", headers=basic(*pages.login)) as api,
    ):
        await write_dag(own_home, "first", address)
        assert "Pages" not in scheduling.where
        assert VERSION in pages.where["Tradewind"]
        await owners.of("first")
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
