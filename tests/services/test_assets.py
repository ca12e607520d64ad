"""DAGs that run because data has changed: what tasks send, who gets it, what the run is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, until
from tradewind import DAG, task
from tradewind.authoring.assets import Asset, AssetAlias, Dataset, Metadata
from tradewind.authoring.timetables import (
    AssetOrTimeSchedule,
    CronPartitionTimetable,
    CronTriggerTimetable,
    PartitionedAssetTimetable,
)
from tradewind.authoring.timetables.partitions import IdentityMapper, StartOfHourMapper
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.assets import AssetEventFilter, ExternalEvent
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState, RunType
from tradewind.ports import RunFilter

ORDERS = Asset("orders", uri="s3://lake/orders")
CLIENTS = Asset("clients", uri="s3://lake/clients")


def producer(dag_id: str, *outlets: object, extra: Mapping[str, Any] | None = None) -> DAG:
    """A DAG of one task with these outlets."""
    with DAG(dag_id, schedule=None, is_paused_upon_creation=False) as dag:

        @task(outlets=list(outlets))
        async def produce(outlet_events: Any = None) -> None:
            for outlet in outlets:
                if extra is not None:
                    outlet_events[outlet].extra = dict(extra)

        produce()
    return dag


def consumer(dag_id: str, schedule: object, seen: list[Any], **settings: Any) -> DAG:
    """A DAG that notes the events that cause its runs."""
    with DAG(dag_id, schedule=schedule, is_paused_upon_creation=False, **settings) as dag:

        @task
        def note(triggering_asset_events: Any = None, triggering_dataset_events: Any = None) -> None:
            events = {asset.name: [e.extra for e in found] for asset, found in triggering_asset_events.items()}
            assert {uri: len(found) for uri, found in triggering_dataset_events.items()} == {
                asset.uri: len(found) for asset, found in triggering_asset_events.items()
            }
            seen.append(events)

        note()
    return dag


async def produce(runtime: Runtime, dag_id: str) -> RunRow:
    """One run of a producer."""
    run = await runtime.control.run_trigger(TriggerRequest(dag_id))
    ended = await runtime.control.run_wait(run.run_id, 60)
    assert ended.state is RunState.SUCCESS
    return ended


async def ended_runs(runtime: Runtime, dag_id: str, count: int) -> list[RunRow]:
    """The runs of a DAG, once so many have ended."""

    async def enough() -> bool:
        rows, _ = await runtime.control.reads.run_list(RunFilter(dag_id, order_by="run_id"))
        return len([row for row in rows if row.state is RunState.SUCCESS]) >= count

    await until(runtime, enough)
    rows, _ = await runtime.control.reads.run_list(RunFilter(dag_id, order_by="run_id"))
    return rows


async def settled(runtime: Runtime) -> None:
    """Every event has been routed and every mail read."""
    store, lease = runtime.services.store, runtime.services.scheduler.lease
    async with asyncio.timeout(60):
        while await store.asset_route() or await store.mail_read(lease):  # noqa: ASYNC110 - nothing tells of quiet
            await asyncio.sleep(0)


async def test_a_change_starts_the_dag_that_is_scheduled_on_it(start: StartRuntime) -> None:
    seen: list[Any] = []
    runtime = await start(producer("load", ORDERS, extra={"rows": 3}), consumer("report", [ORDERS], seen))
    sent = await produce(runtime, "load")
    (run,) = await ended_runs(runtime, "report", 1)
    assert seen == [{"orders": [{"rows": 3}]}]
    (event,) = (await runtime.control.reads.asset_event_list(AssetEventFilter(caused_run=run.run_id)))[0]
    assert (event.source_dag_id, event.source_run_id) == ("load", sent.dag_run_id)
    assert run.run_type is RunType.ASSET_TRIGGERED
    assert run.logical_date == event.at
    assert run.dag_run_id == f"asset_triggered__{event.at.isoformat()}"
    assert (run.interval_start, run.interval_end) == (sent.interval_start, sent.interval_end)
    assert (run.conf, run.external_trigger) == (None, False)


async def test_all_parts_of_a_condition_have_to_change_before_the_next_run(start: StartRuntime) -> None:
    seen: list[Any] = []
    both: list[Any] = []
    runtime = await start(
        producer("load", ORDERS),
        producer("sync", CLIENTS),
        consumer("either", ORDERS | CLIENTS, seen, max_active_runs=1),
        consumer("both", [ORDERS, CLIENTS], both),
    )
    await produce(runtime, "load")
    await ended_runs(runtime, "either", 1)
    await produce(runtime, "load")
    await ended_runs(runtime, "either", 2)
    assert (await runtime.control.reads.run_list(RunFilter("both")))[1] == 0
    await produce(runtime, "sync")
    await ended_runs(runtime, "both", 1)
    await ended_runs(runtime, "either", 3)
    assert seen == [{"orders": [{}]}, {"orders": [{}]}, {"clients": [{}]}]
    assert both == [{"orders": [{}, {}], "clients": [{}]}]


async def test_events_go_into_one_run_while_no_more_may_be_active(start: StartRuntime) -> None:
    gate, began = asyncio.Event(), asyncio.Event()
    seen: list[int] = []
    with DAG("report", schedule=[ORDERS], max_active_runs=1, is_paused_upon_creation=False) as report:

        @task
        async def note(triggering_asset_events: Any = None) -> None:
            began.set()
            await gate.wait()
            seen.append(len((await triggering_asset_events.load())[ORDERS]))

        note()
    runtime = await start(producer("load", ORDERS), report)
    await produce(runtime, "load")
    await began.wait()
    for _ in range(3):
        await produce(runtime, "load")
    await settled(runtime)
    assert (await runtime.control.reads.run_list(RunFilter("report")))[1] == 1
    gate.set()
    await ended_runs(runtime, "report", 2)
    assert seen == [1, 3]


async def test_what_changes_during_a_pause_goes_with_the_next_run_but_causes_none(start: StartRuntime) -> None:
    seen: list[Any] = []
    runtime = await start(producer("load", ORDERS), consumer("report", [ORDERS], seen))
    await runtime.control.dag_pause("report", paused=True)
    await produce(runtime, "load")
    await settled(runtime)
    await runtime.control.dag_pause("report", paused=False)
    await settled(runtime)
    assert (await runtime.control.reads.run_list(RunFilter("report")))[1] == 0
    await produce(runtime, "load")
    await ended_runs(runtime, "report", 1)
    assert seen == [{"orders": [{}, {}]}]


async def test_assets_behind_an_alias_are_known_when_the_task_runs(start: StartRuntime) -> None:
    seen: list[Any] = []
    later: list[Any] = []
    daily = AssetAlias("daily")
    with DAG("load", schedule=None, is_paused_upon_creation=False) as load:

        @task(outlets=[daily, ORDERS])
        def produce_some() -> Any:
            yield Metadata(Asset("s3://lake/today"), {"rows": 7}, alias=daily)
            yield Metadata(ORDERS, {"rows": 1})
            return "done"

        produce_some()
    today = producer("today", Asset("s3://lake/today"))
    runtime = await start(load, today, consumer("by_alias", daily, seen), consumer("of_orders", ORDERS, later))
    run = await produce(runtime, "load")
    await ended_runs(runtime, "by_alias", 1)
    await ended_runs(runtime, "of_orders", 1)
    assert (seen, later) == ([{"s3://lake/today": [{"rows": 7}]}], [{"orders": [{"rows": 1}]}])
    value = await runtime.control.reads.xcom_get(run.run_id, "produce_some", "return_value")
    assert value is not None
    assert value.data == b'"done"'
    await produce(runtime, "today")  # no longer through the alias, but the alias knows it now
    await ended_runs(runtime, "by_alias", 2)


async def test_a_task_sees_the_events_of_its_inlets(start: StartRuntime) -> None:
    seen: list[Any] = []
    runtime = await start(producer("load", ORDERS, extra={"rows": 1}))
    await produce(runtime, "load")
    with DAG("look", schedule=None, is_paused_upon_creation=False) as look:

        @task(inlets=[ORDERS, Asset.ref(name="orders")])
        def inspect_events(inlet_events: Any = None) -> None:
            events = inlet_events[ORDERS]
            seen.append((len(events), events[-1].extra, events[-1].source_dag_run.run_id, events[-1].source_task_id))
            assert [e.id for e in inlet_events[1]] == [e.id for e in events[:]]
            assert len(inlet_events.for_asset_alias("daily")) == 0
            assert list(events.after("2100-01-01T00:00:00+00:00")) == []

        inspect_events()
    other = await start(look)
    run = await produce(other, "look")
    assert run.state is RunState.SUCCESS
    ((count, extra, run_id, task_id),) = seen
    assert (count, extra, task_id) == (1, {"rows": 1}, "produce")
    assert run_id.startswith("manual__")


async def test_a_failed_task_sends_nothing_and_extra_that_is_no_json_fails_it(start: StartRuntime) -> None:
    with DAG("load", schedule=None, is_paused_upon_creation=False) as load:

        @task(outlets=[ORDERS])
        def fails() -> None:
            raise ValueError

        @task(outlets=[ORDERS])
        def says_nonsense(outlet_events: Any = None) -> None:
            outlet_events[ORDERS].extra["x"] = object()

        fails()
        says_nonsense()
    runtime = await start(load)
    run = await runtime.control.run_trigger(TriggerRequest("load"))
    await runtime.control.run_wait(run.run_id, 60)
    attempts = {row.task_id: row.detail["error"] for row in await runtime.control.reads.attempt_list(run.run_id)}
    assert "cannot be written as JSON" in attempts["says_nonsense"]["message"]
    assert (await runtime.control.reads.asset_event_list(AssetEventFilter()))[1] == 0


@pytest.mark.parametrize("word", ["dataset", "asset"])
async def test_runs_are_named_as_the_file_speaks(start: StartRuntime, word: str) -> None:
    asset = Dataset("s3://lake/x") if word == "dataset" else Asset("s3://lake/x")
    runtime = await start(consumer("report", [asset], []))
    event, fresh = await runtime.services.store.asset_event_add(ExternalEvent("s3://lake/x", b'{"by":"hand"}', "key"))
    assert fresh
    (run,) = await ended_runs(runtime, "report", 1)
    assert run.dag_run_id == f"{word}_triggered__{event.at.isoformat()}"
    assert (run.interval_start, run.interval_end) == (event.at, event.at)
    assert await runtime.services.store.asset_event_add(ExternalEvent("s3://lake/x", key="key")) == (event, False)


async def test_events_cross_runtimes_and_survive_a_crash_between_commit_and_routing(start: StartRuntime) -> None:
    """The consumer belongs to another runtime than the producer; the producer's never routes."""
    seen: list[Any] = []
    consuming = await start(consumer("report", [ORDERS], seen))
    producing = await start(producer("load", ORDERS))

    async def never(limit: int = 0) -> int:
        del limit
        return 0

    producing.services.store.asset_route = never  # type: ignore[method-assign]  # a router that is stuck
    await produce(producing, "load")
    assert (await consuming.control.reads.run_list(RunFilter("report")))[1] == 0
    consuming.services.router.wake()  # what a take-over does
    await ended_runs(consuming, "report", 1)
    assert seen == [{"orders": [{}]}]


