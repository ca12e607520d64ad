"""The programs that the guides show run as they stand there."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.architecture.pages import FILES, blocks_of
from tests.architecture.tree import ROOT, shown
from tradewind.authoring.connection import Connection
from tradewind.bundles.loader import load_file
from tradewind.model.states import RunState
from tradewind.trial import try_dag

pytestmark = pytest.mark.blocks_the_loop

WAIT_FOR_OTHERS = {"arrivals", "release"}
"""DAGs that wait for a file, or for people."""
DAG_FILES = [(path, code) for path in FILES for code in blocks_of(path) if "with DAG(" in code]


@pytest.fixture
async def systems(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """What the connections of the guides lead to."""

    async def launches(request: web.Request) -> web.Response:
        return web.json_response([{"name": f"{request.query.get('agency', 'any')} 1"}])

    app = web.Application()
    app.router.add_get("/launches", launches)
    place = urlsplit(database_url)
    query = parse_qs(place.query)
    warehouse = Connection(
        conn_type="postgres",
        host=query["host"][0],
        login=place.username,
        password=unquote(place.password or ""),
        port=int(query.get("port", ["5432"])[0]),
        schema=place.path[1:],
    )
    monkeypatch.setenv("TRADEWIND_CONN_WAREHOUSE", warehouse.as_json())
    async with TestServer(app) as server:
        api = Connection(conn_type="http", host=str(server.make_url("")).rstrip("/"))
        monkeypatch.setenv("TRADEWIND_CONN_LAUNCH_API", api.as_json())
        yield


@pytest.mark.usefixtures("systems")
@pytest.mark.parametrize(("path", "code"), DAG_FILES, ids=[shown(path) for path, _ in DAG_FILES])
async def test_dag_files_load_and_run(path: Path, code: str, tmp_path: Path) -> None:
    file = tmp_path / "shown.py"
    file.write_text(code)
    dags = load_file(str(file)).dags
    assert dags
    for dag in dags.values():
        if dag.dag_id not in WAIT_FOR_OTHERS:
            report = await try_dag(dag)
            assert (report.run.state, report.errors) == (RunState.SUCCESS, {})


@pytest.fixture
def shown_programs(tmp_path: Path) -> Iterator[list[ModuleType]]:
    """The programs of the guide to embedding, imported."""
    modules: list[ModuleType] = []
    for number, code in enumerate(blocks_of(ROOT / "docs/guides/embedding.md")):
        file = tmp_path / f"embedding_{number}.py"
        file.write_text(code)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module
        spec.loader.exec_module(module)
        modules.append(module)
    yield modules
    for module in modules:
        del sys.modules[module.__name__]


@pytest.mark.slow
async def test_the_programs_of_the_guide_to_embedding(
    shown_programs: list[ModuleType], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(own_home))
    service, alone = shown_programs
    async with TestClient(TestServer(service.make_service())) as client:
        async with client.post("/sign-up") as answer:
            assert (await answer.json())["greeting"] == "welcome, ada"
        async with client.get("/flows/api/v1/health") as answer:
            assert (await answer.json())["scheduler"]["status"] == "healthy"
    assert await alone.main(alone.Runtime(dags=[alone.report])) == "written"
