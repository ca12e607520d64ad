"""Folder events from Linux's inotify, read by the loop itself: no thread, and no wake-up while nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tradewind.bundles.folder import is_skipped

GATHER: Final = 0.02
"""Seconds in which nothing more may come before a burst of changes is handed out."""

GATHER_AT_MOST: Final = 0.2
"""A burst that goes on is handed out after so many seconds."""

_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16

_CLOSE_WRITE: Final = 0x8
_ATTRIB: Final = 0x4
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLY_FOLDERS: Final = 0x1000000
_IS_FOLDER: Final = 0x40000000

_EVENTS: Final = (
    _CLOSE_WRITE | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
)

_libc = ctypes.CDLL(None, use_errno=True)


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
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error("inotify_init1")
        self._following: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Watches what is there. Raises FileNotFoundError, and OSError where the machine's limit is reached."""
        await asyncio.to_thread(self._begin)
        if not self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._root)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _begin(self) -> None:
        if Path(self._root).is_symlink():
            above = os.fsencode(Path(self._root).parent)
            self._link_watch = _libc.inotify_add_watch(self._fd, above, _CREATE | _MOVED_TO | _DELETE | _ONLY_FOLDERS)
        self._follow(self._root)

    async def close(self) -> None:
        """Stops watching."""
        asyncio.get_running_loop().remove_reader(self._fd)
        if self._following:
            await asyncio.wait(self._following)
        os.close(self._fd)

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

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        for watch, mask, name in _events(data):
            self._take(watch, mask, name)
        if self._found:
            self._has_found.set()

    def _take(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self._found.add(self._root)
            return
        if watch == self._link_watch and watch not in self._folders:
            if name == Path(self._root).name:
                self._found.add(self._root)
            return
        folder = self._folders.get(watch)
        if mask & _IGNORED or folder is None:
            self._folders.pop(watch, None)
            return
        path = f"{folder}/{name}" if name else folder
        self._found.add(path)
        may_be_folder = bool(mask & _IS_FOLDER) or "." not in name  # a link to a folder comes without the flag
        if self._recursive and may_be_folder and mask & (_CREATE | _MOVED_TO) and not is_skipped(name):
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
        watch: int = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _EVENTS)
        if watch >= 0:
            self._folders[watch] = folder
            return True
        if ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return False
        raise _error("inotify_add_watch")


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if not is_skipped(entry.name) and entry.is_dir()]
    except OSError:
        return []


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    place = 0
    while place < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        name = data[place : place + length].rstrip(b"\0")
        place += length
        yield watch, mask, os.fsdecode(name)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    hint = " (raise fs.inotify.max_user_watches)" if number == errno.ENOSPC else ""
    return OSError(number, f"{call}: {os.strerror(number)}{hint}")
