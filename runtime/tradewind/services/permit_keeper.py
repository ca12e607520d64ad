"""Holds this runtime's share of the limits that all runtimes of a database have in common.

A limit (global parallelism, a pool) is a number of permits; each runtime may use those that the
store has granted to it, and their sum never exceeds the limit. Alone a runtime holds everything
and admission asks nobody. With peers it takes what its waiting tasks need and gives back what has
been idle for a second, so a grant is touched when demand moves, never by a task.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from tradewind.model.errors import StoreUnavailable, TryAgain
from tradewind.model.rows import Lease
from tradewind.ports import Store
from tradewind.rules.admission import pool_limit
from tradewind.services.scheduler import Scheduler
from tradewind.services.turn import Turn

log = logging.getLogger(__name__)

IDLE_AFTER: Final = 1.0
"""Seconds for which a permit must be idle before it goes back; also between two looks with peers."""

WHATEVER: Final = 1 << 30
"""So many are in use: all that is granted."""

POOLS_SWEEP: Final = 60.0
"""Seconds after which pools are read again though nobody has told of a change."""


class PermitKeeper:
    """Keeps admission's limits at what the store has granted."""

    def __init__(self, store: Store, scheduler: Scheduler, claiming: asyncio.Lock) -> None:
        """Limits do not change hands while somebody holds `claiming`."""
        self._store = store
        self._scheduler = scheduler
        self._sizes: dict[str, int] = {}
        self._granted: dict[str, int] = {}
        self._idle: dict[str, int] = {}
        self._too_few: dict[str, int] = {}
        self._in_doubt: set[str] = set()
        """Limits of which the store may hold another grant than we think."""
        self._counted: set[str] = set()
        """Limits of which we have counted what is in use. Not yet where attempts are just being adopted."""
        self._has_inherited = False
        self._peers = 0
        self._wake = asyncio.Event()
        self._pools_changed = asyncio.Event()
        self._pools: set[str] = set()
        self._busy = claiming
        """Held while limits change hands: a pool may be gone after any wait."""

    def peers_changed(self, living: int) -> None:
        """How many other runtimes live now."""
        if living != self._peers:
            self._peers = living
            self._wake.set()

    def pools_changed(self) -> None:
        """Somebody has made, changed or deleted a pool."""
        self._pools_changed.set()

    def pools(self) -> list[str]:
        """The names of the pools that there are."""
        return sorted(self._pools)

    @property
    def has_peers(self) -> bool:
        """Whether the limits are shared with other runtimes just now."""
        return self._peers > 0

    def inherited(self) -> None:
        """DAGs have been claimed, and with them permits that dead runtimes left behind."""
        self._has_inherited = True
        self._wake.set()

    def forget(self) -> None:
        """The lease is gone, and with it everything that was granted under it."""
        for kept in (self._granted, self._idle, self._too_few, self._in_doubt, self._counted):
            kept.clear()

    async def hold(self, lease: Lease, name: str, size: int) -> None:
        """A limit is new or has another size (-1: none). Takes all of it where nobody else needs it."""
        if size < 0:
            self._in_doubt.discard(name)
        elif self._sizes.get(name) != size:
            self._in_doubt.add(name)  # what others have in use of a larger one counts
        self._sizes[name] = size
        if 0 <= size < self._granted.get(name, 0):
            self._granted[name] = size
            self._scheduler.resize(name, size)
        try:
            await self._take(lease, name, size)
        finally:
            if name in self._in_doubt:
                self._look_again()

    async def hold_pools(self, lease: Lease) -> None:
        """Takes the pools as the store has them now. One that is gone has no slots left: what needs it waits."""
        pools = {pool.name: pool.slots for pool in await self._store.pool_list()}
        async with self._busy:
            for name, slots in pools.items():
                limit = pool_limit(name)
                if self._sizes.get(limit) != slots or limit not in self._granted:
                    await self.hold(lease, limit, slots)
                self._pools.add(name)
            for name in self._pools - pools.keys():
                await self._lose(lease, pool_limit(name))
                self._pools.remove(name)

    async def _lose(self, lease: Lease, limit: str) -> None:
        self._sizes[limit] = 0
        self._scheduler.resize(limit, 0)
        await self._store.grant_take(lease, limit, 0, 0)
        for kept in (self._sizes, self._granted, self._idle, self._too_few):
            kept.pop(limit, None)
        self._in_doubt.discard(limit)
        self._scheduler.book.admission.lose(limit)

    async def follow_pools(self, lease: Lease) -> None:
        """Takes in every change of a pool, as soon as it is told."""
        while True:
            try:
                async with asyncio.timeout(POOLS_SWEEP):
                    await self._pools_changed.wait()
            except TimeoutError:
                pass
            self._pools_changed.clear()
            try:
                await self.hold_pools(lease)
            except StoreUnavailable as lost:
                log.info("pools stay as they are: %s", lost)
                asyncio.get_running_loop().call_later(IDLE_AFTER, self._pools_changed.set)

    async def run(self, lease: Lease) -> None:
        """Follows the demand for as long as there are peers."""
        while True:
            await self._pause()
            try:
                async with self._busy:
                    if self._has_inherited:
                        self._has_inherited = False
                        self._in_doubt.update(self._sizes)
                        self._counted.clear()
                    for name, size in list(self._sizes.items()):
                        if size >= 0:
                            await self._follow(lease, name, size)
            except StoreUnavailable as lost:
                log.info("shared limits stay as they are: %s", lost)
                self._look_again()

    def _look_again(self) -> None:
        asyncio.get_running_loop().call_later(IDLE_AFTER, self._wake.set)

    async def _pause(self) -> None:
        """Until the peers change; with peers, or where grants are in doubt, a second at most."""
        try:
            async with asyncio.timeout(IDLE_AFTER if self._peers or self._in_doubt else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _follow(self, lease: Lease, name: str, size: int) -> None:
        admission = self._scheduler.book.admission
        if name in self._in_doubt:
            await self._take(lease, name, 0)  # takes nothing: it says what is held
        granted, needed = self._granted[name], admission.used(name) + admission.demand(name)
        if not self._peers:
            await self._take(lease, name, size)
        elif needed > granted and not await self._yields(lease, name, granted - admission.used(name)):
            await self._take(lease, name, min(size, needed))
        elif needed <= granted:
            await self._give_back(lease, name, granted - needed)

    async def _yields(self, lease: Lease, name: str, too_few: int) -> bool:
        """Two runtimes may each hold half of what one task needs, and wait for each other: permits that are too
        few for anything here go back after some looks, and this look takes none. How many looks differs from
        runtime to runtime, so that one gives way to the other.
        """
        looks = self._too_few[name] = self._too_few.get(name, 0) + 1 if too_few > 0 else 0
        if looks < 2 + lease.runtime_id % 5:
            return False
        self._too_few[name] = 0
        await self._return(lease, name, too_few)
        return True

    async def _take(self, lease: Lease, name: str, want: int) -> None:
        if want < 0 or (want == self._sizes[name] == self._granted.get(name) and name not in self._in_doubt):
            granted = want
        else:
            self._in_doubt.add(name)
            in_use = self._scheduler.book.admission.used(name) if name in self._counted else WHATEVER
            self._counted.add(name)
            granted = await self._store.grant_take(lease, name, self._sizes[name], want, in_use)
            if granted >= in_use:  # else what is in use beyond it has to go back when it is not any more
                self._in_doubt.discard(name)
        self._idle[name] = 0
        if self._granted.get(name) != granted:
            self._granted[name] = granted
            self._scheduler.resize(name, granted)

    async def _give_back(self, lease: Lease, name: str, idle: int) -> None:
        """Only what was idle a second ago as well."""
        long_idle = min(idle, self._idle.get(name, 0))
        self._idle[name] = idle
        if long_idle:
            await self._return(lease, name, long_idle)

    async def _return(self, lease: Lease, name: str, count: int) -> None:
        """Gives so many back, or as many of them as are idle in the store's eyes too: what has ended in a turn that is
        not committed yet may be in use again. Nothing starts on them from now on, whatever becomes of their way back.
        """
        given: list[int] = []

        def let_go(turn: Turn) -> None:  # the turn before is committed, and this one has freed nothing yet
            del turn
            idle = min(count, self._granted[name] - self._scheduler.book.admission.used(name))
            if idle > 0:
                self._granted[name] -= idle
                self._scheduler.resize(name, self._granted[name])
                self._in_doubt.add(name)
                given.append(idle)

        with suppress(TryAgain):
            await self._scheduler.intake.ask(let_go)
        if given:
            await self._store.grant_return(lease, name, given[0])
            self._in_doubt.discard(name)
