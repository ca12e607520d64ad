"""DAGs, tasks, code, import errors, pools: what lists and single answers hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.web.conftest import BY_HAND, Site, parsed
from tradewind.model.specs import DagSpec, TaskSpec


async def test_list_of_dags(site: Site) -> None:
    body = await (await site.get("/dags")).json()
    assert body["total_entries"] == 3
    assert [dag["dag_id"] for dag in body["dags"]] == ["by_hand", "fetch_pictures", "hourly"]
    fetch, hourly = body["dags"][1:]
    assert fetch["schedule_interval"] == {"__type": "CronExpression", "value": "0 3 * * *"}
    assert fetch["tags"] == [{"name": "example"}, {"name": "http"}]
    assert fetch["owners"] == ["airflow", "ana"]
    assert fetch["is_paused"] is False
    assert hourly["is_paused"] is True
    assert hourly["schedule_interval"] == {"__type": "TimeDelta", "days": 0, "seconds": 5400, "microseconds": 0}
    assert body["dags"][0]["schedule_interval"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": "1"}, ["by_hand"]),
        ({"limit": "1", "offset": "2"}, ["hourly"]),
        ({"order_by": "-dag_id", "limit": "2"}, ["hourly", "fetch_pictures"]),
        ({"paused": "true"}, ["hourly"]),
        ({"tags": "http"}, ["fetch_pictures"]),
        ({"tags": "http,nothing"}, ["fetch_pictures"]),
        ({"dag_id_pattern": "H"}, ["by_hand", "fetch_pictures", "hourly"]),
        ({"dag_id_pattern": "f%pic"}, ["fetch_pictures"]),
        ({"offset": "7"}, []),
    ],
)
async def test_filters_of_dags(site: Site, query: dict[str, str], expected: list[str]) -> None:
    body = await (await site.get("/dags", **query)).json()
    assert [dag["dag_id"] for dag in body["dags"]] == expected


async def test_choice_of_fields(site: Site) -> None:
    body = await (await site.get("/dags", fields="dag_id,is_paused", limit="1")).json()
    assert body["dags"] == [{"dag_id": "by_hand", "is_paused": False}]
    problem = await (await site.get("/dags", 400, fields="dag_id,colour")).json()
    assert "colour" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": "0"}, "limit must be at least 1"),
        ({"limit": "1001"}, "limit must be at most 1000"),
        ({"limit": "ten"}, "limit must be an integer"),
        ({"offset": "-1"}, "offset must be at least 0"),
        ({"order_by": "colour"}, "order_by must be one of"),
        ({"paused": "maybe"}, "paused must be true or false"),
        ({"colour": "red"}, "unknown query parameter 'colour'"),
        ({"dag_id_pattern": "a\0b"}, "NUL"),
    ],
)
async def test_bad_queries_say_what_is_wrong(site: Site, query: dict[str, str], words: str) -> None:
    answer = await site.get("/dags", 400, **query)
    assert answer.content_type == "application/problem+json"
    problem = await answer.json()
    assert words in problem["detail"]
    assert problem["status"] == 400
    assert problem["request_id"] == answer.headers["X-Request-Id"]


async def test_one_dag_and_its_details(site: Site) -> None:
    assert (await (await site.get("/dags/hourly")).json())["dag_id"] == "hourly"
    details = await (await site.get("/dags/fetch_pictures/details")).json()
    assert details["start_date"] == "2026-01-01T00:00:00+00:00"
    assert details["doc_md"] == "# Pictures"
    assert details["params"]["limit"]["value"] == 3
    problem = await (await site.get("/dags/nothing", 404)).json()
    assert problem == {
        "type": "urn:tradewind:problem:not-found",
        "title": "DAG not found",
        "status": 404,
        "detail": "The DAG with dag_id: nothing was not found",
        "request_id": problem["request_id"],
    }


async def test_params_stand_in_the_order_of_the_file(site: Site) -> None:
    for order in (["zone", "area", "mode"], ["mode", "zone", "area"]):
        spec = replace(BY_HAND, params={name: {"schema": {}, "value": 1} for name in order})
        await site.store.dag_publish(site.lease, "dags", [parsed(spec)])
        details = await (await site.get("/dags/by_hand/details")).json()
        assert (list(details["params"]), details["version_number"]) == (order, 2)


@pytest.mark.spec("1:S15")
async def test_pausing(site: Site) -> None:
    answer = await site.ask("PATCH", "/dags/hourly", json={"is_paused": False})
    assert (await answer.json())["is_paused"] is False
    await site.ask("PATCH", "/dags/hourly?update_mask=is_paused", json={"is_paused": True})
    row = await site.store.dag_get("hourly")
    assert row is not None
    assert row.is_paused
    for body, words in (({}, "no is_paused"), ({"is_paused": "yes"}, "must be true or false"), ({"x": 1}, "'x'")):
        problem = await (await site.ask("PATCH", "/dags/hourly", 400, json=body)).json()
        assert words in problem["detail"]
    await site.ask("PATCH", "/dags/nothing", 404, json={"is_paused": True})


async def test_pausing_many(site: Site) -> None:
    body = await (await site.ask("PATCH", "/dags?dag_id_pattern=~&tags=example", json={"is_paused": True})).json()
    assert [(dag["dag_id"], dag["is_paused"]) for dag in body["dags"]] == [("by_hand", True), ("fetch_pictures", True)]
    await site.ask("PATCH", "/dags", 400, json={"is_paused": True})


async def test_tasks(site: Site) -> None:
    body = await (await site.get("/dags/fetch_pictures/tasks")).json()
    assert [task["task_id"] for task in body["tasks"]] == ["list", "group.fetch", "report"]
    listed, fetch, _ = body["tasks"]
    assert listed["downstream_task_ids"] == ["group.fetch"]
    assert listed["class_ref"] == {"class_name": "PythonOperator", "module_path": "tradewind.standard.python"}
    assert fetch["upstream_task_ids"] == ["list"]
    assert fetch["execution_timeout"] == {"__type": "TimeDelta", "days": 0, "seconds": 90, "microseconds": 500000}
    assert fetch["group_id"] == "group"
    one = await (await site.get("/dags/fetch_pictures/tasks/report")).json()
    assert one["template_fields"] == ["bash_command"]
    await site.get("/dags/fetch_pictures/tasks/nothing", 404)


@pytest.mark.spec("3:A02")
async def test_the_source_of_a_dag(site: Site) -> None:
    token = (await (await site.get("/dags/hourly")).json())["file_token"]
    answer = await site.get(f"/dagSources/{token}")
    assert answer.content_type == "text/plain"
    assert await answer.text() == "# hourly\n"
    as_json = await site.ask("GET", f"/dagSources/{token}", headers={"Accept": "application/json"})
    assert await as_json.json() == {"content": "# hourly\n"}
    await site.ask("GET", f"/dagSources/{token}", 406, headers={"Accept": "image/png"})
    await site.get(f"/dagSources/{token[:-2]}AA", 404)


async def test_import_errors(site: Site) -> None:
    body = await (await site.get("/importErrors")).json()
    assert body["total_entries"] == 1
    [error] = body["import_errors"]
    assert (error["filename"], error["stack_trace"]) == ("/dags/broken.py", "SyntaxError: line 3")
    one = await (await site.get(f"/importErrors/{error['import_error_id']}")).json()
    assert one == error
    await site.get("/importErrors/999", 404)
    await site.get("/importErrors/first", 404)


async def test_pools_count_their_slots(site: Site) -> None:
    spec = DagSpec("pooled", tasks=(TaskSpec("a", pool="small", pool_slots=2),), is_paused_upon_creation=False)
    await site.store.dag_publish(site.lease, "more", [parsed(spec)])
    await site.ask("POST", "/dags/pooled/dagRuns", json={"dag_run_id": "r"})
    run = await site.store.run_get("pooled", "r")
    assert run is not None
    await site.control.move_run(run, run.state.RUNNING)
    await site.control.begin(run, "a")
    pool = await (await site.get("/pools/small")).json()
    assert (pool["slots"], pool["running_slots"], pool["occupied_slots"], pool["open_slots"]) == (2, 2, 2, 0)
    body = await (await site.get("/pools")).json()
    assert [pool["name"] for pool in body["pools"]] == ["default_pool", "small"]
    await site.get("/pools/nothing", 404)
