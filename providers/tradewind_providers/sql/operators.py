"""Tasks that run SQL statements, in whatever database the connection is of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.connection import Connection
from tradewind.authoring.connection_lookups import lookups_here
from tradewind.authoring.hook import hook_of
from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.operator import BaseOperator, OutcomeForm
from tradewind.model.errors import AuthoringError, TaskFailed, TradewindError
from tradewind_providers.sql.handlers import fetch_all_handler, return_single_query_results
from tradewind_providers.sql.hook import DbApiHook, Handler, Parameters


class SQLPlace(TypedDict, total=False):
    """Which database."""

    conn_id: str | None
    database: str | None
    hook_params: Mapping[str, Any] | None
    retry_on_failure: bool


class SQLPlaceArguments(SQLPlace, OperatorArguments, total=False):
    """Arguments of every operator of this kind."""


class BaseSQLOperator(BaseOperator):
    """What operators with a SQL connection have in common. `conn_id_field` names the attribute that has its id.

    They are coroutines: a hook with a form for coroutines, as PostgreSQL's, runs on the loop, any other one in a
    thread. Give `executor="local"` for a process of its own.
    """

    conn_id_field: ClassVar[str] = "conn_id"
    default_conn_id: ClassVar[str | None] = None
    template_fields: Sequence[str] = ("conn_id", "database", "hook_params")
    own_arguments: ClassVar[frozenset[str]] = frozenset(SQLPlace.__annotations__)
    ui_color = "#cdaaed"

    def __init__(self, **arguments: Unpack[SQLPlaceArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in SQLPlace.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        self.conn_id: str = own.get("conn_id") or self.default_conn_id or ""
        if not self.conn_id:
            raise AuthoringError(f"{type(self).__name__} {self.task_id!r}: conn_id is missing: which database?")
        self.database: str | None = own.get("database")
        self.hook_params: Mapping[str, Any] = own.get("hook_params") or {}
        self.retry_on_failure: bool = own.get("retry_on_failure", True)

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `execute` of its own."""
        module = type(self).execute.__module__
        return module.startswith("tradewind_providers.") or super().is_async

    def get_db_hook(self) -> Any:
        """The hook of the connection. Blocks. Raises TradewindError where it is of no SQL database."""
        return self._hook_for(Connection.get(self.conn_id))

    def get_hook(self) -> Any:
        """See `get_db_hook`."""
        return self.get_db_hook()

    async def hook_here(self) -> Any:
        """`get_db_hook` for coroutines; a subclass's own is called in a thread."""
        if type(self).get_db_hook is not BaseSQLOperator.get_db_hook:
            return await asyncio.to_thread(self.get_db_hook)
        connection = (await lookups_here().get(self.conn_id)).connection
        return await asyncio.to_thread(self._hook_for, connection)

    async def run_here(self, sql: str | Sequence[str], **options: Any) -> Any:
        """What the hook's `run` gives, without blocking the loop."""
        return await run_with(await self.hook_here(), sql, **options)

    def _hook_for(self, connection: Connection) -> Any:
        return sql_hook_of(connection, self.hook_params, self.database)


def sql_hook_of(connection: Connection, params: Mapping[str, Any], database: str | None) -> Any:
    """The hook of a connection to a SQL database. Raises TradewindError for other connections."""
    hook: Any = hook_of(connection, dict(params))
    if not isinstance(hook, DbApiHook) and not hasattr(hook, "get_records"):
        raise TradewindError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}, whose hook "
            f"({type(hook).__name__}) runs no SQL"
        )
    if database:
        chosen: Any = hook
        chosen.database = database
        if hasattr(chosen, "schema"):
            chosen.schema = database
    return hook


async def run_with(hook: Any, sql: str | Sequence[str], **options: Any) -> Any:
    """`hook.run` without blocking the loop: its form for coroutines, or in a thread."""
    if hasattr(hook, "run_async"):
        return await hook.run_async(sql, **options)
    return await asyncio.to_thread(lambda: hook.run(sql, **options))


class SQLOptions(TypedDict, total=False):
    """How statements are run and what becomes of their rows."""

    autocommit: bool
    parameters: Parameters
    handler: Handler | None
    output_processor: Callable[[list[Any], list[Any]], list[Any]] | None
    split_statements: bool | None
    return_last: bool
    show_return_value_in_logs: bool
    requires_result_fetch: bool


class SQLArguments(SQLOptions, SQLPlaceArguments, total=False):
    """All arguments of `SQLExecuteQueryOperator` beside the statements."""


