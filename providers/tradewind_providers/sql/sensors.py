"""Waiting for what a query gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Final, TypedDict, Unpack, cast

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.sensor import BaseSensorOperator, PokeAnswer, SensorSettings
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind_providers.sql.handlers import fetch_all_handler
from tradewind_providers.sql.hook import Parameters
from tradewind_providers.sql.operators import run_with
from tradewind_providers.sql.triggers import SqlTrigger, listening_by, sql_hook_here

_FIRST: Final[Callable[[Any], Any]] = itemgetter(0)


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

    Pokes are coroutines; a hook without a form for coroutines, and the functions, run in threads. With `deferrable` it
    asks once; then, unless functions judge the answer, an `SqlTrigger` waits in the runtime.
    """

    outcome_kind: ClassVar[OutcomeForm] = "sensor"

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
        self.selector: Callable[[Any], Any] = own.get("selector", _FIRST)
        self.fail_on_empty: bool = own.get("fail_on_empty", False)
        self.hook_params: Mapping[str, Any] = own.get("hook_params") or {}
        self.listen: str | None = own.get("listen")
        self.deferrable: bool = own.get("deferrable", current_defaults().deferrable)
        for name in ("success", "failure", "selector"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise AuthoringError(
                    f"{type(self).__name__} {self.task_id!r}: self.{name} is present, but not callable -> {function!r}"
                )
        if self._defers:
            vars(self)["outcome_kind"] = "value"

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `poke` of its own."""
        kind = type(self)
        return (kind.poke is SqlSensor.poke and kind.execute is SqlSensor.execute) or super().is_async

    def poke(self, context: Any) -> Any:
        """Asks once: on an event loop a coroutine, elsewhere its answer. Raises TaskFailed."""
        return either_way(lambda: self._poke(context))

    def execute(self, context: Any) -> Any:
        """Asks, and defers where it has to wait. Without `deferrable` it is asked as other sensors are."""
        if not self._defers:
            return super().execute(context)
        return either_way(self._look_and_defer)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """The trigger has had its answer."""
        self.log.info("%s completed successfully: the query gave %s", self.task_id, event)

    def next_poke_delay(self, pokes: int, draw: float) -> float:
        """As for other sensors; one that listens has waited already."""
        return 0.0 if self.listen is not None and not self.reschedule else super().next_poke_delay(pokes, draw)

    @property
    def _defers(self) -> bool:
        """What judges an answer cannot be handed to a trigger: functions of the DAG file."""
        own = self.success or self.failure or self.fail_on_empty or self.selector is not _FIRST
        return self.deferrable and not own

    async def _look_and_defer(self) -> None:
        if not await self._ask(await sql_hook_here(self.conn_id, self.hook_params)):
            trigger = SqlTrigger(
                self.conn_id, self.sql, self.parameters, self.hook_params, self.listen, self.poke_interval
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.time_left)

    async def _poke(self, context: Any) -> PokeAnswer:
        del context
        hook = await sql_hook_here(self.conn_id, self.hook_params)
        if self.listen is None or self.reschedule:
            return await self._ask(hook)
        async with listening_by(hook, self.listen, self.conn_id) as notices:  # first: what comes meanwhile is heard
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
