"""Pools, variables, connections and users."""

from __future__ import annotations

from tradewind.model.rows import PoolRow, UserRow
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class Named(Lines):
    """Things that have a name and belong to no run."""

    async def pool_list(self) -> list[PoolRow]:
        """As `Store.pool_list`."""
        rows = await self._readers.fetch(statement("named", "pool_list"))
        return [PoolRow(name, slots, text_of(about), deferred) for name, slots, about, deferred in rows]

    async def pool_set(self, pool: PoolRow) -> None:
        """As `Store.pool_set`."""
        await self._readers.fetch(
            statement("named", "pool_set"), pool.name, pool.slots, text_bytes(pool.description), pool.include_deferred
        )

    async def pool_delete(self, name: str) -> bool:
        """As `Store.pool_delete`."""
        return bool(await self._readers.fetch(statement("named", "pool_delete"), name))

    async def variable_get(self, key: str) -> str | None:
        """As `Store.variable_get`. Raises ConfigError if it was encrypted with another key."""
        return await self._secret("variable", key)

    async def variable_set(self, key: str, value: str | None) -> None:
        """As `Store.variable_set`."""
        await self._set_secret("variable", key, value)

    async def connection_get(self, conn_id: str) -> str | None:
        """As `Store.connection_get`. Raises ConfigError if it was encrypted with another key."""
        return await self._secret("connection", conn_id)

    async def connection_set(self, conn_id: str, value: str | None) -> None:
        """As `Store.connection_set`."""
        await self._set_secret("connection", conn_id, value)

    async def user_get(self, username: str) -> UserRow | None:
        """As `Store.user_get`."""
        row = await self._readers.fetchrow(statement("named", "user_get"), text_bytes(username))
        return None if row is None else UserRow(username, row["password_hash"], row["role"], row["is_active"])

    async def user_set(self, user: UserRow) -> None:
        """As `Store.user_set`."""
        await self._readers.fetch(
            statement("named", "user_set"), text_bytes(user.username), user.password_hash, user.role, user.is_active
        )

    async def _secret(self, kind: str, key: str) -> str | None:
        row = await self._readers.fetchrow(statement("named", f"{kind}_get"), text_bytes(key))
        return None if row is None else self._vault.decrypt(row["value"], f"{kind} {key!r}")

    async def _set_secret(self, kind: str, key: str, value: str | None) -> None:
        if value is None:
            await self._readers.fetch(statement("named", f"{kind}_delete"), text_bytes(key))
        else:
            await self._readers.fetch(statement("named", f"{kind}_set"), text_bytes(key), self._vault.encrypt(value))