class SQLExecuteQueryOperator(BaseSQLOperator):
    """Runs `sql`: a text, a list of texts, or the name of a `.sql` file, which is rendered. The rows are its result.

    All statements are one transaction unless `autocommit`. `handler` makes the result of a cursor (all rows as tuples
    by default; None fetches nothing); with a list, or with `split_statements` and `return_last=False`, there is one
    result for each statement. Parameters are the driver's: `%s` or `%(name)s` in PostgreSQL.
    """

    template_fields: Sequence[str] = ("conn_id", "sql", "parameters", "hook_params", "database")
    template_ext: Sequence[str] = (".sql", ".json")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"sql": "sql", "parameters": "json", "hook_params": "json"}
    own_arguments: ClassVar[frozenset[str]] = frozenset(SQLOptions.__annotations__) | BaseSQLOperator.own_arguments

    def __init__(self, *, sql: str | Sequence[str], **arguments: Unpack[SQLArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in SQLOptions.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        self.sql = sql
        self.autocommit: bool = own.get("autocommit", False)
        self.parameters: Parameters = own.get("parameters")
        self.handler: Handler | None = own.get("handler", fetch_all_handler)
        self.output_processor = own.get("output_processor")
        self.split_statements: bool | None = own.get("split_statements")
        self.return_last: bool = own.get("return_last", True)
        self.show_return_value_in_logs: bool = own.get("show_return_value_in_logs", False)
        self.requires_result_fetch: bool = own.get("requires_result_fetch", False)

    def execute(self, context: Any) -> Any:
        """Runs the statements: on an event loop a coroutine, elsewhere their result. Raises what the driver raises."""
        return either_way(lambda: self._execute(context))

    async def _execute(self, context: Any) -> Any:
        del context
        self.log.info("Executing: %s", self.sql)
        hook = await self.hook_here()
        fetches = self.do_xcom_push or self.requires_result_fetch or self.show_return_value_in_logs
        options: dict[str, Any] = {"autocommit": self.autocommit, "parameters": self.parameters}
        options |= {"handler": self.handler if fetches else None, "return_last": self.return_last}
        if self.split_statements is not None:
            options["split_statements"] = self.split_statements
        output = await run_with(hook, self.sql, **options)
        if options["handler"] is None:
            return None
        if self.output_processor is not None:
            output = await asyncio.to_thread(self._processed, output, list(getattr(hook, "descriptions", ())))
        if self.show_return_value_in_logs:
            self.log.info("Operator output is: %s", output)
        return output if self.do_xcom_push else None

    def _processed(self, output: Any, descriptions: list[Any]) -> Any:
        assert self.output_processor is not None
        if return_single_query_results(self.sql, self.return_last, self.split_statements):
            return self.output_processor([output], descriptions)[-1]
        return self.output_processor(output, descriptions)


class BranchSQLOperator(BaseSQLOperator):
    """Follows one of two ways by the first cell of a query: true, a number that is not 0, or a word such as "yes"."""

    outcome_kind: ClassVar[OutcomeForm] = "branch"
    template_fields: Sequence[str] = ("conn_id", "sql", "parameters", "hook_params", "database")
    template_ext: Sequence[str] = (".sql",)
    own_arguments: ClassVar[frozenset[str]] = BaseSQLOperator.own_arguments

    def __init__(
        self,
        *,
        sql: str,
        follow_task_ids_if_true: str | Collection[str],
        follow_task_ids_if_false: str | Collection[str],
        parameters: Parameters = None,
        **arguments: Unpack[SQLPlaceArguments],
    ) -> None:
        super().__init__(**arguments)
        self.sql = sql
        self.parameters = parameters
        self.follow_task_ids_if_true = follow_task_ids_if_true
        self.follow_task_ids_if_false = follow_task_ids_if_false

    def execute(self, context: Any) -> Any:
        """Ids of the tasks to go on with. Raises TaskFailed where the query gives no row, or no yes or no."""
        return either_way(lambda: self._execute(context))

    async def _execute(self, context: Any) -> Any:
        del context
        rows = await self.run_here(self.sql, parameters=self.parameters, handler=fetch_all_handler)
        if not rows:
            raise TaskFailed("No rows returned from sql query. Operator expected True or False return value.")
        answer = rows[0][0] if isinstance(rows[0], (list, tuple)) else rows[0]
        chosen = self.follow_task_ids_if_true if is_yes(answer) else self.follow_task_ids_if_false
        return chosen if isinstance(chosen, str) else list(chosen)


_YES = frozenset({"true", "y", "yes", "1", "on"})
_NO = frozenset({"false", "n", "no", "0", "off"})


def is_yes(value: Any) -> bool:
    """Whether a cell says yes. Raises TaskFailed where it says neither."""
    if isinstance(value, (bool, int)):
        return bool(value)
    word = str(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise TaskFailed(f"Unexpected query return result {value!r} type {type(value)}: a word for true or false is needed")
