"""Waiting for an HTTP endpoint beside the runtime's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from tradewind.authoring.triggers import Trigger, TriggerEvent, trigger
from tradewind_providers.http.hook import HttpHook
from tradewind_providers.http.response import HttpResponse, HttpStatusError

NOT_YET = ("404",)
"""Statuses that mean that the wait goes on, where nobody says otherwise."""


@trigger(kind="tradewind.http")
class HttpSensorTrigger(Trigger):
    """Fires once `endpoint` answers with a status below 400. A status that begins with one of
    `response_error_codes_allowlist` means "not yet"; any other one, and nobody who answers, fails the wait.
    """

    endpoint: str
    http_conn_id: str = HttpHook.default_conn_name
    method: str = "GET"
    data: Any = None
    headers: Mapping[str, str] | None = None
    extra_options: Mapping[str, Any] | None = None
    request_kwargs: Mapping[str, Any] | None = None
    response_error_codes_allowlist: Sequence[str] = NOT_YET
    poke_interval: float = 5.0

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Asks every `poke_interval` seconds and yields True."""
        while await answer_of(self) is None:  # noqa: ASYNC110 - nobody tells when a service is ready
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(True)


async def answer_of(asked: HttpSensorTrigger) -> HttpResponse | None:
    """The answer of the endpoint; None for one that means "not yet". Raises HttpStatusError for others that are bad."""
    hook = HttpHook(asked.method, http_conn_id=asked.http_conn_id)
    try:
        return await hook.send(
            asked.endpoint,
            asked.data,
            asked.headers,
            asked.extra_options,
            method=asked.method,
            **(asked.request_kwargs or {}),
        )
    except HttpStatusError as error:
        if str(error).startswith(tuple(asked.response_error_codes_allowlist)):
            return None
        raise
