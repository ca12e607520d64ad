"""Redis: the shared client of a connection, and streams as sources of events. It needs the extra `redis`."""

from __future__ import annotations

from tradewind_providers.redis.hook import RedisHook as RedisHook
from tradewind_providers.redis.stream_trigger import RedisStreamTrigger as RedisStreamTrigger
