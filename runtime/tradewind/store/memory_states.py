"""Values of state stores in a memory store: the same promises as `store.states`."""

from __future__ import annotations

from datetime import datetime

from tradewind.model.attempts import AttemptKey
from tradewind.model.state_stores import StateScope
from tradewind.store.memory_deadlines import MemoryDeadlines


class MemoryStates(MemoryDeadlines):
    """`ports.KeptStates` in memory."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """As `Store.state_get`."""
        self._live()
        value, expires_at = self.database.states.get(scope, {}).get(key, (None, None))
        return value if expires_at is None or expires_at > self.database.clock() else None

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> bool:
        """As `Store.state_set`."""
        await self._call("state_set")
        is_live = self._is_live(attempt)
        if is_live:
            self.database.states.setdefault(scope, {})[key] = (value, expires_at)
        await self._called("state_set")
        return is_live

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> bool:
        """As `Store.state_delete`."""
        await self._call("state_delete")
        is_live = self._is_live(attempt)
        if is_live and key is None:
            self.database.states.pop(scope, None)
        elif is_live and key is not None:
            self.database.states.get(scope, {}).pop(key, None)
        await self._called("state_delete")
        return is_live

    async def state_sweep(self) -> int:
        """As `Store.state_sweep`."""
        await self._call("state_sweep")
        now, gone = self.database.clock(), 0
        for values in self.database.states.values():
            over = [key for key, (_, until) in values.items() if until is not None and until <= now]
            for key in over:
                del values[key]
            gone += len(over)
        await self._called("state_sweep")
        return gone

    def _is_live(self, attempt: AttemptKey) -> bool:
        tables = self.database.runs.get(attempt.run_id)
        return tables is not None and attempt.attempt in tables.live
