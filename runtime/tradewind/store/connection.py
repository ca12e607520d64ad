"""Dedicated connections, each for one kind of work, that come back by themselves.

A `Line` is one connection with a lock and its prepared statements. It connects on first use; after
a loss the call that noticed raises `StoreUnavailable`, and the next one waits out a jittered back-off
and connects again. Pools are not used on the runtime's path: taking a connection from one costs
more than a small statement.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from tradewind.model.errors import StoreError, StoreUnavailable, TradewindError
from tradewind.store.statements import Statement
from tradewind.store.url import normalise_url, redact_url, wants_no_tls

if TYPE_CHECKING:
    Session = asyncpg.Connection[asyncpg.Record]
else:
    Session = asyncpg.Connection
Row = asyncpg.Record

FIRST_BACK_OFF_S: Final = 0.05
LAST_BACK_OFF_S: Final = 2.0
ANSWER_MARGIN_S: Final = 1.0
"""So much longer than the server may work on a statement is its answer waited for: then the way is cut."""

_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""Errors after which the outcome of a statement is unknown, or the server is away for a while.

`InternalClientError` is what comes between the server's last word and the end of the connection."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a line's session is set up. Times in seconds."""

    url: str
    schema: str
    purpose: str
    """Shown as application name: lease, writer, bulk or reader."""
    statement_timeout: float = 30.0
    connect_timeout: float = 5.0
    planner_on_rails: bool = False
    """For statements that are all by primary key: one generic plan of index look-ups, whatever the
    statistics say about tables that were empty when the plan was made."""

    def server_settings(self) -> dict[str, str]:
        """What the session starts with."""
        settings = {
            "application_name": f"tradewind {self.purpose}",
            "search_path": f'"{self.schema}"',
            "timezone": "UTC",
            "jit": "off",
            "lock_timeout": "10s",
            "statement_timeout": f"{int(self.statement_timeout * 1000)}ms",
            "idle_in_transaction_session_timeout": "3s",
        }
        if self.planner_on_rails:
            settings |= {"plan_cache_mode": "force_generic_plan"}
            settings |= dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin"), "off")
            settings |= dict.fromkeys(("enable_bitmapscan", "enable_material", "enable_memoize"), "off")
        return settings


