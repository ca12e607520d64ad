"""What tasks and assets keep, read and changed through the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.web.conftest import BY_HAND, Site, basic, parsed
from tests.web.test_rest_runs import RUNS, triggered
from tradewind.model.assets import OUTLET, AssetUse
from tradewind.model.state_stores import StateScope

TASK = f"{RUNS}/one/taskInstances/list/state-store"
ORDERS = AssetUse(OUTLET, "asset", "s3://lake/orders", task_id="only", name="orders", group="asset")


@pytest.fixture
async def asset(site: Site) -> str:
    await site.store.dag_publish(site.lease, "dags", [parsed(replace(BY_HAND, dag_id="load", assets=(ORDERS,)))])
    (row,) = await site.store.asset_list()
    return f"/assets/{row.asset_id}/state-store"


async def listed(site: Site, path: str, **query: str) -> list[dict[str, Any]]:
    body = await (await site.get(path, 200, **query)).json()
    (field,) = body.keys() - {"total_entries"}
    found: list[dict[str, Any]] = body[field]
    return found


async def test_what_a_task_keeps(site: Site) -> None:
    run = await triggered(site)
    await site.ask("PUT", f"{TASK}/job", 204, json={"value": {"id": 7}})
    await site.ask("PUT", f"{TASK}/nested/key", 204, json={"value": [1], "expires_at": "2901-01-01T00:00:00Z"})
    await site.ask("PUT", f"{TASK}/gone", 204, json={"value": 1, "expires_at": "2001-01-01T00:00:00Z"})
    assert await site.store.state_get(StateScope(run.run_id, "list"), "job") == '{"id": 7}'
    rows = await listed(site, TASK)
    assert [(row["key"], row["value"], row["expires_at"]) for row in rows] == [
        ("job", {"id": 7}, None),
        ("nested/key", [1], "2901-01-01T00:00:00+00:00"),
    ]
    assert [row["key"] for row in await listed(site, TASK, limit="1", offset="1")] == ["nested/key"]
    changed = await (await site.ask("PATCH", f"{TASK}/nested/key", json={"value": "new"})).json()
    assert (changed["value"], changed["expires_at"]) == ("new", "2901-01-01T00:00:00+00:00")
    await site.ask("PATCH", f"{TASK}/gone", 404, json={"value": 1})
    assert (await (await site.get(f"{TASK}/job")).json())["value"] == {"id": 7}
    await site.ask("DELETE", f"{TASK}/job", 204)
    await site.ask("DELETE", f"{TASK}/job", 204)
    await site.get(f"{TASK}/job", 404)
    await site.ask("DELETE", TASK, 204)
    assert await listed(site, TASK) == []


async def test_instances_of_a_mapped_task_keep_their_own(site: Site) -> None:
    run = await triggered(site)
    await site.control.expand(run, "list", ["a", "b"])
    for index in ("0", "1"):
        await site.ask("PUT", f"{TASK}/n", 204, params={"map_index": index}, json={"value": int(index)})
    assert [row["value"] for row in await listed(site, TASK, map_index="1")] == [1]
    await site.ask("DELETE", TASK, 404)
    await site.ask("DELETE", TASK, 204, params={"all_map_indices": "true"})
    assert [await listed(site, TASK, map_index=index) for index in ("0", "1")] == [[], []]


async def test_what_is_refused(site: Site, asset: str) -> None:
    await triggered(site)
    for body in ({"value": None}, {}, {"value": 1, "expires_at": "soon"}):
        await site.ask("PUT", f"{TASK}/k", 400, json=body)
    await site.get(f"{RUNS}/one/taskInstances/nothing/state-store", 404)
    await site.get("/assets/999/state-store", 404)
    vic, uma = basic("vic", "vic-password"), basic("uma", "uma-password")
    await site.ask("GET", TASK, auth=vic)
    for path in (f"{TASK}/k", f"{asset}/k"):
        await site.ask("PUT", path, 403, auth=vic, json={"value": 1})
    await site.ask("PUT", f"{TASK}/k", 204, auth=uma, json={"value": 1})
    await site.ask("PUT", f"{asset}/k", 403, auth=uma, json={"value": 1})


async def test_what_an_asset_keeps(site: Site, asset: str) -> None:
    await site.ask("PUT", f"{asset}/mark", 204, json={"value": "2026-01-01"})
    assert await site.store.state_get(StateScope.of_asset(name="orders"), "mark") == '"2026-01-01"'
    (row,) = await listed(site, asset)
    assert (row["key"], row["value"], row["last_updated_by"]) == ("mark", "2026-01-01", None)
    await site.store.state_put(StateScope.of_asset(name="orders"), "half", '"\\ud800"')
    assert (await (await site.get(f"{asset}/half")).json())["value"] == '"\\ud800"', "no JSON document may hold it"
    await site.ask("DELETE", f"{asset}/mark", 204)
    assert [row["key"] for row in await listed(site, asset)] == ["half"]
    await site.ask("DELETE", asset, 204)
    assert await listed(site, asset) == []
