"""Waiting for what a query gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.connection_lookups import lookups_here
from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.sensor import BaseSensorOperator, PokeAnswer, SensorSettings
from tradewind.model.errors import AuthoringError, TaskFailed, TradewindError
from tradewind_providers.sql.handlers import fetch_all_handler
from tradewind_providers.sql.hook import Parameters
from tradewind_providers.sql.operators import run_with, sql_hook_of


class SqlSensorOptions(TypedDict, total=False):
    """What is asked and which answer ends the wait."""

    parameters: Parameters
    success: Callable[[Any], Any] | None
    failure: Callable[[Any], Any] | None
    selector: Callable[[Any], Any]
    fail_on_empty: bool
    hook_params: Mapping[str, Any] | None
    listen: str | None
    deferrable: bool


class SqlSensorArguments(SqlSensorOptions, SensorSettings, total=False):
    """All arguments of `SqlSensor` beside connection and query."""


class SqlSensor(BaseSensorOperator):
    """Waits until the first cell of the query's first row is true, or `success(cell)` is.

    `failure(cell)` fails the task; `selector` takes another cell than the first of the row; no rows mean "not yet", or
    fail the task with `fail_on_empty`. With `listen="channel"` in PostgreSQL the query is asked again whenever
    somebody says NOTIFY on the channel, and every `poke_interval` at the latest.

    Pokes are coroutines; a hook without a form for coroutines, and the functions, run in threads.
    """

    template_fields: Sequence[str] = ("conn_id", "sql", "parameters", "hook_params", "listen")
    template_ext: Sequence[str] = (".hql", ".sql")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"sql": "sql"}
    own_arguments: ClassVar[frozenset[str]] = frozenset(SqlSensorOptions.__annotations__)
    ui_color = "#7c7287"

    def __init__(self, *, sql: str, conn_id: str | None = None, **arguments: Unpack[SqlSensorArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in SqlSensorOptions.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        if not conn_id:
            raise AuthoringError(f"{type(self).__name__} {self.task_id!r}: conn_id is missing: which database?")
        self.conn_id = conn_id
        self.sql = sql
        self.parameters: Parameters = own.get("parameters")
        self.success: Callable[[Any], Any] | None = own.get("success")
        self.failure: Callable[[Any], Any] | None = own.get("failure")
        self.selector: Callable[[Any], Any] = own.get("selector", itemgetter(0))
        self.fail_on_empty: bool = own.get("fail_on_empty", False)
        self.hook_params: Mapping[str, Any] = own.get("hook_params") or {}
        self.listen: str | None = own.get("listen")
        for name in ("success", "failure", "selector"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise AuthoringError(
                    f"{type(self).__name__} {self.task_id!r}: self.{name} is present, but not callable -> {function!r}"
                )

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `poke` of its own."""
        return type(self).poke is SqlSensor.poke or super().is_async

    def poke(self, context: Any) -> Any:
        """Asks once: on an event loop a coroutine, elsewhere its answer. Raises TaskFailed."""
        return either_way(lambda: self._poke(context))

    def next_poke_delay(self, pokes: int, draw: float) -> float:
        """As for other sensors; one that listens has waited already."""
        return 0.0 if self.listen is not None and not self.reschedule else super().next_poke_delay(pokes, draw)

    async def _poke(self, context: Any) -> PokeAnswer:
        del context
        connection = (await lookups_here().get(self.conn_id)).connection
        hook = await asyncio.to_thread(sql_hook_of, connection, self.hook_params, None)
        if self.listen is None or self.reschedule:
            return await self._ask(hook)
        if not hasattr(hook, "listening"):
            raise TradewindError(
                f"SqlSensor {self.task_id!r}: listen works with PostgreSQL only; connection {self.conn_id!r} is of "
                f"type {connection.conn_type!r}"
            )
        async with hook.listening(self.listen) as notices:  # before the question: what comes meanwhile is heard
            if await self._ask(hook):
                return True
            await notices.wait(min(self.poke_interval, self.time_left.total_seconds()))
            return False

    async def _ask(self, hook: Any) -> bool:
        self.log.info("Poking: %s (with parameters %s)", self.sql, self.parameters)
        rows = await run_with(hook, self.sql, parameters=self.parameters, handler=fetch_all_handler)
        if rows:
            return await asyncio.to_thread(self._judge, rows[0])
        if self.fail_on_empty:
            raise TaskFailed("No rows returned, raising as per fail_on_empty flag")
        return False

    def _judge(self, row: Any) -> bool:
        cell = self.selector(row)
        if self.failure is not None and self.failure(cell):
            raise TaskFailed(f"Failure criteria met. self.failure({cell}) returned True")
        return bool(self.success(cell) if self.success is not None else cell)
