"""Tells runtimes that they have mail: at once, then at most once in a pause each.

A NOTIFY takes a lock over the whole database until its transaction has committed, so a burst of mail with
one each would serialise every commit. Mail that goes unannounced for a pause is announced at its end; should
its sender die in between, the owner finds it with its next beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.model.errors import StoreUnavailable
from tradewind.model.keys import RuntimeId

PAUSE_S: Final = 0.005


class Doorbell:
    """One sender's view of whom it has told lately. `ring` announces mail by a statement of its own."""

    def __init__(self, ring: Callable[[RuntimeId], Awaitable[None]]) -> None:
        self._ring = ring
        self._rung: dict[RuntimeId, float] = {}
        """When each was told last (loop time, seconds)."""
        self._owed: dict[RuntimeId, asyncio.Task[None]] = {}

    def resting(self) -> list[RuntimeId]:
        """Who has been told so lately, or will be told so soon, that more mail is not announced at once."""
        since = asyncio.get_running_loop().time() - PAUSE_S
        for owner in [owner for owner, at in self._rung.items() if at <= since and owner not in self._owed]:
            del self._rung[owner]
        return list(self._rung)

    def sent(self, owner: RuntimeId, *, told: bool) -> None:
        """Mail for `owner` has been committed, and announced or not."""
        if told:
            self._rung[owner] = asyncio.get_running_loop().time()
        elif owner not in self._owed:
            self._owed[owner] = asyncio.create_task(self._later(owner))

    async def close(self) -> None:
        """Announces at once what is still owed."""
        owed = dict(self._owed)
        for task in owed.values():
            task.cancel()
        await asyncio.gather(*owed.values(), return_exceptions=True)
        for owner in owed:
            await self._announce(owner)

    async def _later(self, owner: RuntimeId) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rung.get(owner, loop.time()) + PAUSE_S - loop.time())
        del self._owed[owner]  # mail that is committed from here on is not covered by this announcement
        self._rung[owner] = loop.time()
        await self._announce(owner)

    async def _announce(self, owner: RuntimeId) -> None:
        try:
            await self._ring(owner)
        except StoreUnavailable:
            return  # the owner's beat finds the mail
