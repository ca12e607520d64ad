"""AMQP (RabbitMQ): the shared client of a connection, and queues as sources of events. It needs the extra `amqp`."""

from __future__ import annotations

from tradewind_providers.amqp.hook import AmqpHook as AmqpHook
from tradewind_providers.amqp.queue_trigger import AmqpQueueTrigger as AmqpQueueTrigger
