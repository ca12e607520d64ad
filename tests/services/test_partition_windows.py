"""Schedules by partition that wait for windows of keys, or make many of one: a DAG file in Airflow's spelling, run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.services.conftest import StartRuntime, until
from tests.services.test_assets import settled
from tradewind import DAG
from tradewind.bundles.loader import load_file
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.assets import ExternalEvent
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.store.memory import MemoryStore, new_database
from tradewind_executors.inline import InlineExecutor

FILE = Path(__file__).parents[1] / "compat" / "dags" / "by_partition" / "partition_windows.py"
TAKINGS, PRICES, COUNTED = "s3://shops/takings", "s3://shops/prices", "s3://shops/counted"


async def begin(start: StartRuntime, *dag_ids: str) -> Runtime:
    dags = (await asyncio.to_thread(load_file, FILE)).dags
    return await start(*(dags[dag_id] for dag_id in dag_ids))


async def send(runtime: Runtime, uri: str, *keys: str) -> None:
    for key in keys:
        await runtime.services.store.asset_event_add(ExternalEvent(uri, partition_key=key))


async def notes(runtime: Runtime, dag_id: str, count: int) -> list[Any]:
    """What the first runs of a DAG have noted, once they have ended: key, moment, keys of events."""
    reads = runtime.control.reads

    async def ended() -> bool:
        rows, _ = await reads.run_list(RunFilter(dag_id))
        assert RunState.FAILED not in {row.state for row in rows}
        return len([row for row in rows if row.state is RunState.SUCCESS]) >= count

    await until(runtime, ended, 4)
    rows, total = await reads.run_list(RunFilter(dag_id, order_by="run_id"))
    assert total == count
    found: list[Any] = []
    for row in rows:
        value = await runtime.services.store.xcom_get(row.run_id, "note", "return_value")
        assert value is not None
        found.append(orjson.loads(value.data))
    return found


async def test_a_run_waits_for_all_keys_of_a_window(start_on_each: StartRuntime) -> None:
    runtime = await begin(start_on_each, "quarter", "weekend", "most_shops")
    await send(runtime, TAKINGS, "2026-05", "2026-04", "2026-04", "2026-01", "no month", "2026-05-09")
    await send(runtime, COUNTED, "leiden")
    await settled(runtime)
    assert (await runtime.control.reads.run_list(RunFilter()))[1] == 0
    await send(runtime, COUNTED, "rotterdam", "haarlem")
    (few,) = await notes(runtime, "most_shops", 1)
    assert few == ["all shops", None, ["haarlem", "leiden", "rotterdam"]]
    await send(runtime, TAKINGS, "2026-06", "2026-05-10")
    (quarter,) = await notes(runtime, "quarter", 1)
    assert quarter == ["2026-Q2", "2026-03-31T22:00:00+00:00", ["2026-04", "2026-04", "2026-05", "2026-06"]]
    (weekend,) = await notes(runtime, "weekend", 1)
    assert weekend == ["2026-05-04 (W19)", "2026-05-04T00:00:00+00:00", ["2026-05-09", "2026-05-10"]]
    left = [one.event.partition_key for _, one in await runtime.services.store.asset_queue_list("quarter")]
    assert left == ["2026-01"]


async def test_one_event_makes_a_run_for_each_key_of_a_window(
    start_on_each: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await begin(start_on_each, "each_day", "too_many")
    await send(runtime, PRICES, "2026-05-06T12:00:00")
    await send(runtime, TAKINGS, "2026-05-04", "2026-05-12")
    assert await notes(runtime, "each_day", 1) == [
        ["2026-05-04", "2026-05-04T00:00:00+00:00", ["2026-05-04", "2026-05-06T12:00:00"]]
    ]
    await send(runtime, TAKINGS, *(f"2026-05-{day:02}" for day in range(5, 11)))
    keys = [[key, events] for key, _, events in (await notes(runtime, "each_day", 7))[1:]]
    assert keys == [
        [day, sorted([day, "2026-05-06T12:00:00"])] for day in (f"2026-05-{day:02}" for day in range(5, 11))
    ]
    await settled(runtime)
    queue = await runtime.services.store.asset_queue_list("each_day")
    assert [one.event.partition_key for _, one in queue] == ["2026-05-12"], "the event of the prices is used up"
    assert await notes(runtime, "too_many", 0) == []
    assert "it becomes 3 keys, more than max_downstream_keys=2 allows" in caplog.text


async def test_partitions_that_a_task_names(start_on_each: StartRuntime) -> None:
    runtime = await begin(start_on_each, "counted", "each_shop", "all_shops")
    run = await runtime.control.run_trigger(TriggerRequest("counted"))
    await runtime.control.run_wait(run.run_id, 60)
    both = [["leiden", None, ["leiden"]], ["utrecht", None, ["utrecht"]]]
    assert await notes(runtime, "each_shop", 2) == both
    assert await notes(runtime, "all_shops", 0) == []
    run = await runtime.control.run_trigger(TriggerRequest("counted", partition_key="haarlem"))
    await runtime.control.run_wait(run.run_id, 60)
    await send(runtime, COUNTED, "haarlem")
    assert await notes(runtime, "each_shop", 5) == [*both, *both, ["haarlem", None, ["haarlem"]]]
    (every,) = await notes(runtime, "all_shops", 1)
    assert every[2] == ["haarlem", "leiden", "leiden", "utrecht", "utrecht"]


async def test_the_moment_of_a_partition_goes_with_its_key(start_on_each: StartRuntime) -> None:
    runtime = await begin(start_on_each, "monthly", "handed_month", "handed_day", "hands_on")
    (month,) = await notes(runtime, "monthly", 1)
    assert month == ["2026-01", "2025-12-31T23:00:00+00:00", []]
    run = await runtime.control.run_trigger(TriggerRequest("monthly", partition_key="2026-07"))
    ended = await runtime.control.run_wait(run.run_id, 60)
    assert ended.partition_date is not None
    assert ended.partition_date.isoformat() == "2026-06-30T22:00:00+00:00"
    await runtime.control.run_trigger(TriggerRequest("hands_on", partition_key="2026-08"))
    assert await notes(runtime, "handed_month", 1) == [["2026-08", None, ["2026-08"]]]
    assert await notes(runtime, "handed_day", 1) == [["2026-08", "2026-08-01T00:00:00+00:00", ["2026-08"]]]


async def test_windows_are_as_full_after_a_restart(tmp_path: Path) -> None:
    overrides = {"scheduler.drain_timeout": 0.2}
    config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
    database = new_database()

    def begun(dags: Mapping[str, DAG]) -> Runtime:
        inline = InlineExecutor()
        executors = {"inline": inline, "local": inline}
        parts = Parts(store=MemoryStore(database), executors=executors, watch_files=False)
        return Runtime(config, dags=[dags[name] for name in ("all_shops", "each_day")], parts=parts)

    async with begun((await asyncio.to_thread(load_file, FILE)).dags) as runtime:
        await send(runtime, COUNTED, "leiden", "haarlem")
        await send(runtime, PRICES, "2026-05-06T12:00:00")
        await send(runtime, TAKINGS, "2026-05-04")
        await notes(runtime, "each_day", 1)
    async with begun((await asyncio.to_thread(load_file, FILE)).dags) as runtime:
        await send(runtime, COUNTED, "utrecht")
        await send(runtime, TAKINGS, "2026-05-05")
        (every,) = await notes(runtime, "all_shops", 1)
        assert every[2] == ["haarlem", "leiden", "utrecht"]
        assert [key for key, _, _ in await notes(runtime, "each_day", 2)] == ["2026-05-04", "2026-05-05"]