async def test_assets_or_time_follow_both(start: StartRuntime) -> None:
    seen: list[Any] = []
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    schedule = AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[ORDERS])
    dag = consumer("report", schedule, seen, start_date=midnight - timedelta(hours=1), catchup=True)
    runtime = await start(dag, producer("load", ORDERS))
    by_time = await ended_runs(runtime, "report", 1)
    assert {run.run_type for run in by_time} == {RunType.SCHEDULED}
    await produce(runtime, "load")

    async def followed() -> bool:
        runs, _ = await runtime.control.reads.run_list(RunFilter("report"))
        return any(run.run_type is RunType.ASSET_TRIGGERED and run.state is RunState.SUCCESS for run in runs)

    await until(runtime, followed)
    assert {"orders": [{}]} in seen


async def test_an_async_function_that_names_the_events_has_them_at_hand(start: StartRuntime) -> None:
    seen: list[dict[str, int]] = []
    with DAG("report", schedule=[ORDERS], catchup=False) as report:

        @task
        async def look(triggering_asset_events: Any = None, prev_start_date_success: object = None) -> None:
            assert prev_start_date_success is None
            seen.append({asset.name: len(events) for asset, events in triggering_asset_events.items()})

        look()
    runtime = await start(producer("load", ORDERS), report)
    await runtime.control.dag_pause("report", paused=False)
    await produce(runtime, "load")
    (run,) = await ended_runs(runtime, "report", 1)
    assert run.state.value == "success"
    assert seen == [{"orders": 1}]


