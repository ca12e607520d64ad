"""Missed deadlines, SLAs and bundles through the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.web.conftest import FETCH, Site, parsed
from tests.web.test_rest_runs import RUNS, triggered
from tradewind.model.rows import DeadlineMiss, ParsedFile, RunRow
from tradewind.model.specs import DagSource
from tradewind.model.states import TaskState
from tradewind.rules.alerts import miss_of

LIST = "/dags/{}/dagRuns/{}/deadlines"


async def late(site: Site) -> RunRow:
    """A run that has missed the SLA of its first task, and a deadline of its DAG."""
    first = replace(FETCH.tasks[0], extra={**FETCH.tasks[0].extra, "sla": 60.0, "email": ["ops@example.com"]})
    spec = replace(FETCH, tasks=(first, *FETCH.tasks[1:]), extra={"sla_miss_callback": True})
    await site.store.dag_publish(site.lease, "dags", [parsed(spec)])
    run = await triggered(site)
    due = run.logical_date + timedelta(minutes=1)
    told = {"which": "sla_miss", "tasks": [miss_of(run.dag_id, "list", run, TaskState.RUNNING, due)]}
    told["blocking"] = [miss_of(run.dag_id, "report", run, TaskState.FAILED, due)]
    alert = orjson.dumps({"kind": "deadline", "name": "by noon", "alert": {}})
    for name, at, body in (("sla 1", due, orjson.dumps(told)), ("deadline by noon", run.logical_date, alert)):
        await site.store.deadline_miss(site.lease, DeadlineMiss(run.run_id, run.dag_id, name, at, body), [])
    return run


@pytest.mark.spec("2:B-35")
async def test_what_was_missed_is_listed(site: Site) -> None:
    run = await late(site)

    async def listed(dag_id: str, dag_run_id: str, **query: str) -> list[dict[str, Any]]:
        body = await (await site.get(LIST.format(dag_id, dag_run_id), 200, **query)).json()
        assert body["total_entries"] == len(body["deadlines"])
        found: list[dict[str, Any]] = body["deadlines"]
        return found

    deadline, sla = await listed("~", "~")
    assert (deadline["kind"], deadline["alert_name"], deadline["tasks"]) == ("deadline", "by noon", [])
    assert (sla["dag_id"], sla["dag_run_id"], sla["kind"], sla["missed"]) == (run.dag_id, "one", "sla", True)
    assert sla["tasks"] == [{"task_id": "list", "state": "running"}]
    assert sla["blocking_tasks"] == [{"task_id": "report", "state": "failed"}]
    assert deadline["id"] != sla["id"]
    assert await listed("fetch_pictures", "one", kind="sla") == [sla]
    assert await listed("fetch_pictures", "~", order_by="-deadline_time") == [sla, deadline]
    assert await listed("~", "~", missed="false") == []
    assert await listed("by_hand", "~") == []
    assert await listed("~", "~", deadline_time_gte=sla["deadline_time"]) == [sla]
    for dag_id, dag_run_id, status in (("~", "one", 400), ("fetch_pictures", "two", 404), ("unknown", "~", 404)):
        await site.get(LIST.format(dag_id, dag_run_id), status)


async def test_a_task_instance_tells_of_its_sla(site: Site) -> None:
    run = await late(site)
    shown = await (await site.get(f"{RUNS}/one/taskInstances/list")).json()
    miss = shown["sla_miss"]
    assert (miss["task_id"], miss["dag_id"], miss["email_sent"]) == ("list", run.dag_id, True)
    assert miss["notification_sent"] is True
    body = await (await site.get("/dags/~/dagRuns/~/taskInstances")).json()
    assert [one["task_id"] for one in body["task_instances"] if one["sla_miss"]] == ["list"]


async def test_bundles(site: Site) -> None:
    broken = ParsedFile(DagSource("more", "c0ffee", "/more/x.py", "x.py"), error="SyntaxError: line 1")
    await site.store.dag_publish(site.lease, "more", [broken])
    body = await (await site.get("/dagBundles")).json()
    dags, more = body["dag_bundles"]
    assert body["total_entries"] == 2
    assert (dags["name"], dags["active"], dags["version"], dags["import_error_count"]) == ("dags", True, "1", 1)
    assert dags["last_refreshed"] is not None
    assert (more["name"], more["active"], more["version"], more["import_error_count"]) == ("more", False, None, 1)
    assert (await (await site.get("/dagBundles/dags")).json())["dag_count"] == 3
    await site.get("/dagBundles/nowhere", 404)
