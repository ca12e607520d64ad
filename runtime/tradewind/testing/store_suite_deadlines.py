"""What missed deadlines promise: recorded once, told once, by the owner only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tradewind.instance_ports import MissFilter
from tradewind.model.batch import OutboxRow
from tradewind.model.errors import Fenced, StoreError
from tradewind.model.rows import DeadlineMiss
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
        found, total = await world.store.deadline_page(MissFilter(dag_id="etl"))
        assert {one.row.miss.name for one in found} == {"deadline 0", "sla \x00é"}
        assert total == 2
        assert (found[0].dag_run_id, found[0].logical_date) == (run.dag_run_id, run.logical_date)
        assert miss in [one.row.miss for one in found]

    async def test_misses_in_pages(self, new_store: NewStore) -> None:
        """By kind, run and time, in either order."""
        world = await new_world(new_store)
        one, two = await world.run(1), await world.run(2)
        for run, name, hour in ((one, "sla a", 2), (one, "deadline b", 1), (two, "sla c", 3)):
            miss = DeadlineMiss(run.run_id, run.dag_id, name, NOON + timedelta(hours=hour), b"{}")
            assert await world.store.deadline_miss(world.lease, miss, [])

        async def page(**conditions: Any) -> str:
            found, total = await world.store.deadline_page(MissFilter(**conditions))
            assert total >= len(found)
            return " ".join(found.row.miss.name for found in found)

        assert await page(order_by="due") == "deadline b sla a sla c"
        assert await page(order_by="-due", limit=1, offset=1) == "sla a"
        assert await page(kind="sla", order_by="due") == "sla a sla c"
        assert await page(run_ids=(two.run_id,)) == "sla c"
        assert await page(dag_id="other") == ""
        assert await page(due=(NOON + timedelta(hours=2), None), order_by="due") == "sla a sla c"
        assert await page(at=(None, NOON - timedelta(days=10_000))) == ""
        with pytest.raises(StoreError, match="cannot be ordered by 'name'"):
            await page(order_by="name")

    async def test_a_miss_needs_the_lease(self, new_store: NewStore) -> None:
        """Whoever has lost its lease records nothing."""
        world = await new_world(new_store)
        run = await world.run()
        gone = world.lease._replace(epoch=world.lease.epoch + 1)
        with pytest.raises(Fenced):
            await world.store.deadline_miss(gone, DeadlineMiss(run.run_id, "etl", "n", NOON, b"{}"), [])
        assert await world.store.deadline_page(MissFilter()) == ([], 0)
