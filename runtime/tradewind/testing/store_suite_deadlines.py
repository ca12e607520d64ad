"""What missed deadlines promise: recorded once, told once, by the owner only."""

from __future__ import annotations

import pytest

from tradewind.model.errors import Fenced
from tradewind.model.rows import DeadlineMiss, OutboxRow
from tradewind.testing.store_world import NOON, NewStore, new_world


class DeadlineSuite:
    """Misses and what must be carried out because of them."""

    async def test_a_miss_is_recorded_and_told_once(self, new_store: NewStore) -> None:
        """The second time nothing happens; another name, or run, is another miss."""
        world = await new_world(new_store)
        run = await world.run()
        miss = DeadlineMiss(run.run_id, run.dag_id, "sla \x00é", NOON, b'{"tasks": []}')
        tell = [OutboxRow("sla_miss", b"1"), OutboxRow("sla_email", b"2")]
        assert await world.store.deadline_miss(world.lease, miss, tell)
        assert not await world.store.deadline_miss(world.lease, miss, tell)
        assert await world.store.deadline_miss(world.lease, miss._replace(name="deadline 0"), [])
        sent = await world.store.outbox_read(world.lease)
        assert [(item.kind, item.body, item.run_id, item.dag_id) for item in sent] == [
            ("sla_miss", b"1", run.run_id, "etl"),
            ("sla_email", b"2", run.run_id, "etl"),
        ]
        rows = await world.store.deadline_list("etl")
        assert {row.miss.name for row in rows} == {"deadline 0", "sla \x00é"}
        assert miss in [row.miss for row in rows]
        assert len(await world.store.deadline_list(limit=1)) == 1
        assert await world.store.deadline_list("other") == []

    async def test_a_miss_needs_the_lease(self, new_store: NewStore) -> None:
        """Whoever has lost its lease records nothing."""
        world = await new_world(new_store)
        run = await world.run()
        gone = world.lease._replace(epoch=world.lease.epoch + 1)
        with pytest.raises(Fenced):
            await world.store.deadline_miss(gone, DeadlineMiss(run.run_id, "etl", "n", NOON, b"{}"), [])
        assert await world.store.deadline_list() == []
