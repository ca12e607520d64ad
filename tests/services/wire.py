"""A line from triggers in whatever process to the test: what they say, and what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

FAR_END = """
import asyncio, functools, json, os, signal, time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from tradewind import Trigger, TriggerEvent, trigger

async def said(words):
    reader, writer = await asyncio.open_connection("127.0.0.1", {port})
    writer.write(f"{{words}} {{os.getpid()}}\\n".encode())
    return reader, writer

async def say(words):
    reader, writer = await said(words)
    try:
        await reader.read()
    finally:
        writer.close()

async def answer(words):
    reader, writer = await said(words)
    try:
        line = await reader.readline()
        if not line:
            raise ConnectionError("the line is cut")
        return json.loads(line)
    finally:
        writer.close()

@trigger(kind="tests.wired")
class Wired(Trigger):
    name: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        value = await answer(f"run {{self.name}}")
        yield TriggerEvent(value, ack=functools.partial(say, f"ack {{self.name}}"))
    async def cleanup(self) -> None:
        await say(f"cleanup {{self.name}}")
    async def on_kill(self) -> None:
        await say(f"kill {{self.name}}")
"""


class Wire:
    """What was said, in order, and by which process."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.pids: dict[str, int] = {}
        """By whom each was said last."""
        self._waiting: dict[str, list[asyncio.StreamWriter]] = {}
        self._lines: list[asyncio.StreamWriter] = []
        self._changed = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.append(writer)
        words, pid = (await reader.readline()).decode().rstrip().rsplit(" ", 1)
        self.said.append(words)
        self.pids[words] = int(pid)
        if words.startswith("run "):
            self._waiting.setdefault(words[4:], []).append(writer)
        else:
            writer.close()
        self._changed.set()

    async def until(self, *said: str) -> None:
        """Returns when all these were said, each as often as it is named."""
        async with asyncio.timeout(60):
            while any(self.said.count(words) < said.count(words) for words in said):
                self._changed.clear()
                await self._changed.wait()

    def of(self, name: str) -> list[str]:
        """What was said about this name."""
        return [words.split()[0] for words in self.said if words.split()[1] == name]

    def give(self, name: str, json: str) -> None:
        """Answers those who run under this name."""
        for writer in self._waiting.pop(name, []):
            writer.write(f"{json}\n".encode())
            writer.close()

    async def hang_up(self) -> None:
        """Nobody is answered any more."""
        for writer in self._lines:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def wired() -> AsyncGenerator[tuple[Wire, str]]:
    """The wire, and the text that a DAG file begins with to use it."""
    wire = Wire()
    server = await asyncio.start_server(wire.take, "127.0.0.1", 0)
    try:
        yield wire, FAR_END.format(port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await wire.hang_up()
        await server.wait_closed()
