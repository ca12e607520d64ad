"""A stream of Redis with a group of consumers as a queue: for the watchers of assets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from tradewind.authoring.triggers import BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.model.errors import AuthoringError
from tradewind_providers.redis.hook import RedisHook

Entry = tuple[str, dict[str, str]]
AT_A_TIME = 100


@trigger(kind="tradewind.redis_stream")
class RedisStreamTrigger(Trigger, BaseEventTrigger):
    """Fires for each entry of `stream`, with its fields as the payload. Once its event is committed it is acknowledged
    for `group` (XACK), which is made where there is none: it begins with the first entry.

    What a `consumer` (by default the name of the machine) has read and not acknowledged comes again when it begins;
    what another one leaves for `claim_after` seconds is taken over. `block`: seconds that one question waits.
    """

    stream: str
    conn_id: str = RedisHook.default_conn_name
    group: str = "tradewind"
    consumer: str | None = None
    claim_after: float = 60.0
    block: float = 5.0

    def __post_init__(self) -> None:
        for name in ("stream", "group"):
            if not getattr(self, name):
                raise AuthoringError(f"RedisStreamTrigger: {name}: a name is needed")
        for name in ("claim_after", "block"):
            if getattr(self, name) <= 0:
                raise AuthoringError(f"RedisStreamTrigger: {name} has to be a number of seconds above 0")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """What was left first, then what comes."""
        consumer = self.consumer or socket.gethostname()
        clock = asyncio.get_running_loop().time
        async with RedisHook(self.conn_id) as client:
            await self._make_group(client)
            left, claim_at = "0", clock()
            while True:
                entries: list[Entry] = []
                if clock() >= claim_at:
                    claim_at = clock() + self.claim_after
                    entries = await self._claimed(client, consumer)
                if not entries:
                    entries = await self._read(client, consumer, left)
                    left = ">" if not entries else left if left == ">" else entries[-1][0]
                for number, fields in entries:
                    yield TriggerEvent(fields, ack=self._acknowledging(client, number), key=number)

    async def _make_group(self, client: Any) -> None:
        from redis.exceptions import ResponseError

        try:
            await client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except ResponseError as why:
            if not str(why).startswith("BUSYGROUP"):  # it is there
                raise

    async def _read(self, client: Any, consumer: str, after: str) -> list[Entry]:
        """Entries of this consumer after that one; after `>`: new ones, waited for."""
        with suppress(TimeoutError):
            found: Any = await client.xreadgroup(
                self.group, consumer, {self.stream: after}, count=AT_A_TIME, block=int(self.block * 1000)
            )
            streams: Any = dict(found or {})  # by name; of the older protocol a list of pairs
            return _entries(streams.get(self.stream, ()))
        return []

    async def _claimed(self, client: Any, consumer: str) -> list[Entry]:
        """Entries that others have left."""
        idle = int(self.claim_after * 1000)
        found: Any = await client.xautoclaim(self.stream, self.group, consumer, idle, "0-0", count=AT_A_TIME)
        return _entries(found[1])

    def _acknowledging(self, client: Any, number: str) -> Any:
        async def ack() -> None:
            await client.xack(self.stream, self.group, number)

        return ack


def _entries(found: Any) -> list[Entry]:
    """Those that are still there: of one that was deleted only the number is known."""
    return [(str(number), dict(fields)) for number, fields in found if fields]
