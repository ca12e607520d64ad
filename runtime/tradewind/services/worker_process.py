"""Starts a module of the worker in a process of its own, for code of DAG files that the loop has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def worker_process(module: str, pass_fds: Collection[int] = ()) -> AsyncGenerator[asyncio.subprocess.Process]:
    """The running process: it is asked on its standard input, and all that it says comes from its standard output.
    One that still runs when the block is left is killed, with all that it has started.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tradewind.worker.{module}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await process.communicate()
