"""Values of state stores in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tradewind.model.attempts import AttemptKey
from tradewind.model.state_stores import KeptState, StateScope
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class States(Lines):
    """`ports.KeptStates`: none of it is on the way of a batch."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """As `Store.state_get`."""
        query = statement("state", "state_get")
        rows = await self._readers.fetch(query, *query.values({**_place(scope), "key": text_bytes(key)}))
        return text_of(rows[0]["value"]) if rows else None

    async def state_page(
        self, scope: StateScope, limit: int, offset: int = 0, key: str | None = None
    ) -> tuple[list[KeptState], int]:
        """As `StoreReads.state_page`."""
        page, count = statement("state", "state_page"), statement("state", "state_count")
        given = {**_place(scope), "key": _bytes_of(key), "limit": limit, "offset": offset}
        rows, total = await self._readers.page(page, count, given)
        found = [KeptState(text_of(key), text_of(value), at, expires_at) for key, value, at, expires_at in rows]
        return found, total

    async def state_put(self, scope: StateScope, key: str, value: str, expires_at: datetime | None = None) -> None:
        """As `NamedWrites.state_put`."""
        query = statement("state", "state_put")
        given = {"key": text_bytes(key), "value": text_bytes(value), "expires_at": expires_at}
        await self._readers.fetch(query, *query.values({**_place(scope), **given}))

    async def state_drop(self, scope: StateScope, key: str | None = None, *, every_index: bool = False) -> None:
        """As `NamedWrites.state_drop`."""
        query = statement("state", "state_drop")
        given = {"key": _bytes_of(key), "every_index": every_index}
        await self._readers.fetch(query, *query.values({**_place(scope), **given}))

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> bool:
        """As `Store.state_set`."""
        given = {"key": text_bytes(key), "value": text_bytes(value), "expires_at": expires_at}
        return await self._write("state_set", attempt, scope, given)

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> bool:
        """As `Store.state_delete`."""
        return await self._write("state_delete", attempt, scope, {"key": _bytes_of(key)})

    async def state_sweep(self) -> int:
        """As `Store.state_sweep`."""
        rows = await self._readers.fetch(statement("state", "state_sweep"))
        gone: int = rows[0]["gone"]
        return gone

    async def _write(self, name: str, attempt: AttemptKey, scope: StateScope, given: Mapping[str, object]) -> bool:
        query = statement("state", name)
        values = {"live_run": attempt.run_id, "attempt": attempt.attempt, **_place(scope), **given}
        rows = await self._readers.fetch(query, *query.values(values))
        is_live: bool = rows[0]["is_live"]
        return is_live


def _place(scope: StateScope) -> dict[str, object]:
    return {"run_id": scope.run_id, "owner": text_bytes(scope.owner), "map_index": scope.map_index}


def _bytes_of(key: str | None) -> bytes | None:
    return None if key is None else text_bytes(key)
