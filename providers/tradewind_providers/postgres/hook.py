"""`PostgresHook`: statements in PostgreSQL, for code that awaits and code that does not."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from tradewind.authoring.connection import Connection
from tradewind.authoring.loop_clients import run_alone
from tradewind.model.errors import TradewindError
from tradewind_providers.postgres.listening import Notices, PostgresListenHook, listening_with
from tradewind_providers.postgres.literals import literal, with_parameters
from tradewind_providers.postgres.pool import PostgresPoolHook
from tradewind_providers.postgres.rows import Rows, rows_of
from tradewind_providers.sql.handlers import fetch_all_handler, fetch_one_handler, return_single_query_results
from tradewind_providers.sql.hook import DbApiHook, Handler, Parameters, statements_of, table_of
from tradewind_providers.sql.splitting import split_sql_string
from tradewind_providers.sql.statements import copy_in, copy_out, insert, on_conflict

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

T = TypeVar("T")

_PIECE: Final = 256 * 1024
"""Bytes of a file that are read at once."""
_OURS: Final = frozenset({fetch_all_handler, fetch_one_handler})


class PostgresHook(PostgresPoolHook, DbApiHook):
    """Runs statements. `run`, `get_records` and the like block and use a connection of their own; their forms for
    coroutines (`run_async`, `fetch_records` …) use the pool that all code on the loop shares.

    Parameters are `%s` with a sequence or `%(name)s` with a mapping; without parameters a percent sign is itself.
    """

    supports_autocommit: ClassVar[bool] = True
    supports_executemany: ClassVar[bool] = True
    shares_with: ClassVar[type[Any] | None] = PostgresPoolHook

    def __init__(
        self,
        postgres_conn_id: str | None = None,
        *,
        database: str | None = None,
        schema: str | None = None,
        options: str | None = None,
        connection: Connection | None = None,
        enable_log_db_messages: bool = False,
        log_sql: bool = True,
    ) -> None:
        """`database` (or `schema`): instead of the connection's own; `connection`: instead of looking one up;
        `enable_log_db_messages`: what the server says (`RAISE NOTICE`) is logged.
        """
        PostgresPoolHook.__init__(self, postgres_conn_id, database=database or schema, options=options)
        self._given = connection
        self.enable_log_db_messages = enable_log_db_messages
        self.log_sql = log_sql
        self.descriptions: list[Any] = []

    # ------------------------------------------------------------------ on a loop

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[PoolConnectionProxy[Any]]:
        """A connection of the shared pool."""
        async with self as pool, pool.acquire() as session:
            if not self.enable_log_db_messages:
                yield session
                return
            session.add_log_listener(self._say_message)
            try:
                yield session
            finally:
                session.remove_log_listener(self._say_message)

    def listening(self, channel: str) -> AbstractAsyncContextManager[Notices]:
        """What is said with NOTIFY on the channel during the block, see `Notices`."""
        hook = PostgresListenHook(self.conn_id, database=self.database)
        return listening_with(hook.using(self._given) if self._given is not None else hook, channel)

    async def run_async(
        self,
        sql: str | Sequence[str],
        autocommit: bool = False,
        parameters: Parameters = None,
        handler: Handler | None = None,
        split_statements: bool | None = None,
        return_last: bool = True,
    ) -> Any:
        """`run` for coroutines. The handler is called in a thread."""
        listed = statements_of(sql, split_statements)
        single = return_single_query_results(sql, return_last, split_statements)
        results: list[Any] = []
        self.descriptions = []
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self.session())
            if not autocommit:
                await stack.enter_async_context(session.transaction())
            for text in listed:
                self.say(text, parameters)
                rows = await self._last_of(session, text, parameters)
                if handler is not None:
                    self.descriptions.append(rows.description)
                    results.append(handler(rows) if handler in _OURS else await asyncio.to_thread(handler, rows))
        return None if handler is None else results[-1] if single else results

    async def fetch_records(self, sql: str | Sequence[str], parameters: Parameters = None) -> Any:
        """`get_records` for coroutines."""
        return await self.run_async(sql, parameters=parameters, handler=fetch_all_handler)

    async def fetch_first(self, sql: str | Sequence[str], parameters: Parameters = None) -> Any:
        """`get_first` for coroutines."""
        return await self.run_async(sql, parameters=parameters, handler=fetch_one_handler)

    async def fetch_df(
        self, sql: str | Sequence[str], parameters: Parameters = None, *, df_type: str = "pandas", **options: Any
    ) -> Any:
        """`get_df` for coroutines."""

        def table(rows: Any) -> Any:
            return table_of(rows, df_type, options)

        return await self.run_async(sql, parameters=parameters, handler=table)

    async def insert_rows_async(
        self,
        table: str,
        rows: Iterable[Sequence[Any]],
        target_fields: Iterable[str] | None = None,
        commit_every: int = 1000,
        replace: bool = False,
        *,
        replace_index: str | Iterable[str] | None = None,
    ) -> int:
        """`insert_rows` for coroutines. Returns how many rows there were."""
        fields = list(target_fields or ())
        ending = _replacing(fields, replace_index) if replace else ""
        done = 0
        async with self.session() as session, AsyncExitStack() as whole:
            if not commit_every:
                await whole.enter_async_context(session.transaction())
            for piece in _pieces(rows, commit_every or 1000):
                values = [f"({', '.join(literal(cell) for cell in row)})" for row in piece]
                await session.execute(insert(table, fields, values) + ending)
                done += len(piece)
        self.log.info("Done loading. Loaded a total of %s rows into %s", done, table)
        return done

    async def copy_async(self, sql: str, filename: str | Path) -> str:
        """Runs a COPY: `FROM STDIN` reads the file, `TO STDOUT` writes it. Returns the status, such as `COPY 3`."""
        path = Path(filename)
        inward = "stdin" in sql.lower()
        async with self.session() as session:
            any_session: Any = session  # the public calls of asyncpg write the statement themselves
            with await asyncio.to_thread(path.open, "rb" if inward else "wb") as file:
                if inward:
                    return str(await any_session._copy_in(sql, _content(file), None))  # noqa: SLF001 - see above

                async def take(data: bytes) -> None:
                    await asyncio.to_thread(file.write, data)

                return str(await any_session._copy_out(sql, take, None))  # noqa: SLF001 - see above

    # ------------------------------------------------------------------ without a loop

    def run(
        self,
        sql: str | Sequence[str],
        autocommit: bool = False,
        parameters: Parameters = None,
        handler: Handler | None = None,
        split_statements: bool = False,
        return_last: bool = True,
    ) -> Any:
        """Runs a statement, or several in a list or a text, in one transaction unless `autocommit`.

        Without a handler nothing is returned; else what it makes of the last statement's rows, or a list with one
        result for each where statements are a list or `return_last` is off with `split_statements`. Raises what
        asyncpg raises.
        """
        hook = self._alone()
        try:
            return run_alone(
                lambda: hook.run_async(sql, autocommit, parameters, handler, split_statements, return_last),
                "hook.run_async(…)",
            )
        finally:
            self.descriptions = hook.descriptions

    def insert_rows(
        self,
        table: str,
        rows: Iterable[Sequence[Any]],
        target_fields: Iterable[str] | None = None,
        commit_every: int = 1000,
        replace: bool = False,
        *,
        replace_index: str | Iterable[str] | None = None,
        **_of_drivers: Any,
    ) -> None:
        """Puts rows into a table and commits after each `commit_every` of them (0: once, at the end).

        With `replace` rows of the same `replace_index` are overwritten; that needs `target_fields`. Raises
        ValueError without them. `_of_drivers`: `executemany` and its kin are accepted; rows go in together anyway.
        """
        hook = self._alone()
        run_alone(
            lambda: hook.insert_rows_async(
                table, rows, target_fields, commit_every, replace, replace_index=replace_index
            ),
            "hook.insert_rows_async(…)",
        )

    def copy_expert(self, sql: str, filename: str | Path) -> None:
        """Runs a COPY between a file and the database, see `copy_async`. `TO STDOUT` makes the file anew."""
        hook = self._alone()
        run_alone(lambda: hook.copy_async(sql, filename), "hook.copy_async(…)")

    def bulk_load(self, table: str, tmp_file: str) -> None:
        """Loads a file of tab-separated lines into a table."""
        self.copy_expert(copy_in(table), tmp_file)

    def bulk_dump(self, table: str, tmp_file: str) -> None:
        """Writes a table into a file of tab-separated lines."""
        self.copy_expert(copy_out(table), tmp_file)

    def get_conn(self) -> Any:
        """A connection of psycopg, 3 or 2, whichever is installed. Raises TradewindError without both."""
        for driver in ("psycopg", "psycopg2"):
            if importlib.util.find_spec(driver) is not None:
                settings = self.settings_of(self.known_connection())
                connection: Any = importlib.import_module(driver).connect(**settings.for_psycopg())
                return connection
        raise TradewindError(
            "PostgresHook.get_conn gives a connection of psycopg, which is not installed: install "
            "tradewind[postgres] (or psycopg2), or use hook.run(…), hook.get_records(…) and the like, which need none"
        )

    def get_uri(self) -> str:
        """The address of the database, with its password."""
        connection = Connection.from_json(self.known_connection().stored_text())
        connection.schema = self.database or connection.schema
        return connection.get_uri().replace("postgres://", "postgresql://", 1)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the database answers, and which one it is. Blocks, and raises nothing."""
        try:
            return run_alone(self._alone().try_out, "hook.try_out()")
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"

    async def try_out(self) -> tuple[bool, str]:
        """`test_connection` for coroutines. Raises what asyncpg raises."""
        async with self.session() as session:
            version = session.get_server_version()
        return True, f"Connection successfully tested: PostgreSQL {version.major}.{version.minor}"

    def get_table_primary_key(self, table: str, schema: str | None = "public") -> list[str] | None:
        """Names of the columns of a table's primary key, in its order; None where it has none."""
        found = self.get_records(_PRIMARY_KEY, (f"{schema}.{table}" if schema else table,))
        return [row[0] for row in found] or None

    # ------------------------------------------------------------------ within

    def _alone(self) -> PostgresHook:
        """This hook for one call on a loop of its own."""
        return self.using(self.known_connection())

    async def _last_of(self, session: PoolConnectionProxy[Any], text: str, parameters: Parameters) -> Rows:
        """A text may hold several statements: all are run, and what the last one gives counts."""
        pieces = split_sql_string(with_parameters(text, parameters)) or [text]
        for piece in pieces[:-1]:
            await session.execute(piece)
        return await rows_of(session, pieces[-1])

    def _say_message(self, _session: Any, message: Any) -> None:
        self.log.info("%s: %s", message.severity, message.message)


_PRIMARY_KEY: Final = """
select attname
from pg_constraint, unnest(conkey) with ordinality as key (place, number)
join pg_attribute on attnum = place
where conrelid = %s::regclass and attrelid = conrelid and contype = 'p'
order by number
"""


def _pieces(rows: Iterable[Sequence[Any]], size: int) -> Iterator[list[Sequence[Any]]]:
    rest = iter(rows)
    while piece := list(islice(rest, size)):
        yield piece


def _replacing(fields: Sequence[str], replace_index: str | Iterable[str] | None) -> str:
    if not fields:
        raise ValueError("PostgreSQL ON CONFLICT upsert syntax requires column names")
    if not replace_index:
        raise ValueError("PostgreSQL ON CONFLICT upsert syntax requires an unique index")
    return on_conflict(fields, [replace_index] if isinstance(replace_index, str) else list(replace_index))


async def _content(file: Any) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece
