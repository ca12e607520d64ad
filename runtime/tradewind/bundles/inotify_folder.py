"""Folder events from Linux's inotify."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tradewind import inotify
from tradewind.bundles.folder import is_skipped
from tradewind.inotify import Event, Inotify

GATHER: Final = 0.02
"""Seconds in which nothing more may come before a burst of changes is handed out."""

GATHER_AT_MOST: Final = 0.2
"""A burst that goes on is handed out after so many seconds."""

_EVENTS: Final = (
    inotify.CLOSE_WRITE
    | inotify.ATTRIB
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.CREATE
    | inotify.DELETE
    | inotify.DELETE_SELF
    | inotify.MOVE_SELF
    | inotify.ONLY_FOLDERS
)


class InotifyFolder:
    """Tells of changes below a folder as absolute paths. `on_paths` is called on the loop.

    A folder that appears is watched, and told as a path of its own, as files may have come before its watch.
    """

    def __init__(self, root: Path, *, recursive: bool) -> None:
        self._root = str(root)
        self._recursive = recursive
        self._folders: dict[int, str] = {}
        self._link_watch = -1
        """Watch on the folder above, where the root is a link that may be pointed elsewhere."""
        self._found: set[str] = set()
        self._has_found = asyncio.Event()
        self._kernel = Inotify()
        self._following: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Watches what is there. Raises FileNotFoundError, and OSError where the machine's limit is reached."""
        await asyncio.to_thread(self._begin)
        if not self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._root)
        self._kernel.begin(self._take_all)

    def _begin(self) -> None:
        if Path(self._root).is_symlink():
            mask = inotify.CREATE | inotify.MOVED_TO | inotify.DELETE | inotify.ONLY_FOLDERS
            with contextlib.suppress(OSError):
                self._link_watch = self._kernel.watch(Path(self._root).parent, mask)
        self._follow(self._root)

    async def close(self) -> None:
        """Stops watching."""
        self._kernel.end()
        if self._following:
            await asyncio.wait(self._following)
        self._kernel.close()

    async def next_paths(self) -> set[str]:
        """What has changed since the last call, waiting for something to."""
        await self._has_found.wait()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GATHER_AT_MOST
        with contextlib.suppress(TimeoutError):
            while loop.time() < deadline:
                self._has_found.clear()
                async with asyncio.timeout(GATHER):
                    await self._has_found.wait()
        self._has_found.clear()
        found, self._found = self._found, set()
        return found

    def _take_all(self, events: Iterator[Event]) -> None:
        for event in events:
            self._take(*event)
        if self._found:
            self._has_found.set()

    def _take(self, watch: int, mask: int, name: str) -> None:
        if mask & inotify.OVERFLOW:
            self._found.add(self._root)
            return
        if watch == self._link_watch and watch not in self._folders:
            if name == Path(self._root).name:
                self._found.add(self._root)
            return
        folder = self._folders.get(watch)
        if mask & inotify.IGNORED or folder is None:
            self._folders.pop(watch, None)
            return
        path = f"{folder}/{name}" if name else folder
        self._found.add(path)
        may_be_folder = bool(mask & inotify.IS_FOLDER) or "." not in name  # a link to a folder comes without the flag
        if self._recursive and may_be_folder and mask & (inotify.CREATE | inotify.MOVED_TO) and not is_skipped(name):
            task = asyncio.get_running_loop().create_task(self._follow_new(path))
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _follow_new(self, path: str) -> None:
        with contextlib.suppress(OSError):  # the limit of watches: the safety listing finds what happens in there
            await asyncio.to_thread(self._follow, path)
        self._found.add(path)
        self._has_found.set()

    def _follow(self, top: str) -> None:
        """Watches a folder and, if wanted, all below it; links too, each real folder once (blocking)."""
        seen: set[str] = set()
        todo = [top]
        while todo:
            folder = todo.pop()
            real = os.path.realpath(folder)
            if real in seen or not self._watch(folder):
                continue
            seen.add(real)
            if self._recursive:
                todo += _folders_in(folder)

    def _watch(self, folder: str) -> bool:
        try:
            watch = self._kernel.watch(folder, _EVENTS)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        self._folders[watch] = folder
        return True


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if not is_skipped(entry.name) and entry.is_dir()]
    except OSError:
        return []
