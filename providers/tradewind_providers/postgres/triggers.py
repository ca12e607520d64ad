"""What is said with NOTIFY, as events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tradewind.authoring.triggers import BaseEventTrigger, TriggerEvent
from tradewind_providers.postgres.listening import PostgresListenHook, listening


class PostgresNoticeTrigger(BaseEventTrigger, kind="tradewind.postgres_notice"):
    """Fires for each NOTIFY on `channel`, with its payload. All triggers of a connection listen over one.

    What is said while nobody listens is lost, as PostgreSQL has it: let the notice mean that a table has something new.
    """

    def __init__(self, channel: str, conn_id: str = PostgresListenHook.default_conn_name) -> None:
        super().__init__()
        self.channel = channel
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The kind, the channel and the connection."""
        return self.trigger_kind, {"channel": self.channel, "conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Listens, and listens again when the connection was lost."""
        while True:
            async with listening(self.channel, self.conn_id) as notices:
                async for payload in notices:
                    yield TriggerEvent(payload)
