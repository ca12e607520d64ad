"""Wakes a reader when a file grows or appears: inotify where the kernel has it, a look now and then elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from tradewind.inotify import CREATE, MODIFY, MOVED_TO, Event, Inotify

_LOOK_EVERY: Final = 0.2
_SAFETY: Final = 5.0
_GATHER: Final = 0.02
"""What follows within this time is read together."""


class FileGrowth:
    """Watches the folders of some files; `wait` returns when something in them has changed.

    An async context manager. A folder that does not exist is waited for in the nearest one that does.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._folders = {path.parent for path in paths}
        self._kernel: Inotify | None = None
        self._watched: set[Path] = set()
        self._changed = asyncio.Event()
        self._watching: asyncio.Future[None] | None = None
        """The thread that adds watches, which may outlive who waits for it."""

    async def __aenter__(self) -> FileGrowth:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._kernel = Inotify()
        if self._kernel is not None:
            self._kernel.begin(self._on_events)
            try:
                await self._watch_in_thread(self._kernel)
            except BaseException:
                self._close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        """Not before the thread that adds watches has done so: the number of the descriptor may be another's then."""
        kernel, watching = self._kernel, self._watching
        if kernel is None:
            return
        if watching is None or watching.done():
            kernel.close()
        else:
            watching.add_done_callback(lambda _: kernel.close())

    async def _watch_in_thread(self, kernel: Inotify) -> None:
        self._watching = asyncio.ensure_future(asyncio.to_thread(self._watch, kernel))
        await asyncio.shield(self._watching)

    async def wait(self) -> None:
        """Until something has changed since the last call, at the latest after some seconds."""
        if self._kernel is None:
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
            await self._watch_in_thread(self._kernel)
            self._changed.set()  # a file may have grown before its folder was watched: look once more

    def _on_events(self, _events: Iterator[Event]) -> None:
        self._changed.set()

    def _watch(self, kernel: Inotify) -> None:
        """Watches each folder, or the nearest existing one above it; again until all are there."""
        for wanted in self._folders:
            folder = wanted
            while not _is_watched(kernel, folder) and folder != folder.parent:
                folder = folder.parent
            self._watched.add(folder)


def _is_watched(kernel: Inotify, folder: Path) -> bool:
    try:
        kernel.watch(folder, MODIFY | CREATE | MOVED_TO)
    except OSError:
        return False
    return True
