"""What a store promises about assets: events are routed once, queued, and consumed by one run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tradewind.model.assets import (
    OUTLET,
    SCHEDULE,
    AssetEvent,
    AssetEventFilter,
    AssetEventPut,
    AssetEventRow,
    AssetUse,
    Consumed,
    ExternalEvent,
    QueueHead,
    QueueSummary,
)
from tradewind.model.batch import Batch, DagChange, MailDone
from tradewind.model.errors import BatchConflict, NotFoundError
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunType
from tradewind.ports import Store
from tradewind.testing.store_world import (
    NOON,
    NewStore,
    World,
    file_of,
    instances_of,
    join,
    new_world,
    run_row,
    spec_of,
)

ORDERS = AssetUse(SCHEDULE, "asset", "s3://lake/orders", name="orders", group="asset")


def consumer(dag_id: str, *uses: AssetUse, paused: bool = False) -> DagSpec:
    """A DAG that is scheduled on assets."""
    return replace(spec_of(dag_id, paused=paused), assets=uses or (ORDERS,))


async def new_asset_world(new_store: NewStore, *specs: DagSpec) -> World:
    """A world with consumers of `s3://lake/orders` (by default one, `report`)."""
    world = await new_world(new_store)
    files = [file_of(f"{spec.dag_id}.py", spec) for spec in specs or (consumer("report"),)]
    await world.store.dag_publish(world.lease, "main", files)
    return world


async def send(world: World, run: RunRow, *puts: AssetEventPut) -> None:
    """Task `a` of a run ends and sends events."""
    segment = world.segment(run)
    at = NOON + timedelta(minutes=len(await queued(world.store)))
    rows = puts or (AssetEventPut("s3://lake/orders", "orders", b'{"rows":3}'),)
    segment.asset_events += [AssetEventRow("a", UNMAPPED, at, put) for put in rows]
    await world.apply(segment)


async def queued(store: Store, dag_id: str | None = None) -> list[AssetEvent]:
    """The events in a DAG's queue."""
    return [one.event for _, one in await store.asset_queue_list(dag_id)]


