"""Waiting, on the loop and with a deadline, for what other processes do, and a place where sockets fit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

DEADLINE: Final = 60.0


@contextlib.contextmanager
def short_folder() -> Generator[Path]:
    """A temporary folder for sockets: the system takes about a hundred bytes as the path of one."""
    parent = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(dir=parent if len(os.fsencode(parent)) < 50 else "/tmp") as folder:
        yield Path(folder)


async def process_ended(pid: int) -> None:
    """Until that process is no more (or waits only for its parent to ask how it ended). Raises TimeoutError."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with contextlib.closing(os.fdopen(handle, "rb")):
        await _readable(handle)


class Pipe:
    """A named pipe: bytes that somebody writes are there for whoever reads, however late he comes."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        """Nobody reads or writes here any more."""
        os.close(self._end)

    def say(self, data: bytes) -> None:
        """Writes without waiting for a reader."""
        os.write(self._end, data)

    async def line(self) -> str:
        """The next line. Raises TimeoutError."""
        said = b""
        while not said.endswith(b"\n"):
            await _readable(self._end)
            said += os.read(self._end, 1)
        return said.decode().rstrip("\n")


@contextlib.contextmanager
def pipe(path: Path) -> Generator[Pipe]:
    """A pipe of this name while the block lasts."""
    opened = Pipe(path)
    try:
        yield opened
    finally:
        opened.close()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        async with asyncio.timeout(DEADLINE):
            await ready.wait()
    finally:
        loop.remove_reader(descriptor)
