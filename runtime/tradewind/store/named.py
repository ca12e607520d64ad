"""Pools, variables, connections and users."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import InvalidToken

from tradewind.model.rows import ConnectionRow, PoolRow, Rotation, UserRow, VariableRow
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.connection import Session
from tradewind.store.lines import Lines
from tradewind.store.statements import statement

AT_ONCE: Final = 100
"""So many are decrypted on the loop."""

_KINDS: Final = ("variable", "connection", "wait")


class Named(Lines):
    """Things that have a name and belong to no run."""

    async def pool_list(self) -> list[PoolRow]:
        """As `Store.pool_list`."""
        rows = await self._readers.fetch(statement("named", "pool_list"))
        return [PoolRow(name, slots, text_of(about), deferred) for name, slots, about, deferred in rows]

    async def pool_set(self, pool: PoolRow) -> None:
        """As `Store.pool_set`."""
        query = statement("named", "pool_set")
        given = {
            "name": pool.name,
            "slots": pool.slots,
            "description": text_bytes(pool.description),
            "include_deferred": pool.include_deferred,
            "channel": self._pools_channel,
        }
        await self._readers.fetch(query, *query.values(given))

    async def pool_delete(self, name: str) -> bool:
        """As `Store.pool_delete`."""
        return bool(await self._readers.fetch(statement("named", "pool_delete"), name, self._pools_channel))

    async def variable_get(self, key: str) -> str | None:
        """As `Store.variable_get`. Raises ConfigError if it was encrypted with another key."""
        return await self._secret("variable", key)

    async def variable_list(self, key: str | None = None) -> list[VariableRow]:
        """As `Store.variable_list`."""
        wanted = None if key is None else text_bytes(key)
        rows = await self._readers.fetch(statement("named", "variable_list"), wanted)
        values = await self._opened([row["value"] for row in rows])
        found = zip(rows, values, strict=True)
        return [VariableRow(text_of(row["key"]), value, text_of(row["description"])) for row, value in found]

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """As `Store.variable_set`."""
        if value is None:
            await self._readers.fetch(statement("named", "variable_delete"), text_bytes(key))
            return
        query = statement("named", "variable_set")
        about = None if description is None else text_bytes(description)
        given = {"key": text_bytes(key), "value": self._vault.encrypt(value), "description": about}
        await self._readers.fetch(query, *query.values(given))

    async def connection_get(self, conn_id: str) -> str | None:
        """As `Store.connection_get`. Raises ConfigError if it was encrypted with another key."""
        return await self._secret("connection", conn_id)

    async def connection_list(self, conn_id: str | None = None) -> list[ConnectionRow]:
        """As `Store.connection_list`."""
        wanted = None if conn_id is None else text_bytes(conn_id)
        rows = await self._readers.fetch(statement("named", "connection_list"), wanted)
        values = await self._opened([row["value"] for row in rows])
        return [ConnectionRow(text_of(row["conn_id"]), value) for row, value in zip(rows, values, strict=True)]

    async def connection_set(self, conn_id: str, value: str | None) -> None:
        """As `Store.connection_set`."""
        key = text_bytes(conn_id)
        if value is None:
            await self._readers.fetch(statement("named", "connection_delete"), key)
        else:
            await self._readers.fetch(statement("named", "connection_set"), key, self._vault.encrypt(value))

    async def secrets_rotate(self, batch: int = 200) -> Rotation:
        """As `Store.secrets_rotate`."""
        total = Rotation(0, 0)
        for kind in _KINDS:
            last: bytes | None = None
            part: Rotation | None = None
            while part is None or last is not None:
                async with self._readers.line() as line, line.session() as session, session.transaction():
                    part, last = await self._rotate_some(session, kind, last, batch)
                unreadable = total.unreadable + part.unreadable
                total = Rotation(total.changed + part.changed, total.unchanged + part.unchanged, unreadable)
        return total

    async def _rotate_some(
        self, session: Session, kind: str, after: bytes | None, batch: int
    ) -> tuple[Rotation, bytes | None]:
        """Entries with a key greater than `after`; the last of them, or None where there were no more."""
        rows = await session.fetch(statement("named", f"{kind}_page").text, after, batch)
        renewed: list[tuple[bytes, bytes]] = []
        unreadable: list[str] = []
        for key, value in rows:
            try:
                fresh = self._vault.renewed(value)
            except InvalidToken:
                unreadable.append(f"{kind} {key.hex() if kind == 'wait' else repr(text_of(key))}")
                continue
            if fresh is not None:
                renewed.append((key, fresh))
        if renewed:
            keys, values = zip(*renewed, strict=True)
            await session.execute(statement("named", f"{kind}_renew").text, list(keys), list(values))
        unchanged = len(rows) - len(renewed) - len(unreadable)
        return Rotation(len(renewed), unchanged, tuple(unreadable)), rows[-1][0] if rows else None

    async def user_get(self, username: str) -> UserRow | None:
        """As `Store.user_get`."""
        row = await self._readers.fetchrow(statement("named", "user_get"), text_bytes(username))
        return None if row is None else UserRow(username, row["password_hash"], row["role"], row["is_active"])

    async def user_set(self, user: UserRow) -> None:
        """As `Store.user_set`."""
        await self._readers.fetch(
            statement("named", "user_set"), text_bytes(user.username), user.password_hash, user.role, user.is_active
        )

    async def _opened(self, tokens: Sequence[bytes]) -> list[str | None]:
        """The texts; None where no key opens them. Many are opened in a thread: that takes its time."""
        if len(tokens) <= AT_ONCE:
            return [self._vault.opens(token) for token in tokens]
        return await asyncio.to_thread(lambda: [self._vault.opens(token) for token in tokens])

    async def _secret(self, kind: str, key: str) -> str | None:
        row = await self._readers.fetchrow(statement("named", f"{kind}_get"), text_bytes(key))
        return None if row is None else self._vault.decrypt(row["value"], f"{kind} {key!r}")
