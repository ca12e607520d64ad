"""Waiting for an HTTP endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, PokeAnswer, PokeReturnValue, SensorSettings
from tradewind_providers.http.hook import HttpHook
from tradewind_providers.http.triggers import NOT_YET, HttpSensorTrigger, answer_of


class HttpSensorOptions(TypedDict, total=False):
    """What is asked for and which answer ends the wait."""

    http_conn_id: str
    method: str
    request_params: Any
    request_kwargs: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    response_error_codes_allowlist: Sequence[str] | None
    response_check: Callable[..., bool | PokeReturnValue] | None
    extra_options: Mapping[str, Any] | None
    deferrable: bool
    tcp_keep_alive: bool
    tcp_keep_alive_idle: int
    tcp_keep_alive_count: int
    tcp_keep_alive_interval: int


class HttpSensorArguments(HttpSensorOptions, SensorSettings, total=False):
    """All arguments of `HttpSensor` beside the endpoint."""


class HttpSensor(BaseSensorOperator):
    """Waits until `endpoint` answers with a status below 400, and `response_check`, if any, gives something true.

    A status that begins with one of `response_error_codes_allowlist` (404) means "not yet"; any other from 400 on fails
    the task. Pokes are coroutines with the session that all tasks of the runtime share; the check runs in a thread.
    With `deferrable` it asks once; then, unless it has a check, an `HttpSensorTrigger` waits in the runtime.
    """

    outcome_kind: ClassVar[OutcomeForm] = "sensor"

    template_fields: Sequence[str] = ("endpoint", "request_params", "headers")
    own_arguments: ClassVar[frozenset[str]] = frozenset(HttpSensorOptions.__annotations__)

    def __init__(self, *, endpoint: str, **arguments: Unpack[HttpSensorArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in HttpSensorOptions.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        self.endpoint = endpoint
        self.http_conn_id: str = own.get("http_conn_id", HttpHook.default_conn_name)
        self.method: str = own.get("method", "GET")
        self.request_params: Any = own.get("request_params") or {}
        self.request_kwargs: Mapping[str, Any] = own.get("request_kwargs") or {}
        self.headers: Mapping[str, str] = own.get("headers") or {}
        allowed = own.get("response_error_codes_allowlist")
        self.response_error_codes_allowlist = tuple(map(str, allowed)) if allowed is not None else NOT_YET
        self.response_check: Callable[..., Any] | None = own.get("response_check")
        self.extra_options: Mapping[str, Any] = own.get("extra_options") or {}
        self.deferrable: bool = own.get("deferrable", current_defaults().deferrable)
        if self._defers:
            vars(self)["outcome_kind"] = "value"

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `poke` of its own."""
        kind = type(self)
        return (kind.poke is HttpSensor.poke and kind.execute is HttpSensor.execute) or super().is_async

    def poke(self, context: Any) -> Any:
        """Asks once: on an event loop a coroutine, elsewhere its answer. Raises HttpStatusError."""
        return either_way(lambda: self._poke(context))

    def execute(self, context: Any) -> Any:
        """Asks, and defers where it has to wait. Without `deferrable` it is asked as other sensors are."""
        if not self._defers:
            return super().execute(context)
        return either_way(lambda: self._look_and_defer(context))

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """The trigger has had its answer."""
        self.log.info("%s completed successfully.", self.task_id)

    @property
    def _defers(self) -> bool:
        """A check cannot be handed to a trigger: it is a function of the DAG file."""
        return self.deferrable and self.response_check is None

    async def _look_and_defer(self, context: Any) -> None:
        if not await self._poke(context):
            self.defer(trigger=self._trigger(), method_name="execute_complete", timeout=self.time_left)

    async def _poke(self, context: Any) -> PokeAnswer:
        self.log.info("Poking: %s", self.endpoint)
        response = await answer_of(self._trigger())
        if response is None or self.response_check is None:
            return response is not None
        answer: Any = await asyncio.to_thread(call_function, self.response_check, [response], {}, context)
        return answer if isinstance(answer, PokeReturnValue) else bool(answer)

    def _trigger(self) -> HttpSensorTrigger:
        return HttpSensorTrigger(
            self.endpoint,
            self.http_conn_id,
            self.method,
            data=self.request_params,
            headers=self.headers,
            extra_options=self.extra_options,
            request_kwargs=self.request_kwargs,
            response_error_codes_allowlist=self.response_error_codes_allowlist,
            poke_interval=self.poke_interval,
        )
