"""Assets over the REST API, by both of their names."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.web.conftest import BY_HAND, Site, parsed
from tradewind.model.assets import OUTLET, SCHEDULE, AssetUse, Consumed
from tradewind.testing.store_world import NOON, instances_of, run_row

URI = "s3://lake/orders"
ORDERS = AssetUse(SCHEDULE, "asset", URI, name="orders", group="asset", extra={"team": "x"})
REPORT = replace(BY_HAND, dag_id="report", assets=(ORDERS,))
LOAD = replace(BY_HAND, dag_id="load", assets=(replace(ORDERS, role=OUTLET, task_id="only"),))


@pytest.fixture
async def lake(site: Site) -> Site:
    await site.store.dag_publish(site.lease, "dags", [parsed(REPORT), parsed(LOAD)])
    return site


@pytest.mark.parametrize("word", ["dataset", "asset"])
async def test_assets_are_listed_with_those_who_name_them(lake: Site, word: str) -> None:
    listed = await (await lake.get(f"/{word}s")).json()
    (one,) = listed[f"{word}s"]
    assert listed["total_entries"] == 1
    assert (one["uri"], one["extra"]) == (URI, {"team": "x"})
    assert [dag["dag_id"] for dag in one["consuming_dags"]] == ["report"]
    assert [(task["dag_id"], task["task_id"]) for task in one["producing_tasks"]] == [("load", "only")]
    assert ("name" in one) == (word == "asset")
    assert await (await lake.get(f"/{word}s/{quote(URI, safe='')}")).json() == one
    assert await (await lake.get(f"/{word}s/{URI}")).json() == one
    assert (await (await lake.get(f"/{word}s", dag_ids="load,other")).json())["total_entries"] == 1
    assert (await (await lake.get(f"/{word}s", dag_ids="other")).json())["total_entries"] == 0
    assert (await (await lake.get(f"/{word}s", uri_pattern="LAKE")).json())["total_entries"] == 1
    await lake.get(f"/{word}s/s3%3A%2F%2Fnothing", 404)


@pytest.mark.parametrize("word", ["dataset", "asset"])
async def test_an_event_from_outside_is_queued_and_taken_once(lake: Site, word: str) -> None:
    body = {f"{word}_uri": URI, "extra": {"rows": 3}, "key": "night-7"}
    sent = await (await lake.ask("POST", f"/{word}s/events", json=body)).json()
    assert sent["extra"] == {"rows": 3, "from_rest_api": True}
    assert (sent[f"{word}_uri"], sent["source_dag_id"], sent["created_dagruns"]) == (URI, None, [])
    assert await (await lake.ask("POST", f"/{word}s/events", json=body)).json() == sent
    await lake.ask("POST", f"/{word}s/events", 404, json={f"{word}_uri": "nothing"})
    await lake.ask("POST", f"/{word}s/events", 400, json={})
    listed = await (await lake.get(f"/{word}s/events")).json()
    assert listed == {f"{word}_events": [sent], "total_entries": 1}
    assert (await (await lake.get(f"/{word}s/events", source_dag_id="load")).json())["total_entries"] == 0

    place = quote(URI, safe="")
    queued = await (await lake.get(f"/dags/report/{word}s/queuedEvent")).json()
    (entry,) = queued["queued_events"]
    assert (entry["dag_id"], entry["uri"]) == ("report", URI)
    assert await (await lake.get(f"/dags/report/{word}s/queuedEvent/{place}")).json() == entry
    assert (await (await lake.get(f"/{word}s/queuedEvent/{place}")).json())["queued_events"] == [entry]
    await lake.get(f"/dags/load/{word}s/queuedEvent", 404)
    await lake.ask("DELETE", f"/dags/report/{word}s/queuedEvent/{place}", 204)
    await lake.get(f"/dags/report/{word}s/queuedEvent", 404)
    await lake.ask("DELETE", f"/{word}s/queuedEvent/{place}", 404)


@pytest.mark.parametrize("kind", ["Dataset", "Asset"])
async def test_a_run_shows_what_has_caused_it(lake: Site, kind: str) -> None:
    word = kind.lower()
    await lake.ask("POST", f"/{word}s/events", json={f"{word}_uri": URI})
    ((_, queued),) = await lake.store.asset_queue_list("report")
    run = replace(run_row(7, REPORT), run_key="2026-01", partition_date=NOON)
    ids = Consumed((queued.event.event_id,))
    assert await lake.store.run_create(lake.lease, run, instances_of(run, REPORT), consumed=ids)
    path = f"/dags/report/dagRuns/{run.dag_run_id}"
    shown = await (await lake.get(path)).json()
    assert (shown["partition_key"], shown["partition_date"]) == ("2026-01", "2026-01-01T12:00:00+00:00")
    shown = await (await lake.get(f"{path}/upstream{kind}Events")).json()
    assert shown["total_entries"] == 1
    (event,) = shown[f"{word}_events"]
    assert [made["dag_run_id"] for made in event["created_dagruns"]] == [run.dag_run_id]
    await lake.get(f"/dags/report/dagRuns/none/upstream{kind}Events", 404)
