"""Waiting until something in a folder may have changed: the kernel tells it where it can, a clock elsewhere.

All triggers of one event loop share one inotify of the kernel, of which a user has only so many.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from glob import escape, has_magic
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from tradewind.inotify import ATTRIB, CREATE, DELETE_SELF, IGNORED, MOVE_SELF, MOVED_TO, OVERFLOW, Event, Inotify

SWEEP: Final = 30.0
"""Seconds after which somebody whom the kernel tells of changes looks all the same."""
GATHER: Final = 0.02
"""Seconds after a change in which others may come: a burst of files is one."""

MASK: Final = CREATE | MOVED_TO | ATTRIB | DELETE_SELF | MOVE_SELF


class Place(NamedTuple):
    """Where a change counts: entries of the folder with such a name (a pattern), or any."""

    folder: Path
    name: str | None = None


class _Wakers:
    """Those whom changes in one folder wake: by the exact name that they wait for, and the others.

    The loop tells them while threads add and discard: it goes through copies.
    """

    __slots__ = ("_others", "_own")

    def __init__(self) -> None:
        self._own: dict[str, list[asyncio.Event]] = {}
        self._others: list[tuple[asyncio.Event, str | None]] = []

    def __len__(self) -> int:
        return len(self._others) + sum(map(len, self._own.values()))

    def add(self, wake: asyncio.Event, name: str | None) -> None:
        """One more."""
        if name is None or has_magic(name):
            self._others.append((wake, name))
        else:
            self._own.setdefault(name, []).append(wake)

    def discard(self, wake: asyncio.Event, name: str | None) -> None:
        """One less, where it is there."""
        if (wake, name) in self._others:
            self._others.remove((wake, name))
        elif name in self._own and wake in self._own[name]:
            self._own[name].remove(wake)
            if not self._own[name]:
                del self._own[name]

    def tell(self, name: str) -> None:
        """An entry of this name, or without one the folder itself, has changed."""
        if not name:
            self.tell_all()
            return
        for wake in tuple(self._own.get(name, ())):
            wake.set()
        for wake, pattern in tuple(self._others):
            if pattern is None or fnmatchcase(name, pattern):
                wake.set()

    def tell_all(self) -> None:
        """Something has changed."""
        for wakes in tuple(self._own.values()):
            for wake in tuple(wakes):
                wake.set()
        for wake, _ in tuple(self._others):
            wake.set()


class _Shared:
    """The watches of one loop, each with those whom it wakes."""

    def __init__(self) -> None:
        self._kernel = Inotify()
        self._waking: dict[int, _Wakers] = {}
        self._changing = threading.Lock()
        self._users = 0

    def join(self) -> None:
        """One more user."""
        if self._users == 0:
            self._kernel.begin(self._on_events)
        self._users += 1

    def leave(self) -> bool:
        """One user less; True if that was the last, and all is closed."""
        self._users -= 1
        if self._users:
            return False
        self._kernel.close()
        return True

    def watch(self, place: Place, wake: asyncio.Event) -> int:
        """Wakes that one from now on (blocking; in any thread). Raises OSError."""
        with self._changing:
            number = self._kernel.watch(place.folder, MASK)
            self._waking.setdefault(number, _Wakers()).add(wake, place.name)
            return number

    def unwatch(self, number: int, name: str | None, wake: asyncio.Event) -> None:
        """Wakes it no more."""
        with self._changing:
            waking = self._waking.get(number)
            if waking is None:
                return
            waking.discard(wake, name)
            if not waking:
                del self._waking[number]
                self._kernel.unwatch(number)

    def _on_events(self, events: Iterator[Event]) -> None:
        for event in events:
            if event.mask & OVERFLOW:  # some were lost
                for waking in list(self._waking.values()):
                    waking.tell_all()
            elif event.watch in self._waking:
                self._waking[event.watch].tell(event.name)
            if event.mask & IGNORED:
                self._waking.pop(event.watch, None)


open_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()
"""By loop, while anybody watches on it."""


class FolderWatch:
    """`follow` the folders, look, `wait`, and so on: no change between looking and waiting is missed.

    `pace` is how many seconds pass between two looks where the kernel tells nothing, or of more than `most` folders.
    An async context manager.
    """

    def __init__(self, pace: float, *, most: int) -> None:
        self._pace = max(pace, 0.001)
        self._most = most
        self._changed = asyncio.Event()
        self._shared: _Shared | None = None
        self._watches: dict[Path, tuple[int, str | None]] = {}
        self._is_told = False

    async def __aenter__(self) -> FolderWatch:
        if sys.platform == "linux":
            loop = asyncio.get_running_loop()
            try:
                shared = open_watches.get(loop) or open_watches.setdefault(loop, _Shared())
            except OSError:  # the user has no more of them
                return self
            shared.join()
            self._shared = shared
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared, self._shared = self._shared, None
        if shared is None:
            return
        for number, name in self._watches.values():
            shared.unwatch(number, name, self._changed)
        self._watches.clear()
        if shared.leave():
            open_watches.pop(asyncio.get_running_loop(), None)

    def follow(self, places: Iterable[Place]) -> None:
        """From now on changes in these places count; of folders that do not exist, in the nearest that does. Blocking:
        call it in a thread.
        """
        if self._shared is None:
            return
        wanted: dict[Path, str | None] = {}
        for folder, name in map(_nearest, places):
            wanted[folder] = name if wanted.get(folder, name) == name else None
        self._is_told = 0 < len(wanted) <= self._most
        for folder in self._watches.keys() - wanted.keys():
            self._shared.unwatch(*self._watches.pop(folder), self._changed)
        for folder in wanted if self._is_told else ():
            try:
                number = self._shared.watch(Place(folder, wanted[folder]), self._changed)
                is_local = os.major(folder.stat().st_dev) != 0
            except OSError:
                self._is_told = False
                continue
            if folder in self._watches:  # the same watch, or that of a folder made anew in the place of the old one
                self._shared.unwatch(*self._watches[folder], self._changed)
            self._watches[folder] = number, wanted[folder]
            self._is_told = self._is_told and is_local  # servers and other machines tell the kernel nothing

    async def wait(self) -> None:
        """Until something has changed since the last `wait`, or it is time to look again."""
        try:
            async with asyncio.timeout(max(self._pace, SWEEP) if self._is_told else self._pace):
                await self._changed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER)
        self._changed.clear()


def _nearest(place: Place) -> Place:
    folder, name = place
    while not folder.is_dir() and folder != folder.parent:
        folder, name = folder.parent, escape(folder.name)
    return Place(folder, name)
