"""The client of an AMQP connection: one `aio_pika` connection for each connection and loop."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind.model.errors import TradewindError


class AmqpHook(AsyncHook[Any]):
    """`async with` it for the `aio_pika` connection, and open a channel of your own:
    `async with connection.channel() as channel`.

    The connection has host, port, login and password; its schema is the virtual host (by default `/`), its extra
    may hold what else `aio_pika.connect` takes, such as `ssl`.
    """

    conn_name_attr: ClassVar[str] = "amqp_conn_id"
    default_conn_name: ClassVar[str] = "amqp_default"
    conn_type: ClassVar[str] = "amqp"
    also_takes: ClassVar[tuple[str, ...]] = ("amqps", "rabbitmq")
    hook_name: ClassVar[str] = "AMQP"

    def __init__(self, amqp_conn_id: str | None = None) -> None:
        super().__init__(amqp_conn_id)
        self.amqp_conn_id = self.conn_id

    def is_usable(self, client: Any) -> bool:
        """A connection that was lost makes room for a new one."""
        return not client.is_closed

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[Any]:
        """Opens a connection. Raises TradewindError where `aio-pika` is not installed, else what the server says."""
        if importlib.util.find_spec("aio_pika") is None:
            raise TradewindError("the package `aio-pika` is needed: pip install 'tradewind[amqp]'")
        module: Any = await asyncio.to_thread(importlib.import_module, "aio_pika")
        client: Any = await module.connect(
            host=conn.host or "localhost",
            port=conn.port or 5672,
            login=conn.login or "guest",
            password=conn.password or "guest",
            virtualhost=conn.schema or "/",
            **conn.extra_dejson,
        )
        try:
            yield client
        finally:
            await client.close()
