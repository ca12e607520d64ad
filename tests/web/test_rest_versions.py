"""Versions of a DAG, and runs of many DAGs at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.web.conftest import FETCH, Site, parsed
from tradewind.model.specs import TaskSpec


async def test_an_old_run_has_the_graph_of_its_time(site: Site) -> None:
    await site.ask("POST", "/dags/fetch_pictures/dagRuns", json={"dag_run_id": "old"})
    newer = replace(FETCH, tasks=(*FETCH.tasks[:2], TaskSpec("send", upstream=("list",))))
    await site.store.dag_publish(site.lease, "dags", [parsed(newer)])
    await site.ask("POST", "/dags/fetch_pictures/dagRuns", json={"dag_run_id": "new"})

    body = await (await site.get("/dags/fetch_pictures/dagVersions")).json()
    assert body["total_entries"] == 2
    assert [version["version_number"] for version in body["dag_versions"]] == [2, 1]
    by_id = {version["id"]: version["version_number"] for version in body["dag_versions"]}
    for dag_run_id, number, last in (("old", 1, "report"), ("new", 2, "send")):
        run = await (await site.get(f"/dags/fetch_pictures/dagRuns/{dag_run_id}")).json()
        assert by_id[run["version_hash"]] == number
        tasks = await (await site.get("/dags/fetch_pictures/tasks", version_number=str(number))).json()
        assert [task["task_id"] for task in tasks["tasks"]] == ["list", "group.fetch", last]
        one = await (await site.get(f"/dags/fetch_pictures/dagVersions/{number}")).json()
        assert (one["id"], one["bundle_name"], one["fileloc"]) == (
            run["version_hash"],
            "dags",
            "/dags/fetch_pictures.py",
        )
    now = await (await site.get("/dags/fetch_pictures/tasks")).json()
    assert now["tasks"][-1]["task_id"] == "send"
    await site.get("/dags/fetch_pictures/tasks/report", version_number="1")
    await site.get("/dags/fetch_pictures/tasks/report", 404)
    page = await (await site.get("/dags/fetch_pictures/dagVersions", limit="1", offset="1")).json()
    assert [version["version_number"] for version in page["dag_versions"]] == [1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dags/nothing/dagVersions", 404),
        ("/dags/by_hand/dagVersions/2", 404),
        ("/dags/by_hand/dagVersions/0", 404),
        ("/dags/by_hand/dagVersions/first", 404),
        ("/dags/by_hand/tasks?version_number=2", 404),
        ("/dags/by_hand/tasks?version_number=0", 400),
    ],
)
async def test_versions_that_do_not_exist(site: Site, path: str, status: int) -> None:
    path, _, query = path.partition("?")
    await site.ask("GET", path, status, params=dict([query.split("=")]) if query else {})


async def test_runs_of_many_dags(site: Site) -> None:
    for dag_id in ("by_hand", "fetch_pictures"):
        for name in ("a", "b"):
            await site.ask("POST", f"/dags/{dag_id}/dagRuns", json={"dag_run_id": f"{dag_id}_{name}"})
    await site.ask("PATCH", "/dags/by_hand/dagRuns/by_hand_a", json={"state": "failed"})

    async def found(**body: object) -> tuple[set[str], int]:
        answer = await (await site.ask("POST", "/dags/~/dagRuns/list", json=body)).json()
        return {run["dag_run_id"] for run in answer["dag_runs"]}, answer["total_entries"]

    assert (await found())[1] == 4
    assert await found(dag_ids=["by_hand"]) == ({"by_hand_a", "by_hand_b"}, 2)
    assert await found(dag_ids=["by_hand", "fetch_pictures"], states=["failed"]) == ({"by_hand_a"}, 1)
    assert await found(order_by="dag_run_id", page_limit=1, page_offset=1) == ({"by_hand_b"}, 4)
    assert await found(start_date_gte="2100-01-01T00:00:00Z") == (set(), 0)
    problem = await (await site.ask("POST", "/dags/~/dagRuns/list", 400, json={"dag_id": "x"})).json()
    assert "dag_id" in problem["detail"]
