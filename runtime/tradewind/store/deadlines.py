"""Missed deadlines and SLAs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.model.errors import Fenced
from tradewind.model.keys import RunId
from tradewind.model.rows import DeadlineMiss, Lease, MissedDeadlineRow, OutboxRow
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

    async def deadline_list(self, dag_id: str | None = None, limit: int = 100) -> list[MissedDeadlineRow]:
        """As `StoreReads.deadline_list`."""
        rows = await self._readers.fetch(statement("deadline", "deadline_list"), dag_id, limit)
        return [
            MissedDeadlineRow(DeadlineMiss(RunId(run), dag, text_of(name), due, body), at)
            for run, dag, name, due, at, body in rows
        ]