async def test_a_run_for_each_partition_once_all_its_parts_have_come(start: StartRuntime) -> None:
    seen: list[Any] = []
    hourly = PartitionedAssetTimetable(
        assets=ORDERS & CLIENTS,
        partition_mapper_config={CLIENTS: IdentityMapper()},
        default_partition_mapper=StartOfHourMapper(),
    )
    with DAG("combine", schedule=hourly, is_paused_upon_creation=False) as combine:

        @task(outlets=[Asset("combined")])
        def note(dag_run: Any = None, triggering_asset_events: Any = None) -> None:
            seen.append((dag_run.partition_key, {asset.name: len(e) for asset, e in triggering_asset_events.items()}))

        note()
    plain: list[Any] = []
    runtime = await start(combine, consumer("plain", [ORDERS], plain))
    add = runtime.services.store.asset_event_add
    await add(ExternalEvent(ORDERS.uri, partition_key="2026-01-01T07:10:00"))
    await add(ExternalEvent(CLIENTS.uri, partition_key="2026-01-01T08"))
    await add(ExternalEvent(ORDERS.uri))
    await add(ExternalEvent(ORDERS.uri, partition_key="no time"))
    await ended_runs(runtime, "plain", 1)
    await settled(runtime)
    assert (await runtime.control.reads.run_list(RunFilter("combine")))[1] == 0
    await add(ExternalEvent(ORDERS.uri, partition_key="2026-01-01T07:50:00"))
    await add(ExternalEvent(CLIENTS.uri, partition_key="2026-01-01T07"))
    await ended_runs(runtime, "combine", 1)
    await add(ExternalEvent(ORDERS.uri, partition_key="2026-01-01T08:00:00"))
    await ended_runs(runtime, "combine", 2)
    assert seen == [
        ("2026-01-01T07", {"orders": 2, "clients": 1}),
        ("2026-01-01T08", {"orders": 1, "clients": 1}),
    ]
    sent, _ = await runtime.services.store.asset_event_list(AssetEventFilter(uri="combined"))
    assert [event.partition_key for event in sent] == ["2026-01-01T07", "2026-01-01T08"]
    assert plain == [{"orders": [{}]}]


async def test_a_cron_expression_makes_partitions(start: StartRuntime) -> None:
    begin = datetime(2026, 1, 1, 6, tzinfo=UTC)
    schedule = CronPartitionTimetable("15 * * * *", timezone="UTC", run_offset=-1)
    settings: dict[str, Any] = {"start_date": begin, "end_date": begin + timedelta(hours=2), "catchup": True}
    with DAG("hourly", schedule=schedule, is_paused_upon_creation=False, **settings) as dag:

        @task(outlets=[ORDERS])
        def produce_hour() -> None: ...

        produce_hour()
    runtime = await start(dag)
    await ended_runs(runtime, "hourly", 2)
    events, _ = await runtime.services.store.asset_event_list(AssetEventFilter())
    assert sorted(str(event.partition_key) for event in events) == ["2026-01-01T05:15:00", "2026-01-01T06:15:00"]
