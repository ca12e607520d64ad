"""Missed deadlines of a memory store: the same promises as `store.deadlines`."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.instance_ports import FoundMiss, MissFilter
from tradewind.model.batch import OutboxRow
from tradewind.model.rows import DeadlineMiss, Lease, MissedDeadlineRow, OutboxItem
from tradewind.store.bounds import miss_order
from tradewind.store.memory_assets import MemoryAssets
from tradewind.store.memory_views import as_bytes, is_within


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

    async def deadline_page(self, where: MissFilter) -> tuple[list[FoundMiss], int]:
        """As `StoreReads.deadline_page`."""
        self._live()
        name, descends = miss_order(where.order_by)
        found = [self._found(row) for row in self.database.missed.values() if _is_wanted(row, where)]
        found.sort(key=lambda one: (one.row.miss.run_id, as_bytes(one.row.miss.name)))
        found.sort(key=lambda one: one.row.at if name == "at" else one.row.miss.due, reverse=descends)
        return found[where.offset : where.offset + where.limit], len(found)

    def _found(self, row: MissedDeadlineRow) -> FoundMiss:
        run = self.database.runs[row.miss.run_id].row
        return FoundMiss(run.dag_run_id, run.logical_date, row)


def _is_wanted(row: MissedDeadlineRow, where: MissFilter) -> bool:
    return (
        (where.kind is None or row.miss.name.startswith(where.kind))
        and where.dag_id in (None, row.miss.dag_id)
        and (where.run_ids is None or row.miss.run_id in where.run_ids)
        and is_within(row.miss.due, where.due)
        and is_within(row.at, where.at)
    )
