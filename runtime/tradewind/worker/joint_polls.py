"""Sensors that ask the same question (`shared_key`) share the answers: one of them asks, once an interval, for all.

An answer that ends the wait wakes those who rest; any other is good for everybody's own `poke_interval`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from tradewind.worker.sensing import satisfied

KEPT: Final = 1_000
"""Keys that are remembered though nobody waits."""


class _Came(NamedTuple):
    answer: Any
    error: Exception | None


class _Poll:
    """One question."""

    __slots__ = ("answer", "asking", "at", "resting")

    def __init__(self) -> None:
        self.answer: Any = None
        self.at: float | None = None
        """When the answer came, by the loop's clock."""
        self.asking: asyncio.Future[_Came | None] | None = None
        """What came of it, for those who wait meanwhile; None: whoever asked was stopped."""
        self.resting: set[asyncio.Future[None]] = set()


class JointPolls:
    """The questions of one loop, by key."""

    def __init__(self) -> None:
        self._polls: dict[str, _Poll] = {}

    def _poll(self, key: str) -> _Poll:
        poll = self._polls.get(key)
        if poll is None:
            if len(self._polls) >= KEPT:
                self._polls = {name: kept for name, kept in self._polls.items() if kept.asking or kept.resting}
            poll = self._polls[key] = _Poll()
        return poll

    async def ask(self, key: str, good_for: float, poke: Callable[[], Awaitable[Any]]) -> Any:
        """An answer that is no older than `good_for` seconds: one that is there, or is being asked for, or our own.

        What `poke` raises is raised for all who wait for this answer; later ones ask again.
        """
        poll = self._poll(key)
        while poll.asking is not None:
            came = await asyncio.shield(poll.asking)
            if came is not None:
                return _outcome(came)
        if poll.at is not None and asyncio.get_running_loop().time() - poll.at < good_for:
            return poll.answer
        return _outcome(await self._ask(poll, poke))

    async def _ask(self, poll: _Poll, poke: Callable[[], Awaitable[Any]]) -> _Came:
        loop = asyncio.get_running_loop()
        poll.asking = asking = loop.create_future()
        try:
            came = await _came(poke)
        except BaseException:
            asking.set_result(None)
            raise
        finally:
            poll.asking = None
        asking.set_result(came)
        if came.error is None:
            poll.answer, poll.at = came.answer, loop.time()
            for rest in poll.resting if satisfied(came.answer)[0] else ():
                if not rest.done():
                    rest.set_result(None)
        return came

    async def rest(self, key: str, seconds: float) -> None:
        """Until somebody's answer ends the wait, at most so many seconds."""
        poll = self._poll(key)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        poll.resting.add(woken)
        try:
            await asyncio.wait({woken}, timeout=seconds)
        finally:
            poll.resting.discard(woken)


async def _came(poke: Callable[[], Awaitable[Any]]) -> _Came:
    try:
        return _Came(await poke(), None)
    except Exception as error:
        return _Came(None, error)


def _outcome(came: _Came) -> Any:
    if came.error is not None:
        raise came.error
    return came.answer


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, JointPolls] = WeakKeyDictionary()


def joint_polls() -> JointPolls:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = JointPolls()
    return found
