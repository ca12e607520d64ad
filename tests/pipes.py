"""Named pipes into which other processes write what a test waits for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def pipe_at(path: Path) -> AsyncGenerator[asyncio.StreamReader]:
    """Makes a pipe and reads what is written into it; nobody who writes has to wait."""
    os.mkfifo(path)
    ours = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # also for writing, so that it does not end with a writer
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        yield reader
    finally:
        transport.close()
