"""Hears that a process that is not our child has ended."""

from __future__ import annotations

import asyncio
import os

_LOOK_AGAIN_S = 0.5


async def process_ended(pid: int) -> None:
    """Return when no process `pid` runs any more.

    On Linux the kernel tells (a pidfd turns readable); elsewhere we look twice a second.
    """
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:
            await _look_until_ended(pid)
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _settle, ended)
        try:
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return
    await _look_until_ended(pid)


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


async def _look_until_ended(pid: int) -> None:
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        except PermissionError:
            pass
        await asyncio.sleep(_LOOK_AGAIN_S)
