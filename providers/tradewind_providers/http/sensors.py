"""Waiting for an HTTP endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.loop_clients import either_way
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, PokeAnswer, PokeReturnValue, SensorSettings
from tradewind_providers.http.hook import HttpHook
from tradewind_providers.http.response import HttpStatusError


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
    """

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
        self.response_error_codes_allowlist = tuple(map(str, allowed)) if allowed is not None else ("404",)
        self.response_check: Callable[..., Any] | None = own.get("response_check")
        self.extra_options: Mapping[str, Any] = own.get("extra_options") or {}

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop: unless a subclass has a plain `poke` of its own."""
        return type(self).poke is HttpSensor.poke or super().is_async

    def poke(self, context: Any) -> Any:
        """Asks once: on an event loop a coroutine, elsewhere its answer. Raises HttpStatusError."""
        return either_way(lambda: self._poke(context))

    async def _poke(self, context: Any) -> PokeAnswer:
        self.log.info("Poking: %s", self.endpoint)
        hook = HttpHook(self.method, http_conn_id=self.http_conn_id)
        try:
            response = await hook.send(
                self.endpoint,
                self.request_params,
                self.headers,
                self.extra_options,
                method=self.method,
                **self.request_kwargs,
            )
        except HttpStatusError as error:
            if str(error).startswith(self.response_error_codes_allowlist):
                return False
            raise
        if self.response_check is None:
            return True
        answer: Any = await asyncio.to_thread(call_function, self.response_check, [response], {}, context)
        return answer if isinstance(answer, PokeReturnValue) else bool(answer)
