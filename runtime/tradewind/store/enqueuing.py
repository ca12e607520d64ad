"""Mail that is sent in somebody else's transaction: it is there when that commits, and never was when it does not."""

from __future__ import annotations

from typing import Any, Protocol

import asyncpg

from tradewind.model.errors import ConflictError, NotFoundError, StoreError
from tradewind.store.columns import text_bytes
from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class SqlConnection(Protocol):
    """What is needed of a connection: asyncpg's own has it, and what its pool gives."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row."""
        ...


def is_open(connection: SqlConnection) -> bool:
    """Whether a transaction is open on it. One that has gone back to its pool, or is closed, has none."""
    try:
        return connection.is_in_transaction()
    except asyncpg.InterfaceError:
        return False


class Enqueuing(Lines):
    """Inbox rows through connections that are not ours."""

    async def mail_enqueue(self, connection: SqlConnection, dag_id: str, kind: str, body: bytes, key: str) -> None:
        """As `Store.mail_send`, in the transaction that is open on `connection`.

        Raises ConflictError where none is open, NotFoundError for a DAG that nobody knows, StoreError where the
        connection is to another database.
        """
        if not is_open(connection):
            raise ConflictError(
                f"a run of DAG {dag_id!r}: no transaction is open on the connection. Open one "
                "(`async with connection.transaction()`), or leave `connection` out"
            )
        query = statement("mail", "mail_enqueue", schema=f'"{self.options.schema}"')
        given = {
            "dag_id": dag_id,
            "kind": kind,
            "body": body,
            "key": text_bytes(key),
            "sender": self._sender,
            "channel": self._mail_channel,
        }
        try:
            row = await connection.fetchrow(query.text, *query.values(given))
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError) as e:
            raise StoreError(
                f"a run of DAG {dag_id!r} cannot be asked for through this connection: {e}. It has to be to the "
                f"runtime's own database, by a role that may use the schema {self.options.schema!r}"
            ) from e
        if row is None:
            raise NotFoundError(f"there is no DAG {dag_id!r}")

    async def mail_is_known(self, key: str) -> int | None:
        """The number of the mail that was sent under this key, once it is committed."""
        row = await self._readers.fetchrow(statement("mail", "mail_known"), text_bytes(key))
        return None if row is None else int(row["mail_id"])
