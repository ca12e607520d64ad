"""Missed deadlines and SLAs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.instance_ports import FoundMiss, MissFilter
from tradewind.model.batch import OutboxRow
from tradewind.model.errors import Fenced
from tradewind.model.keys import RunId
from tradewind.model.rows import DeadlineMiss, Lease, MissedDeadlineRow
from tradewind.store.bounds import miss_order
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class Deadlines(Lines):
    """`ports.DeadlineStore`: none of it is on the way of a batch."""

    async def deadline_miss(self, lease: Lease, miss: DeadlineMiss, outbox: Sequence[OutboxRow]) -> bool:
        """As `Store.deadline_miss`."""
        query = statement("deadline", "deadline_miss")
        given = {
            "runtime_id": lease.runtime_id,
            "epoch": lease.epoch,
            "run_id": miss.run_id,
            "due": miss.due,
            "dag_id": miss.dag_id,
            "name": text_bytes(miss.name),
            "body": miss.body,
            "kinds": [row.kind for row in outbox],
            "bodies": [row.body for row in outbox],
        }
        rows = await self._readers.fetch(query, *query.values(given))
        if not rows:
            raise Fenced
        is_new: bool = rows[0]["is_new"]
        return is_new

    async def deadline_page(self, where: MissFilter) -> tuple[list[FoundMiss], int]:
        """As `StoreReads.deadline_page`."""
        name, descends = miss_order(where.order_by)
        given: dict[str, object] = {
            "kind": None if where.kind is None else text_bytes(where.kind),
            "dag_id": where.dag_id,
            "run_ids": where.run_ids,
            "limit": where.limit,
            "offset": where.offset,
        }
        for field, bounds in (("due", where.due), ("at", where.at)):
            given |= {f"{field}_from": bounds[0], f"{field}_to": bounds[1]}
        page = statement("deadline", "deadline_page", order=f"m.{name} {'DESC' if descends else 'ASC'}")
        count = statement("deadline", "deadline_count")
        rows, total = await self._readers.page(page, count, given)
        found = [
            FoundMiss(run_name, logical, MissedDeadlineRow(DeadlineMiss(RunId(run), dag, text_of(name), due, body), at))
            for run_name, logical, run, dag, name, due, at, body in rows
        ]
        return found, total
