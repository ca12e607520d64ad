"""Linux's inotify, read by the loop itself: no thread, and no wake-up while nothing happens."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ONLY_FOLDERS: Final = 0x1000000
IS_FOLDER: Final = 0x40000000

_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """Something has happened to what `watch` watches, or to the entry `name` of that folder."""

    watch: int
    mask: int
    name: str


class Inotify:
    """Watches of one process. Raises OSError where the kernel has none to give."""

    def __init__(self) -> None:
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error("inotify_init1")

    def watch(self, path: str | Path, mask: int) -> int:
        """Watches for the events in `mask` (blocking); the number of the watch. Raises OSError."""
        watch: int = _libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if watch < 0:
            raise _error("inotify_add_watch")
        return watch

    def unwatch(self, watch: int) -> None:
        """Gives up one watch; one that is gone already (its folder was deleted) is no error."""
        _libc.inotify_rm_watch(self._fd, watch)

    def begin(self, on_events: Callable[[Iterator[Event]], None]) -> None:
        """From now on `on_events` is called on the loop with what comes."""
        asyncio.get_running_loop().add_reader(self._fd, self._read, on_events)

    def end(self) -> None:
        """Calls no more. Twice is allowed."""
        asyncio.get_running_loop().remove_reader(self._fd)

    def close(self) -> None:
        """Gives up all watches."""
        self.end()
        os.close(self._fd)

    def _read(self, on_events: Callable[[Iterator[Event]], None]) -> None:
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        on_events(_events(data))


def _events(data: bytes) -> Iterator[Event]:
    place = 0
    while place < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        name = data[place : place + length].rstrip(b"\0")
        place += length
        yield Event(watch, mask, os.fsdecode(name))


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    hint = " (raise fs.inotify.max_user_watches)" if number == errno.ENOSPC else ""
    return OSError(number, f"{call}: {os.strerror(number)}{hint}")
