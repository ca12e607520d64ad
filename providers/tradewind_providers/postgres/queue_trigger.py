"""A table as a queue: for the watchers of assets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson

from tradewind.authoring.triggers import BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.model.errors import AuthoringError
from tradewind_providers.postgres.listening import Notices, listening
from tradewind_providers.postgres.pool import PostgresPoolHook, postgres

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy


@trigger(kind="tradewind.postgres_queue")
class PostgresQueueTrigger(Trigger, BaseEventTrigger):
    """Fires for each row of `table`, which is deleted when its event is committed.

    The payload is the row, as JSON. A row is locked meanwhile and others skip it, so several may take from one table.
    `key` is the column that tells rows apart, `order_by` the one that says which comes first (by default the key).
    Where rows are announced with NOTIFY, `channel` makes it look at once; else it looks every `poll_interval` seconds.
    `table` may name its schema: `sales.inbox`.
    """

    table: str
    conn_id: str = PostgresPoolHook.default_conn_name
    key: str = "id"
    order_by: str | None = None
    channel: str | None = None
    poll_interval: float = 5.0

    def __post_init__(self) -> None:
        for name in ("table", "key"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise AuthoringError(f"PostgresQueueTrigger: {name}: a name is needed, not {getattr(self, name)!r}")
        if self.poll_interval <= 0:
            raise AuthoringError(
                f"PostgresQueueTrigger: poll_interval has to be a number of seconds, not {self.poll_interval!r}"
            )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Takes row after row; where there is none, it waits for a notice or for a while."""
        async with AsyncExitStack() as held:
            pool = await held.enter_async_context(postgres(self.conn_id))
            notices: Notices | None = None
            while True:
                if self.channel is not None and notices is None:
                    notices = await held.enter_async_context(listening(self.channel, self.conn_id))
                async with pool.acquire() as session:
                    while True:
                        transaction = session.transaction()
                        await transaction.start()
                        row = await session.fetchrow(self._next())
                        if row is None:
                            await transaction.rollback()
                            break
                        taking = _Taking(session, transaction, self._delete(), row["taken"])
                        try:
                            yield TriggerEvent(orjson.loads(row["payload"]), ack=taking.ack, key=_key(row))
                        finally:
                            await taking.end()
                if notices is None:
                    await asyncio.sleep(self.poll_interval)
                elif await notices.wait(self.poll_interval) is None and notices.has_ended:
                    return  # the connection is gone: the watcher begins again with another one

    def _next(self) -> str:
        key, order = _quoted(self.key), _quoted(self.order_by or self.key)
        return (
            f"SELECT t.{key}::text AS key, t.ctid AS taken, to_jsonb(t)::text AS payload "  # noqa: S608 - names, quoted
            f"FROM {_table(self.table)} t ORDER BY t.{order} LIMIT 1 FOR UPDATE SKIP LOCKED"
        )

    def _delete(self) -> str:
        return f"DELETE FROM {_table(self.table)} WHERE ctid = $1"  # noqa: S608 - a name, quoted


class _Taking:
    """A row that is locked by a transaction of ours: nobody else can change it, so it stays in its place."""

    def __init__(self, session: PoolConnectionProxy[Any], transaction: Any, delete: str, row: tuple[int, int]) -> None:
        self._session = session
        self._transaction = transaction
        self._delete = delete
        self._row = row
        self._is_over = False

    async def ack(self) -> None:
        """The row goes."""
        await self._session.execute(self._delete, self._row)
        self._is_over = True
        await self._transaction.commit()

    async def end(self) -> None:
        """A row that has not gone is there for the next one."""
        if not self._is_over and not self._session.is_closed():
            await self._transaction.rollback()


def _key(row: Any) -> str:
    """With a digest of the row: a number that is given again to another row is not the same event."""
    return f"{row['key']}:{hashlib.sha256(row['payload'].encode()).hexdigest()[:16]}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split("."))
