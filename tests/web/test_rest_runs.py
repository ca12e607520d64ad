"""Runs and task instances: trigger, list, wait, cancel, clear, tries, XComs."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.conftest import Site
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState, TaskState

RUNS = "/dags/fetch_pictures/dagRuns"


async def triggered(site: Site, dag_run_id: str = "one") -> RunRow:
    await site.ask("POST", RUNS, json={"dag_run_id": dag_run_id})
    run = await site.store.run_get("fetch_pictures", dag_run_id)
    assert run is not None
    return run


@pytest.mark.spec("1:G10", "1:G11")
async def test_triggering_as_the_book_does(site: Site) -> None:
    answer = await site.ask("POST", RUNS, json={"conf": {"supermarket": 1}})
    run = await answer.json()
    assert run["conf"] == {"supermarket": 1}
    assert run["dag_id"] == "fetch_pictures"
    assert run["dag_run_id"].startswith("manual__2026-03-01T12:00:")
    assert run["end_date"] is None
    assert run["external_trigger"] is True
    assert run["execution_date"] == run["logical_date"]
    assert run["state"] == "queued"
    assert run["run_type"] == "manual"
    same = await (await site.get(f"{RUNS}/{run['dag_run_id'].replace('+', '%2B')}")).json()
    assert same["conf"] == {"supermarket": 1}


async def test_a_run_with_all_its_fields(site: Site) -> None:
    body = {"dag_run_id": "mine", "logical_date": "2026-02-03T04:05:06+01:00", "note": "why", "conf": None}
    run = await (await site.ask("POST", RUNS, json=body)).json()
    assert (run["dag_run_id"], run["logical_date"], run["note"], run["conf"]) == (
        "mine",
        "2026-02-03T03:05:06+00:00",
        "why",
        {},
    )
    problem = await (await site.ask("POST", RUNS, 409, json=body)).json()
    assert problem["title"] == "Conflict"
    assert "mine" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"conf": [1]}, "conf must be an object, not a list"),
        ({"config": {}}, "unknown field 'config'"),
        ({"dag_run_id": "a/b"}, "does not match"),
        ({"dag_run_id": ""}, "must not be empty"),
        ({"dag_run_id": "x" * 251}, "too long"),
        ({"dag_run_id": 5}, "must be a text, not a number"),
        ({"logical_date": "yesterday"}, "ISO 8601"),
        ({"logical_date": "2026-01-01T00:00:00"}, "no time zone"),
        ({"note": "a\0b"}, "NUL"),
        ({"unpause": 1}, "must be true or false"),
        ({"logical_date": "2026-01-01T00:00:00Z", "execution_date": "2026-01-02T00:00:00Z"}, "differ"),
        ([], "must be a JSON object, not a list"),
    ],
)
async def test_bad_triggers_say_what_is_wrong(site: Site, body: object, words: str) -> None:
    problem = await (await site.ask("POST", RUNS, 400, json=body)).json()
    assert words in problem["detail"]


async def test_bodies_that_are_no_json(site: Site) -> None:
    as_json = {"Content-Type": "application/json"}
    assert "not valid JSON" in (await (await site.ask("POST", RUNS, 400, data=b"{", headers=as_json)).json())["detail"]
    assert "at least {}" in (await (await site.ask("POST", RUNS, 400, data=b"", headers=as_json)).json())["detail"]
    form = await site.ask("POST", RUNS, 415, data=b"conf={}")
    assert "Content-Type: application/json" in (await form.json())["detail"]
    large = await site.ask("POST", RUNS, 413, json={"conf": {"x": "y" * 100_000}})
    assert (await large.json())["title"] == "Body too large"
    packed = {**as_json, "Content-Encoding": "gzip"}
    await site.ask("POST", RUNS, 400, data=b"not gzip", headers=packed)


async def test_a_paused_dag_asks_to_be_unpaused(site: Site) -> None:
    problem = await (await site.ask("POST", "/dags/hourly/dagRuns", 409, json={})).json()
    assert problem["title"] == "DAG is paused"
    assert problem["type"] == "urn:tradewind:problem:dag-is-paused"
    await site.ask("POST", "/dags/hourly/dagRuns", json={"unpause": True})
    assert (await (await site.get("/dags/hourly")).json())["is_paused"] is False
    await site.ask("POST", "/dags/nothing/dagRuns", 404, json={})


async def test_lists_of_runs(site: Site) -> None:
    for day in (1, 2, 3):
        await site.ask("POST", RUNS, json={"dag_run_id": f"r{day}", "logical_date": f"2026-02-0{day}T00:00:00Z"})
    await site.ask("POST", "/dags/by_hand/dagRuns", json={"dag_run_id": "other"})
    run = await site.store.run_get("fetch_pictures", "r2")
    assert run is not None
    await site.control.move_run(run, RunState.FAILED)

    async def ids(path: str, **query: str) -> tuple[list[str], int]:
        body = await (await site.get(path, **query)).json()
        return [entry["dag_run_id"] for entry in body["dag_runs"]], body["total_entries"]

    assert await ids(RUNS) == (["r1", "r2", "r3"], 3)
    assert await ids(RUNS, limit="1", offset="1") == (["r2"], 3)
    assert await ids(RUNS, order_by="-execution_date") == (["r3", "r2", "r1"], 3)
    assert await ids(RUNS, execution_date_gte="2026-02-02T00:00:00+00:00") == (["r2", "r3"], 2)
    assert await ids(RUNS, state="failed") == (["r2"], 1)
    assert await ids(RUNS, end_date_gte="2026-01-01T00:00:00Z") == (["r2"], 1)
    assert await ids(RUNS, run_type="manual", limit="2") == (["r1", "r2"], 3)
    assert await ids(RUNS, run_type="scheduled") == ([], 0)
    assert await ids("/dags/~/dagRuns") == (["r1", "r2", "r3", "other"], 4)
    await site.get("/dags/nothing/dagRuns", 404)
    await site.get(RUNS, 400, state="sleeping")


async def test_cancelling(site: Site) -> None:
    await triggered(site)
    body = await (await site.ask("PATCH", f"{RUNS}/one", json={"state": "failed"})).json()
    assert body["state"] == "failed"
    problem = await (await site.ask("PATCH", f"{RUNS}/one", 400, json={"state": "success"})).json()
    assert "must be one of failed" in problem["detail"]
    problem = await (await site.ask("PATCH", f"{RUNS}/one", 400, json={})).json()
    assert "state is missing" in problem["detail"]
    await site.ask("PATCH", f"{RUNS}/none", 404, json={"state": "failed"})


async def test_waiting_for_a_result(site: Site) -> None:
    run = await triggered(site)
    soon = await site.get(f"{RUNS}/one/wait", 202, timeout="0")
    assert (await soon.json())["state"] == "queued"

    async def finish() -> None:
        await site.control.begin(run, "report")
        await site.control.finish(run, "report", value={"pictures": 3})
        await site.control.move_run(run, RunState.SUCCESS)

    waiting = asyncio.ensure_future(site.get(f"{RUNS}/one/wait", timeout="30", result="report,list"))
    await finish()
    body = await (await waiting).json()
    assert body["state"] == "success"
    assert body["results"] == {"report": {"pictures": 3}, "list": None}
    await site.get(f"{RUNS}/one/wait", 400, timeout="99999")


@pytest.mark.spec("1:H1")
async def test_task_instances(site: Site) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", failed="no network")
    body = await (await site.get(f"{RUNS}/one/taskInstances")).json()
    assert body["total_entries"] == 3
    by_id = {entry["task_id"]: entry for entry in body["task_instances"]}
    failed = by_id["list"]
    assert failed["state"] == "failed"
    assert (failed["try_number"], failed["max_tries"], failed["duration"]) == (1, 3, 2.0)
    assert (failed["hostname"], failed["pid"], failed["operator"]) == ("host-1", 4711, "PythonOperator")
    assert failed["outcome_detail"] == {"error": "no network"}
    assert by_id["report"]["state"] is None
    one = await (await site.get(f"{RUNS}/one/taskInstances/list")).json()
    assert one == failed
    assert (await (await site.get(f"{RUNS}/one/taskInstances/group.fetch")).json())["task_id"] == "group.fetch"
    assert await (await site.get(f"{RUNS}/one/taskInstances/list/-1")).json() == failed
    await site.get(f"{RUNS}/one/taskInstances/nothing", 404)
    await site.get(f"{RUNS}/one/taskInstances/list/3", 404)
    await site.get(f"{RUNS}/none/taskInstances", 404)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "failed"}, ["list"]),
        ({"state": "none"}, ["group.fetch", "report"]),
        ({"state": "none,failed", "limit": "2"}, ["group.fetch", "list"]),
        ({"order_by": "-task_id"}, ["report", "list", "group.fetch"]),
        ({"duration_gte": "1"}, ["list"]),
        ({"duration_lte": "1.5"}, []),
        ({"map_index": "0"}, []),
        ({"pool": "small"}, []),
        ({"start_date_lte": "2026-03-02T00:00:00Z"}, ["list"]),
    ],
)
async def test_filters_of_task_instances(site: Site, query: dict[str, str], expected: list[str]) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", failed="x")
    body = await (await site.get(f"{RUNS}/one/taskInstances", **query)).json()
    assert [entry["task_id"] for entry in body["task_instances"]] == expected


async def test_tries(site: Site) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", failed="first")
    await site.control.move(run, "list", TaskState.NONE)
    await site.control.begin(run, "list", 2)
    await site.control.finish(run, "list", value=7)
    tries = (await (await site.get(f"{RUNS}/one/taskInstances/list/tries")).json())["task_instances"]
    assert [(entry["try_number"], entry["state"]) for entry in tries] == [(1, "failed"), (2, "success")]
    second = await (await site.get(f"{RUNS}/one/taskInstances/list/tries/2")).json()
    assert second["outcome"] == "success"
    await site.get(f"{RUNS}/one/taskInstances/list/tries/3", 404)
    await site.get(f"{RUNS}/one/taskInstances/list/tries/last", 404)
    mapped = await (await site.get(f"{RUNS}/one/taskInstances/list/listMapped")).json()
    assert mapped == {"task_instances": [], "total_entries": 0}


async def test_why_a_task_is_not_running(site: Site) -> None:
    await triggered(site)
    body = await (await site.get(f"{RUNS}/one/taskInstances/list/dependencies")).json()
    assert body == {"dependencies": [{"name": "Tradewind", "reason": "nothing schedules list of one here"}]}
    await site.get(f"{RUNS}/one/taskInstances/unknown/dependencies", 404)


@pytest.mark.spec("1:X8")
async def test_xcoms(site: Site) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", value={"count": 3})
    path = f"{RUNS}/one/taskInstances/list/xcomEntries"
    body = await (await site.get(path)).json()
    assert body["total_entries"] == 1
    shown = body["xcom_entries"][0]
    assert (shown["key"], shown["dag_id"], shown["task_id"]) == ("return_value", "fetch_pictures", "list")
    assert (shown["execution_date"], shown["timestamp"] is None) == (run.logical_date.isoformat(), False)
    assert "value" not in body["xcom_entries"][0]
    assert (await (await site.get(f"{path}/return_value")).json())["value"] == "{'count': 3}"
    assert (await (await site.get(f"{path}/return_value", stringify="false")).json())["value"] == {"count": 3}
    every = await (await site.get(f"{RUNS}/one/taskInstances/~/xcomEntries")).json()
    assert every["total_entries"] == 1
    await site.get(f"{path}/other", 404)


@pytest.mark.spec("1:U9")
async def test_clearing_shows_first_and_clears_when_told(site: Site) -> None:
    run = await triggered(site)
    for task_id in ("list", "group.fetch"):
        await site.control.begin(run, task_id)
        await site.control.finish(run, task_id, failed="x")
    await site.control.move_run(run, RunState.FAILED)
    path = "/dags/fetch_pictures/clearTaskInstances"
    body = {"dag_run_id": "one", "task_ids": ["list"], "include_downstream": True}
    shown = (await (await site.ask("POST", path, json=body)).json())["task_instances"]
    assert [entry["task_id"] for entry in shown] == ["group.fetch", "list"]
    row = await site.store.instance_get(run.run_id, "list")
    assert row is not None
    assert row.state is TaskState.FAILED
    await site.ask("POST", path, json={**body, "dry_run": False})
    states = {item.task_id: item.state for item in await site.store.instance_list(run.run_id)}
    assert set(states.values()) == {TaskState.NONE}
    assert (await (await site.get(f"{RUNS}/one")).json())["state"] == "queued"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "say in which runs"),
        ({"dag_run_id": "one", "start_date": "2026-01-01T00:00:00Z"}, 400, "exclude each other"),
        ({"dag_run_id": "one", "task_ids": ["nothing"]}, 404, "has no task nothing"),
        ({"dag_run_id": "one", "task_ids": [["list", 1]]}, 400, "holds a list"),
        ({"dag_run_id": "one", "only_running": True}, 400, "exclude each other"),
        ({"dag_run_id": "none"}, 404, "no run 'none'"),
    ],
)
async def test_bad_clears_say_what_is_wrong(site: Site, body: dict[str, object], status: int, words: str) -> None:
    await triggered(site)
    answer = await site.ask("POST", "/dags/fetch_pictures/clearTaskInstances", status, json=body)
    assert words in (await answer.json())["detail"]


async def test_clearing_a_whole_run_and_runs_by_date(site: Site) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", value=1)
    shown = await (await site.ask("POST", f"{RUNS}/one/clear", json={})).json()
    assert len(shown["task_instances"]) == 3
    cleared = await (await site.ask("POST", f"{RUNS}/one/clear", json={"dry_run": False})).json()
    assert cleared["dag_run_id"] == "one"
    row = await site.store.instance_get(run.run_id, "list")
    assert row is not None
    assert row.state is TaskState.NONE
    by_date = {"start_date": "2026-01-01T00:00:00Z", "end_date": "9999-01-01T00:00:00Z", "only_failed": False}
    answer = await site.ask("POST", "/dags/fetch_pictures/clearTaskInstances", json=by_date)
    assert len((await answer.json())["task_instances"]) == 3
