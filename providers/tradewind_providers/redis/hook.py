"""The client of a Redis connection: one `redis.asyncio.Redis` for each connection and loop."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind.model.errors import TradewindError


class RedisHook(AsyncHook[Any]):
    """`async with` it for the client: `await client.get("key")`; answers are texts.

    The connection has host, port, login and password; its extra may name `db`, `ssl` and what else
    `redis.asyncio.Redis` takes.
    """

    conn_name_attr: ClassVar[str] = "redis_conn_id"
    default_conn_name: ClassVar[str] = "redis_default"
    conn_type: ClassVar[str] = "redis"
    also_takes: ClassVar[tuple[str, ...]] = ("rediss",)
    hook_name: ClassVar[str] = "Redis"

    def __init__(self, redis_conn_id: str | None = None) -> None:
        super().__init__(redis_conn_id)
        self.redis_conn_id = self.conn_id

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[Any]:
        """Opens a client and asks whether the server is there. Raises TradewindError where `redis` is not installed."""
        if importlib.util.find_spec("redis") is None:
            raise TradewindError("the package `redis` is needed: pip install 'tradewind[redis]'")
        module: Any = importlib.import_module("redis.asyncio")
        options: dict[str, Any] = {"socket_timeout": None, **conn.extra_dejson}
        client: Any = module.Redis(
            host=conn.host or "localhost",
            port=conn.port or 6379,
            username=conn.login or None,
            password=conn.password or None,
            decode_responses=True,
            **options,
        )
        try:
            await client.ping()
            yield client
        finally:
            await client.aclose()
