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
_IN_MODIFY: Final = 0x2
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_NONBLOCK: Final = os.O_NONBLOCK
_IN_CLOEXEC: Final = os.O_CLOEXEC


class FileGrowth:
    """Watches the folders of some files, as a context manager on a loop; `wait` returns when something changed.

    A folder that does not exist is waited for in the nearest one that does.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._fd = -1
        self._watched: set[Path] = set()
        self._changed = asyncio.Event()
        self._sizes: tuple[int, ...] = ()

    def __enter__(self) -> FileGrowth:
        if sys.platform == "linux":
            self._fd = _libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._on_event)
            self._watch()
        self._sizes = self._look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)

    async def wait(self) -> None:
        """Until a watched file has grown since the last call (at the latest after some seconds)."""
        if self._fd < 0:
            await asyncio.sleep(_LOOK_EVERY)
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + _SAFETY
        while True:
            sizes = self._look()
            left = until - loop.time()
            if sizes != self._sizes or left <= 0:
                self._sizes = sizes
                return
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue
            self._changed.clear()
            self._watch()

    def _on_event(self) -> None:
        try:
            os.read(self._fd, 65536)
        except BlockingIOError:
            return
        self._changed.set()

    def _watch(self) -> None:
        for path in self._paths:
            folder = path.parent
            while not folder.exists() and folder != folder.parent:
                folder = folder.parent
            if folder not in self._watched:
                self._watched.add(folder)
                mask = _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO
                _libc.inotify_add_watch(self._fd, os.fsencode(folder), mask)
                self._changed.set()  # something may have appeared just before

    def _look(self) -> tuple[int, ...]:
        return tuple(_size(path) for path in self._paths)


_libc = ctypes.CDLL(None, use_errno=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
