"""Partition mappers of authors' own classes: asked beside the scheduler, each key once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.services.conftest import StartRuntime
from tests.services.test_assets import ORDERS, ended_runs, producer, settled
from tradewind import DAG, task
from tradewind.authoring.assets import Asset
from tradewind.authoring.timetables import PartitionedAssetTimetable
from tradewind.authoring.timetables.partitions import (
    ChainMapper,
    FixedKeyMapper,
    IdentityMapper,
    PartitionMapper,
    ProductMapper,
    StartOfDayMapper,
)
from tradewind.control_ports import TriggerRequest
from tradewind.model.assets import AssetEventFilter, ExternalEvent
from tradewind.model.errors import AuthoringError
from tradewind.rules.partition_mappers import mapper_json
from tradewind.services.custom_schedules import ask_in_process
from tradewind.services.wish_mail import trigger_mail

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = Asset("places", uri="s3://lake/places")


class WithoutRegion(PartitionMapper):
    """Takes the region from a key."""

    asked: ClassVar[list[str]] = []

    def to_downstream(self, key: str) -> str | None:
        self.asked.append(key)
        if key == "bad":
            raise RuntimeError("no such key")
        region, found, rest = key.partition("::")
        return rest if found and region != "test" else None


async def test_a_mapper_of_ones_own_says_which_events_belong_together(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    WithoutRegion.asked.clear()
    timetable = PartitionedAssetTimetable(assets=ORDERS & PLACES, partition_mapper_config={ORDERS: WithoutRegion()})
    with DAG("combine", schedule=timetable, is_paused_upon_creation=False) as combine:

        @task
        def note(dag_run: Any = None, triggering_asset_events: Any = None) -> None:
            seen.append((dag_run.partition_key, {asset.name: len(e) for asset, e in triggering_asset_events.items()}))

        note()

    runtime = await start(combine)
    add = runtime.services.store.asset_event_add
    for key in ("eu::a", "test::a", "us::a", "bad", "eu::b"):
        await add(ExternalEvent(ORDERS.uri, partition_key=key))
    await settled(runtime)
    await add(ExternalEvent(PLACES.uri, partition_key="a"))
    await ended_runs(runtime, "combine", 1)
    await add(ExternalEvent(PLACES.uri, partition_key="b"))
    await ended_runs(runtime, "combine", 2)
    assert seen == [("a", {"orders": 2, "places": 1}), ("b", {"orders": 1, "places": 1})]
    assert sorted(WithoutRegion.asked) == ["bad", "eu::a", "eu::b", "test::a", "us::a"], "each once"
    assert "key 'bad' of asset s3://lake/orders cannot be mapped" in caplog.text


FILE = """
from airflow.partition_mappers.base import PartitionMapper
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, task


class WithoutPrefix(PartitionMapper):
    def __init__(self, prefix, *, max_downstream_keys=None):
        super().__init__(max_downstream_keys=max_downstream_keys)
        self.prefix = prefix

    def to_downstream(self, key):
        return key[len(self.prefix):] if key.startswith(self.prefix) else 1 / 0


with DAG("from_a_file", schedule=PartitionedAssetTimetable(
    assets=Asset("orders"), default_partition_mapper=WithoutPrefix("eu::")
)):

    @task
    def go():
        pass

    go()
"""


async def test_the_code_of_a_file_is_asked_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "mapped.py"
    await asyncio.to_thread(path.write_text, FILE)
    place = {"dag_id": "from_a_file", "fileloc": str(path), "relative_fileloc": "mapped.py"}
    questions = [["orders", "orders", "eu::a"], ["orders", "orders", "us::a"]]
    reply: Any = await ask_in_process({**place, "ask": "partitions", "questions": questions})
    good, bad = reply["ok"]
    assert good == [[["a", None, 1, None, False]], None]
    assert bad[0] is None
    assert "ZeroDivisionError" in bad[1]


async def test_a_run_by_hand_may_be_about_a_part(start: StartRuntime) -> None:
    runtime = await start(producer("load", ORDERS))
    run = await runtime.control.run_trigger(TriggerRequest("load", partition_key="2026-01-01"))
    await runtime.control.run_wait(run.run_id, 60)
    await settled(runtime)
    events, _ = await runtime.services.store.asset_event_list(AssetEventFilter(uri=ORDERS.uri))
    assert [event.partition_key for event in events] == ["2026-01-01"]
    _, body = trigger_mail(TriggerRequest("load", partition_key="a"), NOW)
    assert body["partition_key"] == "a", "the owner of the DAG may be another runtime"


def test_mappers_of_mappers() -> None:
    both = ProductMapper(WithoutRegion(), ChainMapper(IdentityMapper(), StartOfDayMapper()))
    assert both.to_downstream("eu::a|2026-01-01T07:10:00") == "a|2026-01-01"
    assert both.to_downstream("a|2026-01-01T07:10:00") is None
    assert both.to_downstream("alone") is None
    assert mapper_json(WithoutRegion())["kind"] == "own"


def test_what_is_no_mapper_is_refused() -> None:
    class Empty(PartitionMapper):
        pass

    with pytest.raises(AuthoringError, match="without to_downstream"):
        PartitionedAssetTimetable(assets=ORDERS, partition_mapper_config={ORDERS: Empty()})
    with pytest.raises(AuthoringError, match="at least two"):
        ChainMapper(IdentityMapper())
    with pytest.raises(AuthoringError, match="a text that is not empty"):
        FixedKeyMapper("")
