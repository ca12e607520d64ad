"""`DbApiHook`: what hooks of SQL databases have in common."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar, TypeVar

from tradewind.authoring.hook import BaseHook
from tradewind_providers.sql.handlers import fetch_all_handler, fetch_one_handler, return_single_query_results
from tradewind_providers.sql.splitting import split_sql_string
from tradewind_providers.sql.statements import insert

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Any] | None
Handler = Callable[[Any], Any]


class DbApiHook(BaseHook):
    """Define `get_conn` to give a connection of a DB-API driver; the rest works with it.

    `run` commits when all statements are done, and rolls back where one fails.
    """

    supports_autocommit: ClassVar[bool] = False
    supports_executemany: ClassVar[bool] = False
    placeholder: ClassVar[str] = "%s"

    def __init__(self, *args: Any, schema: str | None = None, log_sql: bool = True, **kwargs: Any) -> None:
        super().__init__()
        given = args[0] if args else kwargs.pop(self.conn_name_attr, None) or kwargs.pop("conn_id", None)
        setattr(self, self.conn_name_attr, given or self.default_conn_name)
        self.database = schema or kwargs.pop("database", None)
        """Instead of the connection's own."""
        self.log_sql = log_sql
        self.descriptions: list[Any] = []

    # ------------------------------------------------------------------ reading

    def get_records(self, sql: str | Sequence[str], parameters: Parameters = None) -> Any:
        """All rows of the statement, as a list of tuples."""
        return self.run(sql, parameters=parameters, handler=fetch_all_handler)

    def get_first(self, sql: str | Sequence[str], parameters: Parameters = None) -> Any:
        """The first row, or None."""
        return self.run(sql, parameters=parameters, handler=fetch_one_handler)

    def get_df(
        self, sql: str | Sequence[str], parameters: Parameters = None, *, df_type: str = "pandas", **options: Any
    ) -> Any:
        """All rows as a table of pandas or polars, whose constructor gets `options`. Raises ImportError without it."""

        def table(cursor: Any) -> Any:
            return table_of(cursor, df_type, options)

        return self.run(sql, parameters=parameters, handler=table)

    get_pandas_df = get_df

    # ------------------------------------------------------------------ doing

    def run(
        self,
        sql: str | Sequence[str],
        autocommit: bool = False,
        parameters: Parameters = None,
        handler: Handler | None = None,
        split_statements: bool = False,
        return_last: bool = True,
    ) -> Any:
        """Runs one statement, several in a list, or (with `split_statements`) several in one text.

        Without a handler nothing is fetched. With one, its result for the last statement, or a list with one for each
        where statements are a list or `return_last` is off. Raises what the driver raises.
        """
        statements = statements_of(sql, split_statements)
        single = return_single_query_results(sql, return_last, split_statements)
        with closing(self.get_conn()) as connection:
            self.set_autocommit(connection, autocommit)
            results: list[Any] = []
            self.descriptions = []
            with closing(connection.cursor()) as cursor:
                for statement in statements:
                    self._run_command(cursor, statement, parameters)
                    if handler is not None:
                        results.append(handler(cursor))
                        self.descriptions.append(cursor.description)
            if not autocommit:
                connection.commit()
        return None if handler is None else results[-1] if single else results

    def insert_rows(
        self,
        table: str,
        rows: Iterable[Sequence[Any]],
        target_fields: Iterable[str] | None = None,
        commit_every: int = 1000,
        replace: bool = False,
    ) -> None:
        """Puts rows into a table; commits after each `commit_every` of them (0: once, at the end)."""
        if replace:
            raise NotImplementedError(f"{type(self).__name__} does not replace rows")
        fields = list(target_fields or ())
        done = 0
        with closing(self.get_conn()) as connection:
            self.set_autocommit(connection, False)
            with closing(connection.cursor()) as cursor:
                for done, row in enumerate(rows, 1):
                    values = [self.serialize_cell(cell, connection) for cell in row]
                    cursor.execute(insert(table, fields, [f"({', '.join([self.placeholder] * len(values))})"]), values)
                    if commit_every and done % commit_every == 0:
                        connection.commit()
            connection.commit()
        self.log.info("Done loading. Loaded a total of %s rows into %s", done, table)

    # ------------------------------------------------------------------ for subclasses

    def get_cursor(self) -> Any:
        """A cursor of a new connection."""
        return self.get_conn().cursor()

    def get_uri(self) -> str:
        """The address of the database, with its password."""
        return self.get_connection(getattr(self, self.conn_name_attr)).get_uri()

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        """Tells the driver, where it can."""
        if self.supports_autocommit:
            conn.autocommit = autocommit
        elif autocommit:
            self.log.warning("%s connections have no autocommit", type(self).__name__)

    def get_autocommit(self, conn: Any) -> bool:
        """Whether each statement is committed at once."""
        return bool(getattr(conn, "autocommit", False)) and self.supports_autocommit

    @staticmethod
    def serialize_cell(cell: object, conn: Any = None) -> Any:
        """A value as the driver takes it."""
        del conn
        return cell

    @staticmethod
    def split_sql_string(sql: str) -> list[str]:
        """The statements of one text."""
        return split_sql_string(sql)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the database answers."""
        try:
            self.get_first("select 1")
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"
        return True, "Connection successfully tested"

    def _run_command(self, cursor: Any, statement: str, parameters: Parameters) -> None:
        self.say(statement, parameters)
        if parameters is None:
            cursor.execute(statement)
        else:
            cursor.execute(statement, parameters)
        if getattr(cursor, "rowcount", -1) >= 0:
            self.log.info("Rows affected: %s", cursor.rowcount)

    def say(self, statement: str, parameters: Parameters) -> None:
        """Logs a statement before it is run."""
        if self.log_sql:
            self.log.info("Running statement: %s, parameters: %s", statement, parameters)


def statements_of(sql: str | Sequence[str], split_statements: bool | None) -> list[str]:
    """What is to be run, in its order. Raises ValueError where there is nothing."""
    if isinstance(sql, str):
        statements = split_sql_string(sql) if split_statements else [sql] if sql.strip() else []
    else:
        statements = list(sql)
    if not statements:
        raise ValueError("List of SQL statements is empty")
    return statements


def table_of(cursor: Any, df_type: str, options: Mapping[str, Any]) -> Any:
    """All rows of a cursor as a table. Raises ValueError for other kinds than pandas and polars."""
    names = [column[0] for column in cursor.description or ()]
    rows = cursor.fetchall()
    if df_type == "pandas":
        pandas: Any = importlib.import_module("pandas")
        return pandas.DataFrame.from_records(rows, columns=names, **options)
    if df_type == "polars":
        polars: Any = importlib.import_module("polars")
        return polars.DataFrame(rows, schema=names, orient="row", **options)
    raise ValueError(f"df_type: 'pandas' or 'polars', not {df_type!r}")
