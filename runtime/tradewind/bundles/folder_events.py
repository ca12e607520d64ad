"""Changes in a folder as they happen: inotify on Linux, watchfiles elsewhere."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import anyio

from tradewind.bundles.folder import is_skipped


class FolderSource(Protocol):
    """What tells of changed paths."""

    async def next_paths(self) -> set[str]:
        """Paths that changed since the last call, waiting for one. A burst of changes comes as one."""
        ...

    async def close(self) -> None:
        """Stops watching."""
        ...


class FolderEvents:
    """Bursts of changed paths, without those that `is_noise` leaves out."""

    def __init__(self, root: Path, source: FolderSource) -> None:
        self._root = root
        self._source = source

    async def next_burst(self) -> set[str]:
        """Waits for the next change and returns the absolute paths that it is about."""
        while True:
            paths = {path for path in await self._source.next_paths() if not is_noise(self._root, path)}
            if paths:
                return paths


@asynccontextmanager
async def watching(root: Path, *, recursive: bool = True) -> AsyncGenerator[FolderEvents, None]:
    """Watches the folder inside the block; whatever changes after it was entered is told.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the machine does not let us watch it.
    """
    source = await _source(root, recursive=recursive)
    try:
        yield FolderEvents(root, source)
    finally:
        with anyio.CancelScope(shield=True):
            await source.close()


async def _source(root: Path, *, recursive: bool) -> FolderSource:
    if sys.platform != "linux":
        return await WatchfilesFolder.open(root, recursive=recursive)
    from tradewind.bundles.inotify_folder import InotifyFolder

    folder = InotifyFolder(root, recursive=recursive)
    try:
        await folder.open()
    except BaseException:
        await folder.close()
        raise
    return folder


class WatchfilesFolder:
    """The same through watchfiles: a thread that looks for events 20 times a second."""

    def __init__(self, root: Path, *, recursive: bool) -> None:
        from watchfiles._rust_notify import RustNotify

        self._notify = RustNotify([str(root)], False, False, 0, recursive, True)
        self._stop = threading.Event()

    @staticmethod
    async def open(root: Path, *, recursive: bool) -> WatchfilesFolder:
        """Watches what is there. Raises FileNotFoundError."""
        return await asyncio.to_thread(functools.partial(WatchfilesFolder, root, recursive=recursive))

    async def next_paths(self) -> set[str]:
        """What has changed since the last call, waiting for something to."""
        waiting = asyncio.ensure_future(asyncio.to_thread(self._notify.watch, 200, 50, 0, self._stop))
        try:
            found = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self._stop.set()
            with anyio.CancelScope(shield=True):
                await waiting
            raise
        return set() if isinstance(found, str) else {path for _, path in found}

    async def close(self) -> None:
        """Stops watching."""
        self._stop.set()
        self._notify.close()


def is_noise(root: Path, path: str) -> bool:
    """Bytecode, hidden folders, and what editors write beside a file while they save it."""
    name = path.rpartition("/")[2]
    if name.endswith((".pyc", "~", ".swp", ".swx", ".tmp")) or name.startswith(".#") or name == "4913":
        return True
    inner = path.removeprefix(str(root)).split("/")[:-1]
    return any(is_skipped(part) for part in inner)
