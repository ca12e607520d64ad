"""Asking an HTTP endpoint again and again for what is new: for the watchers of assets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeGuard, cast

import orjson

from tradewind.authoring.triggers import BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.model.errors import AuthoringError, TradewindError
from tradewind_providers.http.hook import HttpHook
from tradewind_providers.http.response import HttpResponse


@trigger(kind="tradewind.http_poll")
class HttpPollTrigger(Trigger, BaseEventTrigger):
    """Asks `endpoint` every `poll_interval` seconds.

    Without `items` it fires when the answer is another one, with the body (JSON or text) as the payload. It asks with
    `If-None-Match` and `If-Modified-Since`; where the server gives neither ETag nor Last-Modified, the body counts.
    With `items` the answer is JSON and that place in it, such as `"data.orders"` (`""`: all of it), a list: it fires
    for each item whose `item_key` it has not fired for. `cursor_param` is the query parameter in which it then tells
    the key of the last item. `params` are further ones.
    """

    endpoint: str
    http_conn_id: str = HttpHook.default_conn_name
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    poll_interval: float = 30.0
    items: str | None = None
    item_key: str = "id"
    cursor_param: str | None = None

    def __post_init__(self) -> None:
        if self.poll_interval <= 0:
            raise AuthoringError(
                f"HttpPollTrigger: poll_interval has to be a number of seconds, not {self.poll_interval!r}"
            )
        if self.cursor_param is not None and self.items is None:
            raise AuthoringError("HttpPollTrigger: cursor_param is for lists: give items= too")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fires for what is new."""
        known: dict[str, str] = {}
        last: str | None = None
        given: set[str] = set()
        while True:
            response = await self._ask(known, last)
            if response.status_code != 304:
                if self.items is None:
                    key = _version(response)
                    if key not in given:
                        given = {key}
                        yield TriggerEvent(_body(response), key=key)
                else:
                    listed = self._listed(response)
                    for key, item in listed:
                        if key not in given:
                            yield TriggerEvent(item, key=key)
                        last = key
                    given = {key for key, _ in listed}  # of older ones the store knows the keys
                known = _validators(response)
            await asyncio.sleep(self.poll_interval)

    async def _ask(self, known: Mapping[str, str], last: str | None) -> HttpResponse:
        """The answer. Raises HttpStatusError, and what aiohttp raises where nobody answers."""
        params = dict(self.params or {})
        if self.cursor_param is not None and last is not None:
            params[self.cursor_param] = last
            known = {}  # they belong to the answer to another question
        hook = HttpHook("GET", http_conn_id=self.http_conn_id)
        return await hook.send(self.endpoint, params, {**(self.headers or {}), **known}, method="GET")

    def _listed(self, response: HttpResponse) -> list[tuple[str, Any]]:
        """(key, item) of all items. Raises TradewindError where the answer is none that was said."""
        where = f"HttpPollTrigger: {response.url}"
        try:
            place: Any = orjson.loads(response.content)
        except ValueError as why:
            raise TradewindError(f"{where} answers with no JSON: {why}") from why
        for name in (self.items or "").split(".") if self.items else ():
            place = cast("dict[str, Any]", place).get(name) if isinstance(place, dict) else None
        if not _is_list(place):
            raise TradewindError(f"{where}: there is no list at items={self.items!r} of the answer")
        found: list[tuple[str, Any]] = []
        for item in place:
            fields = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
            key = fields.get(self.item_key)
            if key is None:
                raise TradewindError(f"{where}: an item has no item_key={self.item_key!r}: {fields}"[:500])
            found.append((str(key), fields))
        return found


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _validators(response: HttpResponse) -> dict[str, str]:
    said = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
    return {name: response.headers[header] for name, header in said if response.headers.get(header)}


def _version(response: HttpResponse) -> str:
    told = _validators(response)
    return "|".join(told.values()) if told else hashlib.sha256(response.content).hexdigest()


def _body(response: HttpResponse) -> Any:
    try:
        return orjson.loads(response.content)
    except ValueError:
        return response.text
