"""NOTIFY of PostgreSQL: one connection for each connection id and loop listens for all who wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind_providers.postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from asyncpg import Connection as Session

KEPT = 10_000
"""Notices that one who listens may leave unread; then the oldest are dropped."""


class Notices:
    """What is said on a channel, for one who listens."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(KEPT)
        self._ended = False

    @property
    def has_ended(self) -> bool:
        """Whether the connection is gone, so that no more will come."""
        return self._ended

    async def wait(self, seconds: float | None = None) -> str | None:
        """The next notice's payload; None where there was none in time, or the connection is gone."""
        if self._ended and self._queue.empty():
            return None
        try:
            async with asyncio.timeout(seconds):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[str]:
        """All payloads until the connection is gone."""
        while (payload := await self.wait()) is not None:
            yield payload

    def hear(self, payload: str | None) -> None:
        """Takes a payload in; None: no more will come."""
        self._ended = self._ended or payload is None
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(payload)


class Listener:
    """The connection that listens."""

    def __init__(self, session: Session[Any]) -> None:
        self._session = session
        self._channels: dict[str, set[Notices]] = defaultdict(set)
        self._changing = asyncio.Lock()
        session.add_termination_listener(self._gone)

    @property
    def is_open(self) -> bool:
        """Whether the server is still there."""
        return not self._session.is_closed()

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncGenerator[Notices]:
        """What is said on the channel during the block."""
        notices = Notices()
        async with self._changing:
            first = not self._channels[channel]
            self._channels[channel].add(notices)
            if first:
                await self._session.add_listener(channel, self._hear)
        try:
            yield notices
        finally:
            self._channels[channel].discard(notices)
            if not self._channels[channel] and self.is_open:
                await self._forget(channel)

    async def _forget(self, channel: str) -> None:
        async with self._changing:
            if not self._channels[channel] and self.is_open:
                del self._channels[channel]
                await self._session.remove_listener(channel, self._hear)

    def _hear(self, _session: Any, _pid: int, channel: str, payload: object) -> None:
        for notices in list(self._channels.get(channel, ())):
            notices.hear(str(payload))

    def _gone(self, _session: Any) -> None:
        for everyone in self._channels.values():
            for notices in everyone:
                notices.hear(None)


class PostgresListenHook(AsyncHook[Listener]):
    """`async with` it for the listener that all on the loop share."""

    conn_name_attr: ClassVar[str] = "postgres_conn_id"
    default_conn_name: ClassVar[str] = "postgres_default"
    conn_type: ClassVar[str] = "postgres"
    also_takes: ClassVar[tuple[str, ...]] = ("alloydb",)

    def __init__(self, postgres_conn_id: str | None = None, *, database: str | None = None) -> None:
        super().__init__(postgres_conn_id)
        self.database = database

    def options(self) -> object:
        """Channels are of one database."""
        return self.database

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[Listener]:
        """Opens a connection of its own: those of a pool come and go."""
        import asyncpg

        arguments = await asyncio.to_thread(PostgresSettings.of(conn, self.database).for_asyncpg)
        session = await asyncpg.connect(**arguments)
        try:
            yield Listener(session)
        finally:
            session.terminate()

    def is_usable(self, client: Listener) -> bool:
        """Not when its server has gone."""
        return client.is_open


def listening(channel: str, conn_id: str | None = None) -> AbstractAsyncContextManager[Notices]:
    """Hears what is said with NOTIFY on a channel.

    Write `async with listening("orders", "warehouse") as notices:` and within it `async for payload in notices:`.
    """
    return listening_with(PostgresListenHook(conn_id), channel)


@asynccontextmanager
async def listening_with(hook: PostgresListenHook, channel: str) -> AsyncGenerator[Notices]:
    """The same with a hook that is there."""
    async with hook as listener, listener.listening(channel) as notices:
        yield notices
