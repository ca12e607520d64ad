"""A stream of a real Redis as the source of a watcher."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.providers.conftest import StartRuntime
from tests.services.fired import fired, watching
from tradewind import AuthoringError
from tradewind.services import watch_keeper
from tradewind_providers.redis import RedisHook, RedisStreamTrigger

SERVER = shutil.which("redis-server")
needs_server = pytest.mark.redis
pytestmark = pytest.mark.blocks_the_loop  # the client reads what it was installed with


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """On a port of its own, as the connection `queue`."""
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert SERVER is not None
    command = [SERVER, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"Ready to accept connections" not in (line := await process.stdout.readline()):
            assert line, "redis-server ended"
    said = {"conn_type": "redis", "host": "127.0.0.1", "port": port}
    monkeypatch.setenv("TRADEWIND_CONN_QUEUE", json.dumps(said))
    yield
    process.terminate()
    await process.communicate()


def stream(**options: Any) -> RedisStreamTrigger:
    return RedisStreamTrigger("orders", "queue", block=0.05, **options)


async def nothing_pending(client: Any) -> None:
    async with asyncio.timeout(60):
        while (await client.xpending("orders", "tradewind"))["pending"]:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


@needs_server
@pytest.mark.usefixtures("server")
async def test_entries_are_acknowledged_after_their_events(start: StartRuntime) -> None:
    """Those that were there, those that this consumer and another one had left, and those that come."""
    async with RedisHook("queue") as client:
        for n in range(3):
            await client.xadd("orders", {"n": n})
        await client.xgroup_create("orders", "tradewind", id="0")
        await client.xreadgroup("tradewind", "mine", {"orders": ">"}, count=1)
        await client.xreadgroup("tradewind", "another", {"orders": ">"}, count=1)
        runtime = await start(watching(stream(consumer="mine", claim_after=0.1)))
        found = await fired(runtime, 3)
        assert sorted(found, key=str) == [{"n": "0"}, {"n": "1"}, {"n": "2"}]
        await client.xadd("orders", {"n": 3})
        assert (await fired(runtime, 4))[-1] == {"n": "3"}
        await nothing_pending(client)
        assert runtime.control.watches()[0].failures == 0


@needs_server
@pytest.mark.usefixtures("server")
async def test_an_entry_whose_event_is_not_committed_stays(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = watch_keeper.external_event
    pending: list[int] = []
    async with RedisHook("queue") as client:

        def failing(*given: Any) -> Any:
            if not pending:
                pending.append(1)
                raise RuntimeError("not now")
            return keep(*given)

        monkeypatch.setattr(watch_keeper, "external_event", failing)
        runtime = await start(watching(stream()))
        await client.xadd("orders", {"n": 1})
        assert await fired(runtime, 1) == [{"n": "1"}]
        assert runtime.control.watches()[0].failures == 1
        await nothing_pending(client)


@pytest.mark.parametrize("wrong", [{"stream": ""}, {"stream": "s", "group": ""}, {"stream": "s", "block": 0}])
def test_arguments_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AuthoringError, match="RedisStreamTrigger"):
        RedisStreamTrigger(**wrong)
