"""Values of state stores in a memory store: the same promises as `store.states`."""

from __future__ import annotations

from datetime import datetime

from tradewind.model.attempts import AttemptKey
from tradewind.model.state_stores import KeptState, StateScope
from tradewind.store.memory_deadlines import MemoryDeadlines
from tradewind.store.memory_views import as_bytes


class MemoryStates(MemoryDeadlines):
    """`ports.KeptStates` in memory."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """As `Store.state_get`."""
        self._live()
        found = self.database.states.get(scope, {}).get(key)
        return found.value if found is not None and self._is_known(found) else None

    async def state_page(
        self, scope: StateScope, limit: int, offset: int = 0, key: str | None = None
    ) -> tuple[list[KeptState], int]:
        """As `StoreReads.state_page`."""
        self._live()
        values = self.database.states.get(scope, {})
        found = [one for one in values.values() if key in (None, one.key) and self._is_known(one)]
        found.sort(key=lambda one: as_bytes(one.key))
        return found[offset : offset + limit], len(found)

    async def state_put(self, scope: StateScope, key: str, value: str, expires_at: datetime | None = None) -> None:
        """As `NamedWrites.state_put`."""
        await self._call("state_put")
        self._put(scope, KeptState(key, value, self.database.clock(), expires_at))
        await self._called("state_put")

    async def state_drop(self, scope: StateScope, key: str | None = None, *, every_index: bool = False) -> None:
        """As `NamedWrites.state_drop`."""
        await self._call("state_drop")
        for other in list(self.database.states):
            if other == scope or (every_index and other[:2] == scope[:2]):
                self._drop(other, key)
        await self._called("state_drop")

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> bool:
        """As `Store.state_set`."""
        await self._call("state_set")
        is_live = self._is_live(attempt)
        if is_live:
            self._put(scope, KeptState(key, value, self.database.clock(), expires_at))
        await self._called("state_set")
        return is_live

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> bool:
        """As `Store.state_delete`."""
        await self._call("state_delete")
        is_live = self._is_live(attempt)
        if is_live:
            self._drop(scope, key)
        await self._called("state_delete")
        return is_live

    async def state_sweep(self) -> int:
        """As `Store.state_sweep`."""
        await self._call("state_sweep")
        gone = 0
        for values in self.database.states.values():
            over = [key for key, one in values.items() if not self._is_known(one)]
            for key in over:
                del values[key]
            gone += len(over)
        await self._called("state_sweep")
        return gone

    def _put(self, scope: StateScope, one: KeptState) -> None:
        self.database.states.setdefault(scope, {})[one.key] = one

    def _drop(self, scope: StateScope, key: str | None) -> None:
        if key is None:
            self.database.states.pop(scope, None)
        else:
            self.database.states.get(scope, {}).pop(key, None)

    def _is_known(self, one: KeptState) -> bool:
        return one.expires_at is None or one.expires_at > self.database.clock()

    def _is_live(self, attempt: AttemptKey) -> bool:
        tables = self.database.runs.get(attempt.run_id)
        return tables is not None and attempt.attempt in tables.live
