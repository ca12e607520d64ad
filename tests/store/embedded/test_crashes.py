"""Kill -9 of every part, at a bad moment."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tests.store.embedded.conftest import WITHIN_S, Pids, StartUser, ask, ended
from tradewind.store.embedded import EmbeddedServer, binaries, cluster, places

BACK_WITHIN_S = 60.0  # one second is what we promise; how long it took is noted, and a starved machine fails nothing


class Restarts:
    """Counts the calls of `on_restart` and lets a test wait for one."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.seen.set()

    async def wait(self) -> None:
        """Wait for the next one."""
        async with asyncio.timeout(WITHIN_S):
            await self.seen.wait()
        self.seen.clear()


async def test_a_killed_server_is_back_within_a_second(
    home: Path, record_property: Callable[[str, object], None]
) -> None:
    restarts = Restarts()
    async with await EmbeddedServer.join(home, on_restart=restarts) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 7 AS value")
        busy = await asyncpg.connect(**server.asyncpg_kwargs)
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(600)"))
        watcher = await asyncpg.connect(**server.asyncpg_kwargs)
        asleep = 0
        while asleep == 0:
            asleep = await watcher.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        before = Pids.of(home)
        start = time.perf_counter()
        os.kill(before.server, signal.SIGKILL)
        await restarts.wait()
        took = time.perf_counter() - start
        record_property("back_s", took)
        assert took < BACK_WITHIN_S
        assert await ask(server, "SELECT value FROM kept") == 7
        after = Pids.of(home)
        assert after.server != before.server
        assert after.keeper == before.keeper
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await sleeping
        busy.terminate()
        watcher.terminate()
    await after.ended()


async def test_each_kill_is_heard_of_once(home: Path) -> None:
    restarts = Restarts()
    async with await EmbeddedServer.join(home, on_restart=restarts, settings={"fsync": "off"}):
        for count in range(1, 4):
            os.kill(Pids.of(home).server, signal.SIGKILL)
            await restarts.wait()
            assert restarts.count == count


async def test_a_killed_keeper_is_replaced_by_its_users(home: Path, start_user: StartUser) -> None:
    restarts = Restarts()
    other = await start_user(home)
    async with await EmbeddedServer.join(home, on_restart=restarts) as server:
        before = Pids.of(home)
        os.kill(before.keeper, signal.SIGKILL)
        await restarts.wait()
        assert await ask(server, "SELECT 1") == 1
        after = Pids.of(home)
        assert after.keeper != before.keeper
        await ended(before.server)
        await other.leave()
    await after.ended()


async def test_a_service_manager_that_tells_everybody_to_stop_cuts_nobody_off(home: Path) -> None:
    server = await EmbeddedServer.join(home, settings={"fsync": "off"})
    pids = Pids.of(home)
    connection = await asyncpg.connect(**server.asyncpg_kwargs)
    for pid in (pids.keeper, pids.server):
        os.kill(pid, signal.SIGTERM)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    await server.leave()
    await pids.ended()
    assert not (home / "postgres/server.json").exists()


async def test_a_keeper_killed_with_its_user_takes_the_server_along(home: Path, start_user: StartUser) -> None:
    other = await start_user(home)
    pids = Pids.of(home)
    other.process.kill()
    os.kill(pids.keeper, signal.SIGKILL)
    await pids.ended()
    async with await EmbeddedServer.join(home) as server:
        assert await ask(server, "SELECT 1") == 1


async def test_a_server_without_a_keeper_is_stopped_and_started_anew(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 7 AS value")
    orphan = await asyncio.to_thread(_start_without_keeper, home)
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        assert orphan.wait(WITHIN_S) == 0
        assert await ask(server, "SELECT value FROM kept") == 7


def _start_without_keeper(home: Path) -> subprocess.Popen[bytes]:
    where = places.open_run(places.prepare(home), None)
    chosen = places.readable_binaries(binaries.choose(), where.account)
    orphan = subprocess.Popen(
        cluster.server_command(where, chosen, {"fsync": "off"}),
        cwd=where.data,
        stderr=subprocess.DEVNULL,
        user=where.account.uid if where.account.switch else None,
        group=where.account.gid if where.account.switch else None,
        extra_groups=[] if where.account.switch else None,
    )
    end = time.monotonic() + WITHIN_S
    while not (where.run / ".s.PGSQL.5432").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return orphan


async def test_a_stale_pid_file_is_no_obstacle(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        data = server.data_directory
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        assert await ask(server, "SELECT 1") == 1


async def test_a_half_made_data_directory_is_made_again(home: Path) -> None:
    half = home / "postgres/data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        assert await ask(server, "SELECT 1") == 1
    assert not half.exists()


async def test_a_server_that_does_not_stay_up_is_reported_with_its_log(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}):
        pass
    with pytest.raises(Exception, match=r"(?s)does not stay up.*max_connections"):
        await EmbeddedServer.join(home, settings={"max_connections": "many"})
    async with await EmbeddedServer.join(home, settings={"fsync": "off"}) as server:
        assert await ask(server, "SELECT 1") == 1
