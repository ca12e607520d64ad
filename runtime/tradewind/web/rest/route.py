"""A route as data, the call that its handler gets, and the wrapper between them and aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from tradewind.control_ports import Control
from tradewind.model.specs import Json
from tradewind.ports import StoreReads
from tradewind.web.auth.identity import Identity
from tradewind.web.body import read_json
from tradewind.web.keys import AUTHENTICATOR, CONTROL
from tradewind.web.rest.catalog import CATALOG, Catalog
from tradewind.web.rest.params import Kind, Param, Value, read_body, read_path, read_query
from tradewind.web.roles import Permission

PREFIX: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request: every declared value is there, of its type or None."""

    request: web.Request
    identity: Identity
    values: Mapping[str, Value]
    body: Mapping[str, Value] = field(default_factory=dict[str, Value])
    given: frozenset[str] = frozenset()
    """Names of the body's fields that the caller really sent."""

    @property
    def control(self) -> Control:
        """What carries wishes out."""
        return self.request.app[CONTROL]

    @property
    def reads(self) -> StoreReads:
        """What views read."""
        return self.control.reads

    @property
    def catalog(self) -> Catalog:
        """DAG versions, kept between requests."""
        return self.request.app[CATALOG]

    def text(self, name: str) -> str:
        """A text that is always there (a path part, a required one)."""
        value = self._value(name)
        assert isinstance(value, str), name
        return value

    def maybe_text(self, name: str) -> str | None:
        """A text, or None where the caller gave none."""
        value = self._value(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str]:
        """A list of texts; empty where none was given."""
        value = self._value(name)
        return value if isinstance(value, list) else []

    def integer(self, name: str) -> int:
        """A whole number that is always there."""
        value = self._value(name)
        assert isinstance(value, int), name
        return value

    def maybe_integer(self, name: str) -> int | None:
        """A whole number, or None."""
        value = self._value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def maybe_number(self, name: str) -> float | None:
        """A number, or None."""
        value = self._value(name)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool:
        """True or false; false where nothing was given and there is no default."""
        return self._value(name) is True

    def maybe_flag(self, name: str) -> bool | None:
        """True, false or None."""
        value = self._value(name)
        return value if isinstance(value, bool) else None

    def instant(self, name: str) -> datetime | None:
        """A time in UTC, or None."""
        value = self._value(name)
        return value if isinstance(value, datetime) else None

    def mapping(self, name: str) -> dict[str, Json] | None:
        """A JSON object, or None."""
        value = self._value(name)
        return value if isinstance(value, dict) else None

    def _value(self, name: str) -> Value:
        return self.body[name] if name in self.body else self.values[name]


Answerer = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. The path is below ``/api/v1``; `answers` maps a status to the name
    of its schema ('' for no body, or a media type for what is not JSON).
    """

    method: str
    path: str
    operation: str
    handler: Answerer
    tag: str
    doc: str
    permission: Permission | None = Permission.READ
    query: tuple[Param, ...] = ()
    body: tuple[Param, ...] | None = None
    answers: Mapping[int, str] = field(default_factory=dict[int, str])
    media: tuple[str, ...] = ("application/json",)
    path_kinds: Mapping[str, Kind] = field(default_factory=dict[str, Kind])

    def path_params(self) -> tuple[Param, ...]:
        """The path's parts in braces."""
        names = [part[1:-1].partition(":")[0] for part in self.path.split("/") if part.startswith("{")]
        return tuple(
            Param(name, self.path_kinds.get(name, Kind.TEXT), PATH_DOCS.get(name, ""), required=True) for name in names
        )


PATH_DOCS: Final = {
    "dag_id": "The DAG's id.",
    "dag_run_id": "The run's id, such as `manual__2026-01-01T00:00:00+00:00`.",
    "task_id": "The task's id, with its groups.",
    "task_try_number": "Which try: 1 is the first.",
    "map_index": "Which instance of a mapped task; -1 for a task that is not mapped.",
    "connection_id": "The connection's id.",
    "variable_key": "The variable's key.",
    "version_number": "Which version: 1 is the first.",
    "asset_id": "The asset's number.",
    "state_key": "The key of the value; it may hold slashes.",
    "bundle_name": "The bundle's name.",
    "pool_name": "The pool's name.",
    "uri": "The URI of the asset; its slashes may be written as they are.",
    "name": "The name of the event.",
    "query_name": "The name that the task publishes under.",
    "signal_name": "The name that the task waits for.",
    "input_name": "The name of the question; of `ctx.ask` the form's, if it was given none.",
    "xcom_key": "The XCom's key, such as `return_value`.",
}


def as_handler(route: Route) -> Handler:
    """The aiohttp handler of a route: who asks, what they sent, then the route's own handler."""
    path_params = route.path_params()

    async def handle(request: web.Request) -> web.StreamResponse:
        identity = await request.app[AUTHENTICATOR].demand(request, route.permission)
        values = read_path(path_params, request.match_info)
        query = {name: request.query.getall(name) for name in request.query}
        values.update(read_query(route.query, query))
        if route.body is None:
            return await route.handler(Call(request, identity, values))
        raw = await read_json(request)
        body = read_body(route.body, raw)
        return await route.handler(Call(request, identity, values, body, frozenset(cast("dict[str, Json]", raw))))

    return handle
