"""Starting, joining, leaving: one server a home, gone when its last user is."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tests.store.embedded.conftest import WITHIN_S, Pids, StartUser, ask
from tradewind.store.embedded import EmbeddedServer

FAST = {"fsync": "off"}


async def test_a_cold_start_is_durable_and_closed_to_others(
    home: Path, record_property: Callable[[str, object], None]
) -> None:
    start = time.perf_counter()
    server = await EmbeddedServer.join(home)
    record_property("cold_s", time.perf_counter() - start)
    try:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "shared_buffers": "32MB",
            "max_connections": "50",
            "jit": "off",
            "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
        }.items():
            assert await ask(server, f"SELECT current_setting('{setting}')") == value
        kind = await ask(
            server, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'tradewind'"
        )
        assert kind == "bC.UTF-8"
        assert server.version.split(".")[0] == "18"
        assert stat.S_IMODE(server.password_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.socket_directory.stat().st_mode) == 0o700
        assert server.dsn.count(server.password_file.read_text().strip()) == 1
        assert server.password_file.read_text().strip() not in server.public_dsn
    finally:
        await server.leave()


async def test_a_password_is_needed(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        wrong = server.asyncpg_kwargs
        wrong["password"] = "guessed"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(**wrong)


async def test_a_warm_start_finds_what_was_written(home: Path, record_property: Callable[[str, object], None]) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 7 AS value")
        first = Pids.of(home)
        identifier = server.system_identifier
    await first.ended()
    assert not (home / "postgres/server.json").exists()
    start = time.perf_counter()
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        record_property("warm_s", time.perf_counter() - start)
        assert await ask(server, "SELECT value FROM kept") == 7
        assert server.system_identifier == identifier


async def test_leaving_returns_when_the_server_has_stopped(home: Path) -> None:
    server = await EmbeddedServer.join(home, settings=FAST)
    pids = Pids.of(home)
    await server.leave()
    await server.leave()
    with pytest.raises(ProcessLookupError):
        os.kill(pids.server, 0)
    await pids.ended()


async def test_two_processes_share_one_server(home: Path, start_user: StartUser) -> None:
    other = await start_user(home)
    pids = Pids.of(home)
    server = await EmbeddedServer.join(home)
    assert Pids.of(home) == pids
    assert server.system_identifier == other.facts["identifier"]
    await other.leave()
    assert await ask(server, "SELECT 1") == 1
    assert Pids.of(home) == pids
    await server.leave()
    await pids.ended()


async def test_the_same_process_may_join_twice(home: Path) -> None:
    first = await EmbeddedServer.join(home, settings=FAST)
    second = await EmbeddedServer.join(home, settings=FAST)
    await first.leave()
    assert await ask(second, "SELECT 1") == 1
    await second.leave()


async def test_many_come_and_go_at_once(home: Path, start_user: StartUser) -> None:
    users = await asyncio.gather(*(start_user(home) for _ in range(4)))
    assert len({user.facts["identifier"] for user in users}) == 1
    pids = Pids.of(home)
    await asyncio.gather(*(user.leave() for user in users))
    await pids.ended()


async def test_killing_the_last_user_leaves_nothing_behind(home: Path, start_user: StartUser) -> None:
    first, second = await start_user(home), await start_user(home)
    pids = Pids.of(home)
    first.process.kill()
    await first.process.wait()
    connection = await asyncpg.connect(str(second.facts["dsn"]))
    await connection.close()
    second.process.kill()
    await pids.ended()


async def test_joining_right_after_the_last_user_was_killed(home: Path, start_user: StartUser) -> None:
    other = await start_user(home)
    await asyncio.gather(*(_write(other.facts["dsn"], value) for value in range(5)))
    other.process.kill()
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        assert await ask(server, "SELECT count(*) FROM written_0, written_4") == 1


async def _write(dsn: object, value: int) -> None:
    connection = await asyncpg.connect(str(dsn))
    await connection.execute(f"CREATE TABLE written_{value} AS SELECT {value} AS value")
    await connection.close()


async def test_a_cancelled_join_gives_everything_back(home: Path) -> None:
    joining = asyncio.create_task(EmbeddedServer.join(home, settings=FAST))
    async with asyncio.timeout(WITHIN_S):
        while not list(home.glob("postgres/data*")):  # noqa: ASYNC110, ASYNC240 - initdb tells nobody
            await asyncio.sleep(0.001)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    async with asyncio.timeout(60):
        async with await EmbeddedServer.join(home, settings=FAST) as server:
            pids = Pids.of(home)
            assert await ask(server, "SELECT 1") == 1
    await pids.ended()
