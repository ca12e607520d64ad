"""Which files wait to be parsed, the most urgent first, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import IntEnum

from tradewind.bundles.parser import FileToParse


class Urgency(IntEnum):
    """Lower comes first."""

    CHANGED = 0
    """Someone has just edited the file and waits for it."""
    TOUCHED = 1
    """Something that it depends on has changed."""
    KNOWN = 2
    """At the start of the runtime, or by the clock."""


class ParseQueue:
    """Handed out by `take`, given back by `done`; a file in work is not handed out a second time."""

    def __init__(self) -> None:
        self._waiting: dict[Urgency, dict[FileToParse, None]] = {urgency: {} for urgency in Urgency}
        self._in_work: set[FileToParse] = set()
        self._changed = asyncio.Condition()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in work."""
        return not self._in_work and not any(self._waiting.values())

    async def put(self, files: Iterable[FileToParse], urgency: Urgency) -> None:
        """Adds files; those that wait already keep the more urgent place."""
        async with self._changed:
            for file in files:
                for other in Urgency:
                    if other > urgency:
                        self._waiting[other].pop(file, None)
                if not any(file in self._waiting[other] for other in Urgency if other < urgency):
                    self._waiting[urgency][file] = None
            self._changed.notify_all()

    async def take(self) -> FileToParse:
        """The most urgent file that is not in work, waiting for one if need be."""
        async with self._changed:
            while (file := self._next()) is None:
                await self._changed.wait()
            self._in_work.add(file)
            return file

    async def done(self, file: FileToParse) -> None:
        """The file's result has been taken in."""
        async with self._changed:
            self._in_work.discard(file)
            self._changed.notify_all()

    def drop(self, file: FileToParse) -> None:
        """The file is gone: it need not be parsed."""
        for waiting in self._waiting.values():
            waiting.pop(file, None)

    def _next(self) -> FileToParse | None:
        for waiting in self._waiting.values():
            for file in waiting:
                if file not in self._in_work:
                    del waiting[file]
                    return file
        return None
