"""Missed deadlines of a memory store: the same promises as `store.deadlines`."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.model.rows import DeadlineMiss, Lease, MissedDeadlineRow, OutboxItem, OutboxRow
from tradewind.store.memory_assets import MemoryAssets


class MemoryDeadlines(MemoryAssets):
    """`ports.DeadlineStore` in memory."""

    async def deadline_miss(self, lease: Lease, miss: DeadlineMiss, outbox: Sequence[OutboxRow]) -> bool:
        """As `Store.deadline_miss`."""
        await self._call("deadline_miss")
        database = self.database
        database.fence(lease)
        key = (miss.run_id, miss.name)
        if key in database.missed:
            return False
        database.missed[key] = MissedDeadlineRow(miss, database.clock())
        for row in outbox:
            number = database.next_id()
            database.outbox[number] = OutboxItem(number, miss.dag_id, miss.run_id, row.kind, row.body)
        await self._called("deadline_miss")
        return True

    @property
    def blob_limit(self) -> int | None:
        """As `Store.blob_limit`: all values lie with their rows."""
        return None

    async def blob_put(self, values: Sequence[bytes]) -> None:
        """As `Store.blob_put`."""
        del values
        self._live()

    async def blob_sweep(self, age: float) -> int:
        """As `Store.blob_sweep`: values lie where they are named, so nothing is left over."""
        del age
        self._live()
        return 0

    async def blob_count(self) -> tuple[int, int]:
        """As `Store.blob_count`."""
        self._live()
        return 0, 0

    async def deadline_list(self, dag_id: str | None = None, limit: int = 100) -> list[MissedDeadlineRow]:
        """As `StoreReads.deadline_list`."""
        self._live()
        found = [row for row in self.database.missed.values() if dag_id in (None, row.miss.dag_id)]
        found.sort(key=lambda row: (row.miss.run_id, row.at), reverse=True)
        return sorted(found, key=lambda row: row.at, reverse=True)[:limit]
