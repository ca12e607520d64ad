"""Waiting for what a query gives beside the runtime's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from tradewind.authoring.connection_lookups import lookups_here
from tradewind.authoring.triggers import Trigger, TriggerEvent, trigger
from tradewind.model.errors import TradewindError
from tradewind_providers.sql.handlers import fetch_one_handler
from tradewind_providers.sql.operators import run_with, sql_hook_of


@trigger(kind="tradewind.sql")
class SqlTrigger(Trigger):
    """Fires once the first cell of the query's first row is true; its payload is that cell, as a text.

    With `listen="channel"` in PostgreSQL it asks again whenever somebody says NOTIFY on the channel, and every
    `poke_interval` seconds at the latest.
    """

    conn_id: str
    sql: str
    parameters: Any = None
    hook_params: Mapping[str, Any] | None = None
    listen: str | None = None
    poke_interval: float = 60.0

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Asks until it is true."""
        while (cell := await self._asked()) is None:
            pass
        yield TriggerEvent(str(cell))

    async def _asked(self) -> Any:
        """The cell; None where it is not true, after the time until the next question."""
        hook = await sql_hook_here(self.conn_id, self.hook_params or {})
        async with AsyncExitStack() as stack:
            notices: Any = None
            if self.listen is not None:  # before the question: what comes meanwhile is heard
                notices = await stack.enter_async_context(listening_by(hook, self.listen, self.conn_id))
            row = await run_with(hook, self.sql, parameters=self.parameters, handler=fetch_one_handler)
            if row and row[0]:
                return row[0]
            await (asyncio.sleep(self.poke_interval) if notices is None else notices.wait(self.poke_interval))
        return None


async def sql_hook_here(conn_id: str, params: Mapping[str, Any]) -> Any:
    """The hook of a connection, made without blocking the loop. Raises TradewindError where it runs no SQL."""
    connection = (await lookups_here().get(conn_id)).connection
    return await asyncio.to_thread(sql_hook_of, connection, params, None)


def listening_by(hook: Any, channel: str, conn_id: str) -> Any:
    """What is said on the channel. Raises TradewindError where the database has no channels."""
    if not hasattr(hook, "listening"):
        raise TradewindError(f"listen works with PostgreSQL only; connection {conn_id!r} has a {type(hook).__name__}")
    return hook.listening(channel)