class AssetSuite:
    """`AssetStore`, and what `batch_apply`, `dag_publish` and `run_create` do with assets."""

    async def test_an_event_goes_once_to_each_dag_that_is_scheduled_on_it(self, new_store: NewStore) -> None:
        """However often and from however many places it is routed."""
        by_alias = consumer("by_alias", AssetUse(SCHEDULE, "alias", "lake"))
        by_name = consumer("by_name", AssetUse(SCHEDULE, "name", "orders"))
        other = consumer("other", AssetUse(SCHEDULE, "asset", "s3://lake/clients", name="clients"))
        produces = consumer("produces", replace(ORDERS, role=OUTLET, task_id="a"))
        world = await new_asset_world(new_store, consumer("report"), by_alias, by_name, other, produces)
        run = await world.run()
        await send(world, run, AssetEventPut("s3://lake/orders", "orders", b'{"rows":3}', aliases=("lake",)))
        assert await queued(world.store) == []
        second, _ = await join(new_store)
        taken = await asyncio.gather(world.store.asset_route(), second.asset_route(), world.store.asset_route())
        assert sorted(taken) == [0, 0, 1]
        assert {dag for dag, _ in await world.store.asset_queue_list()} == {"report", "by_alias", "by_name"}
        assert len(await queued(world.store)) == 3
        (event,) = await queued(world.store, "report")
        assert (event.uri, event.name, event.extra) == ("s3://lake/orders", "orders", b'{"rows":3}')
        source = (event.source_dag_id, event.source_task_id, event.source_run_id, event.source_map_index)
        assert source == ("etl", "a", run.dag_run_id, UNMAPPED)
        assert (event.source_interval_start, event.source_interval_end) == (run.interval_start, run.interval_end)
        mail = await world.store.mail_read(world.lease)
        assert sorted((row.dag_id, row.kind) for row in mail) == [
            ("by_alias", "assets"), ("by_name", "assets"), ("report", "assets")
        ]  # fmt: skip

    async def test_a_run_takes_its_events_off_the_queue_in_the_transaction_that_makes_it(
        self, new_store: NewStore
    ) -> None:
        """Two runs never take the same event."""
        world = await new_asset_world(new_store)
        run = await world.run()
        await send(world, run)
        await send(world, run)
        await world.store.asset_route()
        first, second = await queued(world.store, "report")
        spec = consumer("report")
        made = replace(run_row(50, spec), version_hash=spec.content_hash())
        ids = Consumed((first.event_id, second.event_id))
        assert await world.store.run_create(world.lease, made, instances_of(made, spec), consumed=ids)
        assert await queued(world.store) == []
        events, total = await world.store.asset_event_list(AssetEventFilter(caused_run=50))
        assert ([e.event_id for e in events], total) == ([first.event_id, second.event_id], 2)
        caused = await world.store.asset_event_runs([first.event_id, 99])
        assert [(event_id, row.dag_run_id) for event_id, row in caused] == [(first.event_id, made.dag_run_id)]
        again = replace(run_row(51, spec), dag_run_id="again")
        with pytest.raises(BatchConflict):
            await world.store.run_create(world.lease, again, instances_of(again, spec), consumed=ids)
        assert await world.store.run_get("report", "again") is None
        # the run is there already: nothing is taken
        await send(world, run)
        await world.store.asset_route()
        (third,) = await queued(world.store, "report")
        same = replace(made, run_id=run_row(52, spec).run_id)
        assert not await world.store.run_create(
            world.lease, same, instances_of(same, spec), consumed=Consumed((third.event_id,))
        )
        assert await queued(world.store, "report") == [third]

    async def test_a_large_run_takes_its_events_too(self, new_store: NewStore) -> None:
        """Runs that are made in several steps."""
        world = await new_asset_world(new_store)
        await send(world, await world.run())
        await world.store.asset_route()
        (event,) = await queued(world.store, "report")
        spec = replace(spec_of("report", *(f"t{n}" for n in range(2_100))), assets=(ORDERS,))
        await world.store.dag_publish(world.lease, "main", [file_of("report.py", spec)])
        made = run_row(50, spec)
        assert await world.store.run_create(
            world.lease, made, instances_of(made, spec), consumed=Consumed((event.event_id,))
        )
        assert await queued(world.store) == []
        lost = replace(run_row(51, spec), dag_run_id="lost")
        with pytest.raises(BatchConflict):
            await world.store.run_create(
                world.lease, lost, instances_of(lost, spec), consumed=Consumed((event.event_id,))
            )

    async def test_an_event_that_several_runs_wait_for_goes_to_each_once(self, new_store: NewStore) -> None:
        """It stays in the queue, with the keys of those that have had it, until the last."""
        world = await new_asset_world(new_store)
        spec = consumer("report")
        for key in ("a", "b"):
            await world.store.asset_event_add(ExternalEvent("s3://lake/orders", partition_key=key))
        first, second = await queued(world.store, "report")
        ids = (first.event_id, second.event_id)

        async def create(number: int, key: str, *, taken: tuple[int, ...] = (), kept: tuple[int, ...] = ()) -> bool:
            run = replace(run_row(number, spec), dag_run_id=str(number), run_key=key, partition_date=NOON)
            given = Consumed(taken, kept)
            return await world.store.run_create(world.lease, run, instances_of(run, spec), consumed=given)

        assert await create(50, "mon\0", taken=ids[1:], kept=ids[:1])
        ((_, left),) = await world.store.asset_queue_list("report")
        assert (left.event.event_id, left.served) == (ids[0], ("mon\0",))
        with pytest.raises(BatchConflict):
            await create(51, "mon\0", kept=ids[:1])
        assert await create(52, "tue", kept=ids[:1])
        ((_, left),) = await world.store.asset_queue_list("report")
        assert left.served == ("mon\0", "tue")
        with pytest.raises(BatchConflict):
            await create(53, "wed", taken=ids[:1], kept=ids[1:])
        assert await create(54, "wed", taken=ids[:1])
        assert await queued(world.store, "report") == []
        caused = await world.store.asset_event_runs(ids)
        assert [(event_id, row.run_id) for event_id, row in caused] == [
            (ids[0], 50), (ids[0], 52), (ids[0], 54), (ids[1], 50)
        ]  # fmt: skip

    async def test_an_event_knows_the_moment_of_its_run(self, new_store: NewStore) -> None:
        """That which the run's partition stands for."""
        world = await new_asset_world(new_store)
        run = replace(run_row(9, world.spec), partition_date=NOON)
        assert await world.store.run_create(world.lease, run, instances_of(run, world.spec))
        await send(world, run)
        await world.store.asset_route()
        ((_, one),) = await world.store.asset_queue_list("report")
        assert one.event.source_partition_date == NOON

    async def test_events_for_a_paused_dag_are_kept_and_wake_nobody(self, new_store: NewStore) -> None:
        """They are marked; what came before the pause is not."""
        world = await new_asset_world(new_store)
        run = await world.run()
        await send(world, run)
        await world.store.asset_route()
        mail = await world.store.mail_read(world.lease)
        done = [MailDone(row.mail_id, b"{}") for row in mail]
        await world.store.batch_apply(world.lease, Batch(dags=[DagChange("report", is_paused=True)], mail_done=done))
        await send(world, run)
        await world.store.asset_route()
        assert [one.wakes for _, one in await world.store.asset_queue_list("report")] == [True, False]
        assert await world.store.mail_read(world.lease) == []

    async def test_a_queue_is_summed_up_and_read_from_its_front(self, new_store: NewStore) -> None:
        """How many, since when, until when, and when events have last started a run."""
        world = await new_asset_world(new_store)
        assert await world.store.asset_queue_summary("report") == QueueSummary()
        for n in range(3):
            await world.store.asset_event_add(ExternalEvent("s3://lake/orders", key=str(n)))
        waiting = [one for _, one in await world.store.asset_queue_list("report")]
        assert [one for _, one in await world.store.asset_queue_list("report", limit=2)] == waiting[:2]
        head = QueueHead("report", "s3://lake/orders", waiting[0].queued_at)
        assert await world.store.asset_queue_heads("report") == [head]
        assert head in await world.store.asset_queue_heads(uri="s3://lake/orders")
        assert await world.store.asset_queue_heads("report", "other") == []
        times = [one.queued_at for one in waiting]
        assert await world.store.asset_queue_summary("report") == QueueSummary(3, min(times), max(times), None)
        spec = consumer("report")
        run = replace(run_row(9, spec), run_type=RunType.ASSET_TRIGGERED)
        ids = Consumed(tuple(one.event.event_id for one in waiting[:2]))
        assert await world.store.run_create(world.lease, run, instances_of(run, spec), consumed=ids)
        summary = await world.store.asset_queue_summary("report")
        assert summary == QueueSummary(1, times[2], times[2], run.queued_at)
        later = replace(
            run_row(8, spec), run_type=RunType.ASSET_TRIGGERED, queued_at=run.queued_at + timedelta(seconds=9)
        )
        assert await world.store.run_create(world.lease, later, instances_of(later, spec))
        summary = await world.store.asset_queue_summary("report")
        assert summary.last_run_at == later.queued_at, "created last, with an earlier logical date"

    async def test_who_defines_an_asset(self, new_store: NewStore) -> None:
        """Schedules of DAGs in force, by DAG; references and outlets define nothing."""
        hook = replace(ORDERS, extra={"webhook": {"secret": "variable:s"}})
        sender = replace(ORDERS, role=OUTLET, task_id="a")
        by_name = AssetUse(SCHEDULE, "name", "orders")
        specs = [consumer("b", hook), consumer("a"), consumer("c", sender), consumer("d", by_name)]
        world = await new_asset_world(new_store, *specs)
        assert await world.store.asset_uses("s3://lake/orders") == [("a", ORDERS), ("b", hook)]
        assert await world.store.asset_uses("s3://lake/nothing") == []
        await world.store.dag_retire(world.lease, "main", ["b.py"])
        assert [dag_id for dag_id, _ in await world.store.asset_uses("s3://lake/orders")] == ["a"]

    async def test_a_dag_that_is_gone_gets_nothing(self, new_store: NewStore) -> None:
        """Neither does one whose new version is scheduled otherwise."""
        world = await new_asset_world(new_store, consumer("report"), consumer("gone"))
        await world.store.dag_retire(world.lease, "main", ["gone.py"])
        await world.store.dag_publish(world.lease, "main", [file_of("report.py", spec_of("report"))])
        await send(world, await world.run())
        assert await world.store.asset_route() == 1
        assert await queued(world.store) == []

    async def test_events_from_outside(self, new_store: NewStore) -> None:
        """Known assets only; the same key is the same event."""
        world = await new_asset_world(new_store)
        with pytest.raises(NotFoundError, match="nobody"):
            await world.store.asset_event_add(ExternalEvent("nobody"))
        event, fresh = await world.store.asset_event_add(
            ExternalEvent("s3://lake/orders", b'{"a":"\\u0000"}', key="k", partition_key="2026-01")
        )
        assert fresh
        assert (event.source_dag_id, event.extra, event.partition_key) == (None, b'{"a":"\\u0000"}', "2026-01")
        assert await world.store.asset_event_add(ExternalEvent("s3://lake/orders", key="k")) == (event, False)
        assert await queued(world.store, "report") == [event]
        assert await world.store.asset_queue_drop("report", [event.event_id, 99]) == 1
        assert await queued(world.store) == []

    async def test_a_queue_is_cleared_whole(self, new_store: NewStore) -> None:
        """All that waits for a DAG, or of an asset."""
        world = await new_asset_world(new_store)
        for n in range(3):
            await world.store.asset_event_add(ExternalEvent("s3://lake/orders", key=str(n)))
        assert await world.store.asset_queue_clear("report", "other") == 0
        assert await world.store.asset_queue_clear("report", "s3://lake/orders") == 3
        assert await queued(world.store, "report") == []
        await world.store.asset_event_add(ExternalEvent("s3://lake/orders"))
        assert await world.store.asset_queue_clear(uri="s3://lake/orders") == 1
        assert await world.store.asset_queue_heads() == []

    async def test_assets_are_known_by_what_dags_say_and_tasks_send(self, new_store: NewStore) -> None:
        """A definition names and describes; an event of an unknown asset makes it known."""
        world = await new_asset_world(new_store)
        run = await world.run()
        await send(world, run, AssetEventPut("s3://lake/new", "new", aliases=("lake",)))
        orders, new = await world.store.asset_list()
        assert (orders.uri, orders.name, [dag for dag, _ in orders.uses]) == ("s3://lake/orders", "orders", ["report"])
        assert (new.uri, new.name, new.uses, new.aliases) == ("s3://lake/new", "new", (), ("lake",))
        renamed = replace(ORDERS, name="all orders", extra={"team": "x"})
        await world.store.dag_publish(world.lease, "main", [file_of("report.py", consumer("report", renamed))])
        found = await world.store.asset_get("s3://lake/orders")
        assert found is not None
        assert (found.name, found.extra, found.asset_id) == ("all orders", b'{"team":"x"}', orders.asset_id)
        assert await world.store.asset_get("nothing") is None

    async def test_events_are_found_by_all_that_is_known_of_them(self, new_store: NewStore) -> None:
        """Filters, order and pages."""
        world = await new_asset_world(new_store)
        run = await world.run()
        await send(world, run)
        await send(world, run, AssetEventPut("s3://lake/new", "new", aliases=("lake",)))
        orders, new = (await world.store.asset_event_list(AssetEventFilter()))[0]
        for where in (
            AssetEventFilter(uri="s3://lake/new"),
            AssetEventFilter(name="new"),
            AssetEventFilter(alias="lake"),
            AssetEventFilter(asset_id=new.asset_id, source_dag_id="etl", source_task_id="a"),
            AssetEventFilter(source_run_id=run.dag_run_id, source_map_index=UNMAPPED, offset=1),
            AssetEventFilter(descending=True, limit=1),
        ):
            assert (await world.store.asset_event_list(where))[0] == [new], where
        assert await world.store.asset_event_list(AssetEventFilter(source_dag_id="nobody")) == ([], 0)
        assert orders.event_id < new.event_id
