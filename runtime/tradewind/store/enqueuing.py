"""Mail that is sent in somebody else's transaction: it is there when that commits, and never was when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import asyncpg

from tradewind.model.assets import AssetEvent, ExternalEvent
from tradewind.model.errors import ConflictError, NotFoundError, StoreError
from tradewind.store.columns import text_bytes
from tradewind.store.lines import Lines
from tradewind.store.statements import Statement, statement


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


def _check_open(connection: SqlConnection, what: str) -> None:
    if not is_open(connection):
        raise ConflictError(
            f"{what}: no transaction is open on the connection. Open one (`async with connection.transaction()`), or "
            "leave `connection` out"
        )


class Enqueuing(Lines):
    """Inbox rows and events through connections that are not ours."""

    async def mail_enqueue(self, connection: SqlConnection, dag_id: str, kind: str, body: bytes, key: str) -> None:
        """As `Store.mail_send`, in the transaction that is open on `connection`.

        Raises ConflictError where none is open, NotFoundError for a DAG that nobody knows, StoreError where the
        connection is to another database.
        """
        _check_open(connection, f"a run of DAG {dag_id!r}")
        query = statement("mail", "mail_enqueue", schema=f'"{self.options.schema}"')
        given = {
            "dag_id": dag_id,
            "kind": kind,
            "body": body,
            "key": text_bytes(key),
            "sender": self._sender,
            "channel": self._mail_channel,
        }
        row = await self._through(connection, query, given, f"a run of DAG {dag_id!r}")
        if row is None:
            raise NotFoundError(f"there is no DAG {dag_id!r}")

    async def event_enqueue(self, connection: SqlConnection, event: ExternalEvent) -> AssetEvent:
        """As `asset_event_add`, in the transaction that is open on `connection`; routed once that has committed.

        Raises ConflictError where none is open, NotFoundError for an asset that nobody has named, StoreError where
        the connection is to another database.
        """
        what = f"event {event.uri!r}"
        _check_open(connection, what)
        key = None if event.key is None else text_bytes(event.key)
        schema = f'"{self.options.schema}"'
        given = {"uri": event.uri, "extra": event.extra, "key": key, "sender": self._sender}
        given["channel"] = self._mail_channel
        row = await self._through(connection, statement("mail", "event_enqueue", schema=schema), given, what)
        if row is None:
            raise NotFoundError(
                f"there is no asset {event.uri!r}: name it in a DAG's schedule, inlets or outlets first"
            )
        event_id, at, extra = row["event_id"], row["at"], event.extra
        if event_id is None:
            known = await self._through(
                connection, statement("mail", "event_enqueued", schema=schema), {"key": key}, what
            )
            event_id, at, extra = known["event_id"], known["at"], known["extra"]
        return AssetEvent(event_id, row["asset_id"], row["uri"], row["name"], at, extra)

    async def _through(
        self, connection: SqlConnection, query: Statement, given: Mapping[str, object], what: str
    ) -> Any:
        """The first row, through a connection that is not ours."""
        try:
            return await connection.fetchrow(query.text, *query.values(given))
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError) as e:
            raise StoreError(
                f"{what} cannot be asked for through this connection: {e}. It has to be to the "
                f"runtime's own database, by a role that may use the schema {self.options.schema!r}"
            ) from e

    async def mail_is_known(self, key: str) -> int | None:
        """The number of the mail that was sent under this key, once it is committed."""
        row = await self._readers.fetchrow(statement("mail", "mail_known"), text_bytes(key))
        return None if row is None else int(row["mail_id"])
