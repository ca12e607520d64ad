"""The pool of a PostgreSQL connection: one `asyncpg.Pool` for each connection and loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind_providers.postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from asyncpg import Pool

CLOSE_WITHIN = 4.0
"""Seconds that queries under way get when a pool closes."""


class PostgresPoolHook(AsyncHook["Pool[Any]"]):
    """`async with` it for the pool: `await pool.fetch(…)`, `async with pool.acquire() as connection:`."""

    conn_name_attr: ClassVar[str] = "postgres_conn_id"
    default_conn_name: ClassVar[str] = "postgres_default"
    conn_type: ClassVar[str] = "postgres"
    also_takes: ClassVar[tuple[str, ...]] = ("redshift", "alloydb", "cockroachdb")
    hook_name: ClassVar[str] = "Postgres"

    def __init__(
        self, postgres_conn_id: str | None = None, *, database: str | None = None, options: str | None = None
    ) -> None:
        super().__init__(postgres_conn_id)
        self.postgres_conn_id = self.conn_id
        self.database = database
        self._server_options = options

    def options(self) -> object:
        """Another database, and other settings of sessions, are another pool."""
        return self.database, self._server_options

    def settings_of(self, conn: Connection) -> PostgresSettings:
        """What the connection and this hook say together. Raises PostgresConnectionError."""
        return PostgresSettings.of(conn, self.database, self._server_options)

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[Pool[Any]]:
        """Opens a pool and its first connection."""
        import asyncpg

        settings = self.settings_of(conn)
        arguments = await asyncio.to_thread(settings.for_asyncpg)
        pool = await asyncpg.create_pool(**arguments, min_size=0, max_size=settings.pool_size)
        try:
            async with pool.acquire(timeout=settings.connect_timeout):
                pass  # whoever opens it hears what is wrong
            yield pool
        finally:
            try:
                async with asyncio.timeout(CLOSE_WITHIN):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    def is_usable(self, client: Pool[Any]) -> bool:
        """Not after somebody has closed it."""
        return not client.is_closing()


def postgres(conn_id: str = PostgresPoolHook.default_conn_name) -> PostgresPoolHook:
    """Gives the shared pool of a connection.

    Write `async with postgres("warehouse") as pool:`.
    """
    return PostgresPoolHook(conn_id)
