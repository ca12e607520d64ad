"""Homes and other processes for the tests of the embedded server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tradewind.store.embedded import EmbeddedServer
from tradewind.store.embedded.watch import process_ended

WITHIN_S = 60.0
_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that does not exist yet. Not `tmp_path`, which keeps the data directories of several runs."""
    folder = Path(tempfile.mkdtemp(prefix="tradewind-home-"))
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Pids:
    """The keeper and the server of a home, as the keeper wrote them down."""

    keeper: int
    server: int

    @classmethod
    def of(cls, home: Path) -> Pids:
        """Those of a running home."""
        state = json.loads((home / "postgres/server.json").read_text())
        return cls(keeper=state["keeper"], server=state["server"])

    async def ended(self) -> None:
        """Wait until neither runs any more."""
        await ended(self.keeper)
        await ended(self.server)


async def ended(pid: int) -> None:
    """Wait until a process is gone."""
    async with asyncio.timeout(WITHIN_S):
        await process_ended(pid)


async def ask(server: EmbeddedServer, question: str) -> object:
    """One value from the server."""
    connection = await asyncpg.connect(**server.asyncpg_kwargs)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class OtherUser:
    """Another process that has joined the server of a home."""

    process: asyncio.subprocess.Process
    facts: dict[str, object]

    async def leave(self) -> None:
        """Let it leave in good order."""
        await self.process.communicate(b"leave\n")
        assert self.process.returncode == 0


_OTHER_USER = """
import asyncio, json, sys
from pathlib import Path
from tradewind.store.embedded import EmbeddedServer

async def main():
    server = await EmbeddedServer.join(Path(sys.argv[1]), settings={"fsync": "off"})
    print(json.dumps({"identifier": server.system_identifier, "dsn": server.dsn}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.leave()

asyncio.run(main())
"""

StartUser = Callable[[Path], Awaitable[OtherUser]]


@pytest.fixture
async def start_user() -> AsyncIterator[StartUser]:
    """Start other processes that join a home; those that are left at the end are killed."""
    started: list[asyncio.subprocess.Process] = []

    async def start(home: Path) -> OtherUser:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _OTHER_USER,
            str(home),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT / "runtime")},
        )
        started.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
        return OtherUser(process, json.loads(line))

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()
