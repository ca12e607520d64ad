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
from glob import escape
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


class _Waker(NamedTuple):
    wake: asyncio.Event
    name: str | None

    def tell(self, name: str) -> None:
        """An entry of this name, or without one the folder itself, has changed."""
        if self.name is None or not name or fnmatchcase(name, self.name):
            self.wake.set()


class _Shared:
    """The watches of one loop, each with those whom it wakes."""

    def __init__(self) -> None:
        self._kernel = Inotify()
        self._waking: dict[int, list[_Waker]] = {}
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
            self._waking.setdefault(number, []).append(_Waker(wake, place.name))
            return number

    def unwatch(self, number: int, wake: asyncio.Event) -> None:
        """Wakes it no more."""
        with self._changing:
            waking = self._waking.get(number, [])
            first = next((n for n, waker in enumerate(waking) if waker.wake is wake), None)
            if first is None:
                return
            del waking[first]
            if not waking:
                del self._waking[number]
                self._kernel.unwatch(number)

    def _on_events(self, events: Iterator[Event]) -> None:
        for event in events:
            if event.mask & OVERFLOW:  # some were lost
                for waker in [waker for waking in list(self._waking.values()) for waker in waking]:
                    waker.wake.set()
            for waker in self._waking.get(event.watch, ()):
                waker.tell(event.name)
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
        self._watches: dict[Path, int] = {}
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
        for number in self._watches.values():
            shared.unwatch(number, self._changed)
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
            self._shared.unwatch(self._watches.pop(folder), self._changed)
        for folder in wanted if self._is_told else ():
            try:
                number = self._shared.watch(Place(folder, wanted[folder]), self._changed)
                is_local = os.major(folder.stat().st_dev) != 0
            except OSError:
                self._is_told = False
                continue
            if folder in self._watches:  # the same watch, or that of a folder made anew in the place of the old one
                self._shared.unwatch(self._watches[folder], self._changed)
            self._watches[folder] = number
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
