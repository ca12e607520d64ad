"""Runtimes, their leases, the DAGs that they own and the shared limits granted to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tradewind.model.errors import Fenced
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Beat, BeatReport, DagRow, Lease
from tradewind.store.bounds import held_of_limits
from tradewind.store.connection import Session
from tradewind.store.decode import dag_of
from tradewind.store.lines import Lines, touch
from tradewind.store.statements import statement


class Ownership(Lines):
    """Who may write what."""

    async def runtime_join(self, name: str) -> Lease:
        """As `Store.runtime_join`."""
        lease = self._lease = await self._life.join(name)
        await self._readers.fetch(statement("runtime", "runtime_forget"))
        return lease

    async def runtime_beat(self, lease: Lease) -> BeatReport:
        """As `Store.runtime_beat`."""
        return await self._life.beat(lease)

    async def runtime_beats(
        self, lease: Lease, pace: Callable[[BeatReport | None], float], tell: Callable[[Beat], None]
    ) -> None:
        """As `Store.runtime_beats`, from a thread of its own."""
        await self._life.beats(lease, pace, tell)

    async def runtime_seq(self, lease: Lease) -> int:
        """As `Store.runtime_seq`."""
        row = await self._readers.fetchrow(statement("runtime", "runtime_seq"), lease.runtime_id, lease.epoch)
        if row is None:
            raise Fenced
        seq: int = row["seq"]
        return seq

    async def runtime_leave(self, lease: Lease) -> None:
        """As `Store.runtime_leave`."""
        await self._life.leave(lease)
        if self._lease is not None and self._lease.runtime_id == lease.runtime_id:
            self._lease = None

    async def runtime_bury(self, dead: RuntimeId, seen_beat: int) -> bool:
        """As `Store.runtime_bury`."""
        row = await self._readers.fetchrow(statement("runtime", "runtime_bury"), dead, seen_beat)
        return row is not None and bool(row["done"])

    async def runtime_is_provably_dead(self, peer: RuntimeId) -> bool:
        """As `Store.runtime_is_provably_dead`."""
        row = await self._readers.fetchrow(statement("runtime", "runtime_lock_is_free"), peer)
        return row is not None and bool(row[0])

    async def dag_claim(self, lease: Lease, dag_ids: Sequence[str] | None = None) -> list[DagRow]:
        """As `Store.dag_claim`."""
        async with self._bulk.session() as session, session.transaction():
            await touch(session, lease)
            await session.fetch(statement("dag", "dag_lock_claiming").text)
            query = statement("dag", "dag_claim")
            given = {"runtime_id": lease.runtime_id, "dag_ids": dag_ids}
            rows = await session.fetch(query.text, *query.values(given))
            if rows:
                await _inherit(session, lease)
        return [dag_of(row) for row in rows]

    async def grant_take(self, lease: Lease, limit: str, size: int, want: int, in_use: int = 0) -> int:
        """As `Store.grant_take`. Never gives back: that is `grant_return`, or a size that shrank."""
        async with self._readers.line() as line, line.session() as session, session.transaction():
            await touch(session, lease)
            await session.fetch(statement("runtime", "limit_lock").text, limit, size)
            query = statement("runtime", "limit_grants")
            row = await session.fetchrow(query.text, *query.values({"runtime_id": lease.runtime_id, "name": limit}))
            mine, others = (row["mine"], row["others"]) if row else (0, 0)
            granted: int = min(max(mine, want), max(size - others, 0))
            kept = max(granted, min(mine, in_use))
            name = "limit_set" if kept else "limit_clear"
            query = statement("runtime", name)
            given = {"runtime_id": lease.runtime_id, "name": limit, "granted": kept}
            await session.fetch(query.text, *query.values(given))
        return granted

    async def grant_return(self, lease: Lease, limit: str, count: int) -> None:
        """As `Store.grant_return`."""
        async with self._readers.line() as line, line.session() as session, session.transaction():
            await touch(session, lease)
            query = statement("runtime", "limit_reduce")
            given = {"runtime_id": lease.runtime_id, "name": limit, "count": count}
            await session.fetch(query.text, *query.values(given))


async def _inherit(session: Session, lease: Lease) -> None:
    """The permits of the dead become this runtime's, but for what attempts hold that are still nobody's."""
    rows = await session.fetch(statement("dag", "dag_unclaimed_attempts").text)
    held = held_of_limits((row["pool"], row["executor"], row["slots"], row["attempts"]) for row in rows)
    query = statement("runtime", "limit_inherit")
    given = {"runtime_id": lease.runtime_id, "limits": list(held), "held": list(held.values())}
    await session.fetch(query.text, *query.values(given))
