"""A queue of AMQP (RabbitMQ) as a source of events: for the watchers of assets."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson

from tradewind.authoring.triggers import BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.model.errors import AuthoringError
from tradewind_providers.amqp.hook import AmqpHook


@trigger(kind="tradewind.amqp_queue")
class AmqpQueueTrigger(Trigger, BaseEventTrigger):
    """Fires for each message of `queue`, which is acknowledged when its event is committed.

    The payload is the body where that is a JSON object; else the body stands under `body`: as what it is in JSON, as
    text, or, where it is neither, as Base64 digits under `body_base64`. The event is known again by the message's id,
    so senders that set one (`message_id`) may repeat themselves, and a message that comes again is taken once.

    `declare`: makes the queue, a durable one, where there is none; else a missing queue is an error. `prefetch`: so
    many messages are sent ahead.
    """

    queue: str
    conn_id: str = AmqpHook.default_conn_name
    declare: bool = False
    prefetch: int = 100

    def __post_init__(self) -> None:
        if not self.queue:
            raise AuthoringError("AmqpQueueTrigger: queue: a name is needed")
        if not 1 <= self.prefetch <= 65_535:
            raise AuthoringError(f"AmqpQueueTrigger: prefetch has to be from 1 to 65535, not {self.prefetch!r}")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Takes message after message, over a channel of its own: with it go those that were not acknowledged."""
        async with AmqpHook(self.conn_id) as connection:
            channel: Any = await connection.channel()
            try:
                await channel.set_qos(prefetch_count=self.prefetch)
                queue = await channel.declare_queue(self.queue, durable=True, passive=not self.declare)
                async with queue.iterator() as messages:
                    async for message in messages:
                        key: str | None = message.message_id or None
                        yield TriggerEvent(payload_of(message.body), ack=message.ack, key=key)
            finally:
                await channel.close()


def payload_of(body: bytes) -> dict[str, Any]:
    """What a message's event brings."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            return {"body_base64": base64.b64encode(body).decode()}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"body": found}
