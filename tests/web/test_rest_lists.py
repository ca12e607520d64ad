"""Task instances and runs of many DAGs in one list."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import Site
from tradewind.model.states import RunState
from tradewind.store.memory import MemoryStore

LIST = "/dags/~/dagRuns/~/taskInstances/list"


def names(body: dict[str, Any]) -> tuple[list[str], int]:
    found = [f"{one['dag_run_id']}.{one['task_id']}" for one in body["task_instances"]]
    return found, body["total_entries"]


async def fill(site: Site) -> None:
    for dag_id, name, day in (("by_hand", "x", 1), ("fetch_pictures", "y", 2), ("fetch_pictures", "z", 3)):
        body = {"dag_run_id": name, "logical_date": f"2026-02-0{day}T00:00:00Z"}
        await site.ask("POST", f"/dags/{dag_id}/dagRuns", json=body)
    run = await site.store.run_get("by_hand", "x")
    assert run is not None
    await site.control.move_run(run, RunState.RUNNING)
    await site.control.begin(run, "only")
    await site.control.finish(run, "only", failed="no such host")


async def test_wildcards_in_the_address(site: Site) -> None:
    await fill(site)

    async def found(dag_id: str, run: str, **query: str) -> tuple[list[str], int]:
        return names(await (await site.get(f"/dags/{dag_id}/dagRuns/{run}/taskInstances", 200, **query)).json())

    assert (await found("~", "~"))[1] == 7
    assert await found("fetch_pictures", "~", task_id="list") == (["y.list", "z.list"], 2)
    assert await found("~", "x") == (["x.only"], 1)
    assert await found("~", "~", state="failed") == (["x.only"], 1)
    assert await found("~", "~", pool="nowhere") == ([], 0)
    assert await found("~", "~", pool="default_pool", limit="1", order_by="-task_id") == (["y.report"], 7)
    await site.get("/dags/unknown/dagRuns/~/taskInstances", 404)


async def test_of_a_version_that_is_not_kept_no_pool_is_known(site: Site) -> None:
    await fill(site)
    assert isinstance(site.store, MemoryStore)
    version = await site.store.dag_version_get("by_hand")
    assert version is not None
    del site.store.database.versions["by_hand", version.version_hash]
    body = await (await site.get("/dags/~/dagRuns/~/taskInstances", 200, pool="default_pool")).json()
    assert names(body)[1] == 6


async def test_a_list_with_its_filters_in_the_body(site: Site) -> None:
    await fill(site)

    async def found(**body: object) -> tuple[list[str], int]:
        return names(await (await site.ask("POST", LIST, json=body)).json())

    assert (await found())[1] == 7
    assert (await found(dag_ids=["fetch_pictures"], task_ids=["report"])) == (["y.report", "z.report"], 2)
    assert await found(dag_run_ids=["x", "z"], page_limit=1, page_offset=1, order_by="task_id") == (["z.list"], 4)
    assert await found(logical_date_gte="2026-02-03T00:00:00Z", task_ids=["list"]) == (["z.list"], 1)
    assert await found(execution_date_lte="2026-02-01T00:00:00Z") == (["x.only"], 1)
    assert await found(state=["failed"], executor=["local", "inline"]) == (["x.only"], 1)
    (row,) = (await (await site.ask("POST", LIST, json={"state": ["failed"]})).json())["task_instances"]
    assert (row["dag_id"], row["hostname"], row["outcome"]) == ("by_hand", "host-1", "failed")
    problem = await (await site.ask("POST", LIST, 400, json={"dag_id": "x"})).json()
    assert "dag_id" in problem["detail"]


async def test_runs_by_their_ids(site: Site) -> None:
    await fill(site)
    body = await (await site.ask("POST", "/dags/~/dagRuns/list", json={"dag_run_ids": ["x", "z", "other"]})).json()
    assert ([run["dag_run_id"] for run in body["dag_runs"]], body["total_entries"]) == (["x", "z"], 2)
