"""The document tells the truth: same operations as the router has, answers as the schemas say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator

from tests.web.conftest import Site
from tests.web.test_rest_runs import RUNS, triggered
from tradewind.web.app import make_app
from tradewind.web.rest.openapi import document, open_path
from tradewind.web.rest.route import PREFIX
from tradewind.web.rest.table import ROUTES

DOCUMENT = document(ROUTES, version="1", server="/here")


def test_every_operation_is_described_once() -> None:
    operations = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert sorted(operations) == sorted(route.operation for route in ROUTES)
    assert len(set(operations)) == len(operations)
    assert DOCUMENT["servers"] == [{"url": "/here/api/v1"}]


async def test_the_router_holds_what_is_described(site: Site) -> None:
    app = make_app(site.control, site.client.app[_config_key()])
    registered = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(PREFIX) and route.method != "HEAD"
    }
    described = {(route.method, PREFIX + open_path(route.path)) for route in ROUTES}
    assert registered == described


def _config_key() -> web.AppKey[Any]:
    from tradewind.web.keys import CONFIG

    return CONFIG


def test_schemas_are_schemas() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema, name
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                Draft202012Validator.check_schema(parameter["schema"])
                assert parameter["description"] or parameter["in"] == "path"


def _validator(schema: dict[str, Any]) -> Any:
    whole = {**schema, "components": DOCUMENT["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


ANSWERS = [
    ("/health", "get_health"),
    ("/loop", "get_loop"),
    ("/version", "get_version"),
    ("/dags", "get_dags"),
    ("/dags?fields=dag_id", "get_dags"),
    ("/dags/hourly", "get_dag"),
    ("/dags/fetch_pictures/details", "get_dag_details"),
    ("/dags/fetch_pictures/tasks", "get_tasks"),
    ("/dags/fetch_pictures/tasks/report", "get_task"),
    (RUNS, "get_dag_runs"),
    (f"{RUNS}/one", "get_dag_run"),
    (f"{RUNS}/one/taskInstances", "get_task_instances"),
    (f"{RUNS}/one/taskInstances/list", "get_task_instance"),
    (f"{RUNS}/one/taskInstances/list/tries", "get_task_instance_tries"),
    (f"{RUNS}/one/taskInstances/list/xcomEntries", "get_xcom_entries"),
    (f"{RUNS}/one/taskInstances/list/xcomEntries/return_value", "get_xcom_entry"),
    (f"{RUNS}/one/wait?timeout=0", "wait_dag_run"),
    ("/importErrors", "get_import_errors"),
    ("/connections", "get_connections"),
    ("/connections/db", "get_connection"),
    ("/variables", "get_variables"),
    ("/variables/a", "get_variable"),
    ("/pools", "get_pools"),
    ("/pools/small", "get_pool"),
    ("/openapi.json", "get_openapi_json"),
]


@pytest.mark.parametrize(("path", "operation"), ANSWERS)
async def test_answers_are_as_described(site: Site, path: str, operation: str) -> None:
    run = await triggered(site)
    await site.control.begin(run, "list")
    await site.control.finish(run, "list", value=[1])
    route = next(route for route in ROUTES if route.operation == operation)
    described = DOCUMENT["paths"][open_path(route.path)]["get"]["responses"]
    answer = await site.ask("GET", path, 202 if "wait" in path else 200)
    content = described[str(answer.status)]["content"][answer.content_type]
    errors = _validator(content["schema"]).iter_errors(await answer.json())
    assert not [f"{error.json_path}: {error.message}" for error in errors]


async def test_the_served_document(site: Site) -> None:
    as_json = await (await site.get("/openapi.json")).json()
    assert as_json["openapi"] == "3.1.0"
    assert as_json["servers"] == [{"url": "/api/v1"}]
    answer = await site.get("/openapi.yaml")
    assert yaml.safe_load(await answer.text()) == as_json
    page = await (await site.get("/ui")).text()
    assert "/api/v1/dags/{dag_id}/dagRuns" in page
