"""Wakes a reader when a file grows or appears: inotify where the kernel has it, a look now and then elsewhere."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

_LOOK_EVERY: Final = 0.2
_SAFETY: Final = 5.0
_GATHER: Final = 0.02
"""What follows within this time is read together."""
_IN_MODIFY: Final = 0x2
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100


class FileGrowth:
    """Watches the folders of some files; `wait` returns when something in them has changed.

    An async context manager. A folder that does not exist is waited for in the nearest one that does.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._folders = {path.parent for path in paths}
        self._fd = -1
        self._watched: set[Path] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> FileGrowth:
        if sys.platform == "linux":
            self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._on_event)
            await asyncio.to_thread(self._watch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)

    async def wait(self) -> None:
        """Until something has changed since the last call, at the latest after some seconds."""
        if self._fd < 0:
            await asyncio.sleep(_LOOK_EVERY)
            return
        try:
            async with asyncio.timeout(_SAFETY):
                await self._changed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_GATHER)
        self._changed.clear()
        if not self._watched >= self._folders:
            await asyncio.to_thread(self._watch)
            self._changed.set()  # a file may have grown before its folder was watched: look once more

    def _on_event(self) -> None:
        try:
            os.read(self._fd, 65536)
        except BlockingIOError:
            return
        self._changed.set()

    def _watch(self) -> None:
        """Watches each folder, or the nearest existing one above it; again until all are there."""
        for wanted in self._folders:
            folder = wanted
            while not _add_watch(self._fd, folder) and folder != folder.parent:
                folder = folder.parent
            self._watched.add(folder)


def _add_watch(fd: int, folder: Path) -> bool:
    return bool(_libc.inotify_add_watch(fd, os.fsencode(folder), _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO) >= 0)


_libc = ctypes.CDLL(None, use_errno=True)
