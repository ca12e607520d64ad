"""Connections, variables and pools: who may see and change them, and what never comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.web.conftest import LOGINS, Site, basic, parsed, serving
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.web.settings import WebConfig

PLACES = ("/connections", "/connections/db", "/variables", "/variables/a")


@pytest.mark.spec("3:X04")
async def test_who_may_see_and_change_them(site: Site) -> None:
    for name, allowed in (("vic", False), ("uma", False), ("olga", True), ("admin", True)):
        auth = basic(name, LOGINS[name][0])
        for place in PLACES:
            await site.ask("GET", place, 200 if allowed else 403, auth=auth)
        pool = {"name": f"of-{name}", "slots": 1}
        await site.ask("POST", "/pools", 200 if allowed else 403, auth=auth, json=pool)
        await site.ask("GET", "/pools", 200, auth=auth)


async def test_the_life_of_a_variable(site: Site) -> None:
    made = await (await site.ask("POST", "/variables", json={"key": "dir/b", "value": "2"})).json()
    assert made == {"key": "dir/b", "value": "2", "description": None}
    body = await (await site.get("/variables", order_by="-key", limit="1")).json()
    assert body == {"variables": [made], "total_entries": 2}
    change = {"key": "dir/b", "value": "3", "description": "three"}
    await site.ask("PATCH", "/variables/dir/b", json=change, params={"update_mask": "description"})
    assert await (await site.get("/variables/dir%2Fb")).json() == {**made, "description": "three"}
    await site.ask("PATCH", "/variables/dir/b", json={"value": "4"})
    assert await site.store.variable_get("dir/b") == "4"
    await site.ask("PATCH", "/variables/dir/b", 400, json={"key": "other", "value": "5"})
    await site.ask("PATCH", "/variables/dir/b", 400, json={"value": "5"}, params={"update_mask": "nothing"})
    await site.ask("POST", "/variables", 400, json={"key": "x"})
    await site.ask("POST", "/variables", 400, json={"key": "x", "value": 3})
    await site.ask("DELETE", "/variables/dir/b", 204)
    for method, body in (("GET", None), ("PATCH", {"value": "1"}), ("DELETE", None)):
        await site.ask(method, "/variables/dir/b", 404, json=body)


async def test_the_life_of_a_connection(site: Site) -> None:
    extra = {"timeout": 3, "api_token": "sesame", "nested": {"password": "sesame"}}
    body = {
        "connection_id": "web",
        "conn_type": "http",
        "host": "example.com",
        "login": "me",
        "password": "sesame",
        "port": 8080,
        "extra": json.dumps(extra),
    }
    made = await (await site.ask("POST", "/connections", json=body)).json()
    assert json.loads(made.pop("extra")) == {"timeout": 3, "api_token": "***", "nested": {"password": "***"}}
    assert made == {
        "connection_id": "web",
        "conn_type": "http",
        "description": None,
        "host": "example.com",
        "login": "me",
        "schema": None,
        "port": 8080,
    }
    await site.ask("POST", "/connections", 409, json=body)
    listed = await (await site.get("/connections", order_by="-connection_id")).json()
    assert listed["total_entries"] == 2
    assert listed["connections"][0] == made
    for answer in (
        await site.get("/connections/web"),
        await site.get("/connections"),
        await site.get("/connections/db"),
    ):
        text = await answer.text()
        assert "sesame" not in text
        assert "hidden" not in text
    change = {"connection_id": "web", "host": "other.org", "port": None, "login": "you"}
    await site.ask("PATCH", "/connections/web", json=change, params={"update_mask": "host,port"})
    stored = json.loads(await site.store.connection_get("web") or "")
    assert (stored["host"], stored.get("port"), stored["login"]) == ("other.org", None, "me")
    assert (stored["password"], json.loads(stored["extra"])) == ("sesame", extra), "what is not named stays"
    shown = json.loads((await (await site.get("/connections/web")).json())["extra"])
    await site.ask("PATCH", "/connections/web", json={"extra": json.dumps({**shown, "timeout": 4})})
    stored = json.loads(await site.store.connection_get("web") or "")
    assert json.loads(stored["extra"]) == {**extra, "timeout": 4}, "what came masked is kept"
    await site.ask("PATCH", "/connections/web", 400, json={"connection_id": "w", "host": "x"})
    await site.ask("DELETE", "/connections/web", 204)
    for method, given in (("GET", None), ("PATCH", {"host": "h"}), ("DELETE", None)):
        await site.ask(method, "/connections/web", 404, json=given)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"conn_type": "http"}, "connection_id"),
        ({"connection_id": "x"}, "conn_type"),
        ({"connection_id": "a b", "conn_type": "http"}, "does not match"),
        ({"connection_id": "x", "conn_type": "http", "port": 70000}, "port"),
        ({"connection_id": "x", "conn_type": "http", "extra": "[1]"}, "extra"),
        ({"connection_id": "x", "conn_type": "http", "hots": "h"}, "hots"),
    ],
)
async def test_bad_connections_are_refused(site: Site, body: dict[str, object], said: str) -> None:
    answer = await (await site.ask("POST", "/connections", 400, json=body)).json()
    assert said in answer["detail"]


async def test_trying_a_connection_has_to_be_allowed(site: Site, web_config: WebConfig, tmp_path: Path) -> None:
    body = {"connection_id": "f", "conn_type": "fs", "extra": json.dumps({"path": str(tmp_path)})}
    await site.ask("POST", "/connections/test", 403, json=body)
    async with serving(replace(web_config, test_connection="Enabled"), tmp_path) as open_site:
        answer = await (await open_site.ask("POST", "/connections/test", json=body)).json()
        assert answer == {"status": True, "message": f"Path {tmp_path} is existing."}
        body["conn_type"] = "carrier_pigeon"
        answer = await (await open_site.ask("POST", "/connections/test", json=body)).json()
        assert (answer["status"], "cannot be tried" in answer["message"]) == (False, True)


async def test_the_life_of_a_pool(site: Site) -> None:
    made = await (await site.ask("POST", "/pools", json={"name": "p", "slots": 3, "description": "d"})).json()
    assert (made["slots"], made["open_slots"], made["description"], made["include_deferred"]) == (3, 3, "d", False)
    await site.ask("POST", "/pools", 409, json={"name": "p", "slots": 3})
    await site.ask("POST", "/pools", 400, json={"name": "q"})
    await site.ask("POST", "/pools", 400, json={"name": "q", "slots": -2})
    change = {"name": "q", "slots": -1, "include_deferred": True}
    changed = await (await site.ask("PATCH", "/pools/p", json=change)).json()
    assert (changed["name"], changed["open_slots"], changed["description"]) == ("q", -1, "d")
    await site.ask("GET", "/pools/p", 404)
    await site.ask("PATCH", "/pools/default_pool", 400, json={"name": "other"})
    await site.ask("PATCH", "/pools/default_pool", json={"slots": 7}, params={"update_mask": "slots"})
    await site.ask("DELETE", "/pools/default_pool", 400)
    await site.ask("DELETE", "/pools/q", 204)
    await site.ask("DELETE", "/pools/q", 404)


async def test_a_pool_in_use_is_kept(site: Site) -> None:
    spec = DagSpec("pooled", tasks=(TaskSpec("a", pool="small", pool_slots=2),), is_paused_upon_creation=False)
    await site.store.dag_publish(site.lease, "dags", [parsed(spec)])
    await site.ask("POST", "/dags/pooled/dagRuns", json={"dag_run_id": "r"})
    run = await site.store.run_get("pooled", "r")
    assert run is not None
    await site.control.move_run(run, run.state.RUNNING)
    await site.control.begin(run, "a")
    answer = await (await site.ask("DELETE", "/pools/small", 409)).json()
    assert "2 slots running" in answer["detail"]
    assert (await (await site.get("/pools/small")).json())["occupied_slots"] == 2
