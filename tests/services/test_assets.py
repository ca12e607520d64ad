"""DAGs that run because data has changed: what tasks send, who gets it, what the run is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.services.conftest import StartRuntime, until
from tradewind import DAG, task
from tradewind.authoring.assets import Asset
from tradewind.host import Runtime
from tradewind.model.assets import AssetEventFilter
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState, RunType
from tradewind.ports import RunFilter, TriggerRequest

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
    ended = await runtime.control.run_wait(run.run_id, 20)
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

    async def quiet() -> bool:
        lease = runtime.services.scheduler.lease
        events, _ = await runtime.services.store.asset_event_list(AssetEventFilter())
        del events
        return not await runtime.services.store.asset_route() and not await runtime.services.store.mail_read(lease)

    await until(runtime, quiet)


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