async def connect(settings: LineSettings) -> Session:
    """A new session. Raises StoreUnavailable (try again) or StoreError (it will not help)."""
    url = normalise_url(settings.url)
    extra: dict[str, Any] = {"ssl": False} if wants_no_tls(url) else {}
    try:
        return await asyncpg.connect(
            url,
            timeout=settings.connect_timeout,
            command_timeout=settings.statement_timeout + ANSWER_MARGIN_S,
            statement_cache_size=0,
            server_settings=settings.server_settings(),
            **extra,
        )
    except _LOST as error:
        raise StoreUnavailable(f"no connection to {redact_url(url)}: {_text(error)}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise StoreError(f"no connection to {redact_url(url)}: {_text(error)}") from error


class Line:
    """One connection for one kind of work."""

    def __init__(self, settings: LineSettings, greet: Callable[[Session], Awaitable[None]] | None = None) -> None:
        """`greet` is called with each new session before its first use."""
        self.settings = settings
        self._greet = greet
        self._lock = asyncio.Lock()
        self._session: Session | None = None
        self._prepared: dict[str, PreparedStatement[Row]] = {}
        self._names = 0
        self._back_off = 0.0
        self._not_before = 0.0

    async def fetch(self, statement: Statement, *values: object) -> list[Row]:
        """Runs a statement in a transaction of its own and returns all its rows.

        One with optional conditions is planned anew for its values. PostgreSQL would keep one plan for all of them
        after five lists without conditions, and read whole tables for a single row from then on.
        """
        async with self.session() as session:
            if statement.has_optional_conditions:
                return await session.fetch(statement.text, *values)
            return await (await self._prepare(session, statement)).fetch(*values)

    async def fetchrow(self, statement: Statement, *values: object) -> Row | None:
        """The first row, or None."""
        rows = await self.fetch(statement, *values)
        return rows[0] if rows else None

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """The connection, alone. Errors of the way come out as StoreUnavailable, others as StoreError."""
        async with self._lock:
            session = self._session
            if session is None or session.is_closed():
                session = await self._reconnect()
            try:
                yield session
            except _LOST as error:
                self._drop()
                raise StoreUnavailable(_text(error)) from error
            except asyncpg.DataError as error:
                raise StoreError(f"a value that PostgreSQL cannot store: {_text(error)}") from error
            except asyncpg.PostgresError as error:
                raise StoreError(_text(error)) from error
            except asyncpg.InterfaceError as error:
                if not session.is_closed():
                    raise
                raise StoreUnavailable(_text(error)) from error

    async def prepared(self, session: Session, statement: Statement) -> PreparedStatement[Row]:
        """The statement, prepared on the session that `session()` gave."""
        return await self._prepare(session, statement)

    async def close(self) -> None:
        """Ends the connection. It would be made again by the next call."""
        async with self._lock:
            session, self._session = self._session, None
            self._prepared = {}
            if session is None or session.is_closed():
                return
            try:
                await session.close(timeout=2.0)
            except Exception:  # whatever the way or asyncpg says to that: it is over
                session.terminate()

    async def _prepare(self, session: Session, statement: Statement) -> PreparedStatement[Row]:
        ready = self._prepared.get(statement.text)
        if ready is None:
            # A name of its own: unnamed statements are parsed and planned again at each use. Never the same
            # again: a call that was cancelled may have left its statement on the server.
            self._names += 1
            ready = await session.prepare(statement.text, name=f"tradewind_{self._names}")
            self._prepared[statement.text] = ready
        return ready

    async def _reconnect(self) -> Session:
        self._prepared = {}
        wait = self._not_before - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        try:
            session = await self._greeted(await connect(self.settings))
        except (TradewindError, *_LOST, asyncpg.InterfaceError) as error:
            self._back_off = min(max(self._back_off * 2, FIRST_BACK_OFF_S), LAST_BACK_OFF_S)
            self._not_before = time.monotonic() + self._back_off * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            if isinstance(error, TradewindError):
                raise
            raise StoreUnavailable(_text(error)) from error
        self._back_off = 0.0
        self._session = session
        return session

    async def _greeted(self, session: Session) -> Session:
        """The same, which is nobody's to close where it cannot be greeted or the caller goes away meanwhile."""
        try:
            if self._greet is not None:
                await self._greet(session)
        except BaseException:
            session.terminate()
            raise
        return session

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._prepared = {}
        if session is not None and not session.is_closed():
            session.terminate()


class Readers:
    """A few lines for views; the least recently started stay unconnected until they are needed."""

    def __init__(self, settings: LineSettings, size: int) -> None:
        self._free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        self._all: Sequence[Line] = tuple(Line(settings) for _ in range(size))
        for line in reversed(self._all):
            self._free.put_nowait(line)

    @asynccontextmanager
    async def line(self) -> AsyncGenerator[Line]:
        """A line that nobody else uses."""
        line = await self._free.get()
        try:
            yield line
        finally:
            self._free.put_nowait(line)

    async def fetch(self, statement: Statement, *values: object) -> list[Row]:
        """As `Line.fetch`."""
        async with self.line() as line:
            return await line.fetch(statement, *values)

    async def fetchrow(self, statement: Statement, *values: object) -> Row | None:
        """As `Line.fetchrow`."""
        async with self.line() as line:
            return await line.fetchrow(statement, *values)

    async def page(self, page: Statement, count: Statement, given: Mapping[str, object]) -> tuple[list[Row], int]:
        """The rows of a list from `offset` on, `limit` at most, and how many the list has (the column `total`).

        A list that ends on this page needs no counting: to count may cost as much as to find.
        """
        limit, offset = cast("int", given["limit"]), cast("int", given["offset"])
        async with self.line() as line:
            rows = await line.fetch(page, *page.values(given))
            if len(rows) < limit and (rows or not offset):
                return rows, offset + len(rows)
            [counted] = await line.fetch(count, *count.values(given))
        total: int = counted["total"]
        return rows, total

    async def close(self) -> None:
        """Ends all connections."""
        for line in self._all:
            await line.close()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
