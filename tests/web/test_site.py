"""The site as a whole: mounting under a path, pages, headers, methods, the server, speed."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from tests.web.conftest import ADMIN, SECRET, Site, parsed
from tradewind.model.errors import ConfigError, StoreUnavailable
from tradewind.model.rows import DagRow
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.web.app import make_app
from tradewind.web.auth.identity import COOKIE
from tradewind.web.keys import TIMINGS
from tradewind.web.problems import problem_of
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig

INDEX = '<!doctype html><html><head><base href="/" /><title>T</title></head><body></body></html>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as the page's build leaves it."""
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text(INDEX)
    (dist / "favicon.svg").write_text("<svg/>")
    (dist / "assets" / "index-Bx12Cd34.js").write_text("let a = 1;\n" * 500)
    (dist / "assets" / "index-Bx12Cd34.js.map").write_text("{}")
    return dist


async def test_without_a_build_the_page_says_how_to_make_one(site: Site) -> None:
    for path in ("/", "/dags/hourly"):
        answer = await site.client.get(path)
        assert answer.status == 200
        text = await answer.text()
        assert "npm run build" in text
        assert '<base href="/">' in text
    assert (await site.client.get("/api/nothing")).content_type == "application/problem+json"


@pytest.mark.usefixtures("built")
async def test_built_pages(site: Site) -> None:
    index = await site.client.get("/dags/my.dag?tab=runs")
    assert await index.text() == INDEX
    assert index.headers["Cache-Control"] == "no-cache"
    assert index.content_type == "text/html"
    again = await site.client.get("/", headers={"If-None-Match": index.headers["ETag"]})
    assert again.status == 304
    script = await site.client.get("/assets/index-Bx12Cd34.js")
    assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert script.content_type == "text/javascript"
    assert script.headers["Content-Encoding"] == "gzip"
    plain = await site.client.get("/assets/index-Bx12Cd34.js", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.text() == await script.text()
    assert (await site.client.get("/favicon.svg")).headers["Cache-Control"] == "no-cache"
    for path in ("/assets/index-Bx12Cd34.js.map", "/assets/gone.js"):
        assert (await site.client.get(path)).status == 404


async def test_a_new_build_is_seen(site: Site, built: Path) -> None:
    assert await (await site.client.get("/")).text() == INDEX
    (built / "assets" / "index-New45678.js").write_text("let b;")
    (built / "index.html").write_text(INDEX.replace("T<", "U<"))
    os.utime(built / "index.html", ns=(1, 10**18))
    assert "<title>U<" in await (await site.client.get("/")).text()
    assert (await site.client.get("/assets/index-New45678.js")).status == 200
    assert (await site.client.get("/assets/index-Bx12Cd34.js")).status == 200


@pytest.mark.usefixtures("built")
async def test_mounted_under_a_path(site: Site, web_config: WebConfig) -> None:
    outer = web.Application()

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="outer")

    outer.router.add_get("/", hello)
    outer.add_subapp("/team/flows", make_app(site.control, web_config))
    async with TestClient(TestServer(outer), cookie_jar=CookieJar(unsafe=True)) as client:
        assert await (await client.get("/")).text() == "outer"
        assert '<base href="/team/flows/" />' in await (await client.get("/team/flows/dags/x")).text()
        moved = await client.get("/team/flows", allow_redirects=False)
        assert (moved.status, moved.headers["Location"]) == (308, "/team/flows/")
        assert (await client.get("/team/flows/api/v1/health")).status == 200
        document = await (await client.get("/team/flows/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": "/team/flows/api/v1"}]
        login = {"username": "uma", "password": "uma-password"}
        answer = await client.post("/team/flows/auth/login", json=login)
        assert answer.cookies[COOKIE]["path"] == "/team/flows/"
        assert (await (await client.get("/team/flows/auth/me")).json())["username"] == "uma"
        assert (await client.get("/team/flows/api/v1/nothing")).content_type == "application/problem+json"
        assert (await client.get("/elsewhere")).content_type == "text/plain"


async def test_every_answer_has_the_security_headers(site: Site) -> None:
    for path in ("/", "/api/v1/health", "/api/v1/dags", "/api/v1/nothing", "/auth/me"):
        headers = (await site.client.get(path)).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "Tradewind"
        assert len(headers["X-Request-Id"]) == 16
    given = await site.client.get("/", headers={"X-Request-Id": "trace-1"})
    assert given.headers["X-Request-Id"] == "trace-1"
    strange = await site.client.get("/", headers={"X-Request-Id": "a b<script>"})
    assert len(strange.headers["X-Request-Id"]) == 16


async def test_methods(site: Site) -> None:
    head = await site.ask("HEAD", "/dags")
    assert int(head.headers["Content-Length"]) > 100
    assert await head.text() == ""
    options = await site.ask("OPTIONS", "/dags/hourly", 204)
    assert options.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"
    refused = await site.ask("DELETE", "/dags/hourly", 405)
    assert refused.headers["Allow"] == "GET, HEAD, PATCH"
    assert "DELETE does not work here" in (await refused.json())["detail"]


async def test_health_needs_neither_login_nor_database(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(username: str) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(site.store, "user_get", gone)
    site.control.database_works = False
    body = await (await site.client.get("/api/v1/health", headers={**ADMIN, "Cookie": f"{COOKIE}=x"})).json()
    assert body["metadatabase"] == {"status": "unhealthy"}
    assert body["scheduler"] == {"status": "healthy", "latest_scheduler_heartbeat": "2026-03-01T12:00:00+00:00"}
    answer = await site.ask("GET", "/dags", 503)
    assert answer.headers["Retry-After"] == "1"
    assert (await answer.json())["title"] == "Database unavailable"


async def test_the_unexpected_is_logged_with_an_id_and_without_secrets(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> list[DagRow]:
        raise RuntimeError("the store is confused")

    monkeypatch.setattr(site.store, "dag_list", broken)
    with caplog.at_level(logging.DEBUG):
        problem = await (await site.get("/dags", 500, tags="private-text")).json()
    assert "confused" not in str(problem)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert problem["request_id"] in record.getMessage()
    assert record.exc_info is not None
    assert "admin-password" not in caplog.text
    assert ADMIN["Authorization"] not in caplog.text
    assert "private-text" not in record.getMessage()


async def test_requests_are_timed_by_route(site: Site) -> None:
    await site.get("/dags/hourly")
    await site.get("/dags/nothing", 404)
    series = site.client.app[TIMINGS].series()
    timing = series["GET", "/api/v1/dags/{dag_id}", "2xx"]
    assert timing.count == sum(timing.buckets) == 1
    assert timing.seconds > 0
    assert ("GET", "/api/v1/dags/{dag_id}", "4xx") in series


async def test_ids_that_look_like_paths(site: Site) -> None:
    await site.get("/dags/a%2Fb", 404)
    await site.ask("POST", "/dags/fetch_pictures/dagRuns", json={"dag_run_id": "manual__2026-01-01T00:00:00+00:00"})
    for spelling in ("manual__2026-01-01T00:00:00+00:00", "manual__2026-01-01T00%3A00%3A00%2B00%3A00"):
        url = site.client.make_url("/").with_path(f"/api/v1/dags/fetch_pictures/dagRuns/{spelling}", encoded=True)
        answer = await site.client.session.get(url, headers=ADMIN)
        assert answer.status == 200


async def test_a_thousand_dags_are_listed_quickly(site: Site) -> None:
    specs = [
        DagSpec(f"dag_{n:04}", tasks=tuple(TaskSpec(f"t{i}") for i in range(5)), tags=("many",)) for n in range(1000)
    ]
    await site.store.dag_publish(site.lease, "many", [parsed(spec) for spec in specs])
    best, body = 9.0, b""
    for _ in range(6):
        began = time.process_time()
        body = await (await site.get("/dags", limit="1000", tags="many")).read()
        best = min(best, time.process_time() - began)
    assert body.count(b'"dag_id"') == 1000
    assert best < 0.1, "seconds of a processor: others on the machine do not count"


async def test_a_server_of_its_own(site: Site, web_config: WebConfig) -> None:
    async with WebServer(site.control, web_config) as server:
        assert server.port > 0
        assert server.url == f"http://localhost:{server.port}"
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}/api/v1/health") as answer:
            assert answer.status == 200
        taken = WebServer(site.control, replace(web_config, port=server.port))
        with pytest.raises(ConfigError, match=rf"port {server.port} on 127\.0\.0\.1 is taken"):
            await taken.start()
        await taken.stop()
    await server.stop()
    with pytest.raises(OSError, match=r"\w"), socket.create_connection(("127.0.0.1", server.port), timeout=1):
        pass


async def test_an_address_that_is_not_ours(site: Site, web_config: WebConfig) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        await WebServer(site.control, replace(web_config, host="192.0.2.1")).start()


async def test_the_access_log_names_no_query(
    site: Site, web_config: WebConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(web_config, access_log=True)
    with caplog.at_level(logging.INFO, "tradewind.web.access"):
        async with WebServer(site.control, config) as server, ClientSession() as session:
            await session.get(f"http://127.0.0.1:{server.port}/api/v1/health?token=hidden")
    [line] = [record.getMessage() for record in caplog.records if record.name == "tradewind.web.access"]
    assert '"GET /api/v1/health HTTP/1.1" 400 ' in line
    assert "hidden" not in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret_key": b"short"}, "secret_key has 5 bytes"),
        ({"port": 70_000}, "between 0 and 65535"),
        ({"heartbeat": 0.0}, "heartbeat must be greater"),
        ({"forwarded_hops": -1}, "forwarded_hops"),
    ],
)
def test_settings_that_cannot_work(change: dict[str, object], words: str) -> None:
    values: dict[str, object] = {"secret_key": SECRET, **change}
    with pytest.raises(ConfigError, match=words):
        WebConfig(**values)  # type: ignore[arg-type]  # the point is what happens to such values
    assert "secret" not in repr(WebConfig(secret_key=SECRET)).replace("secret_key", "")


def test_what_went_wrong_in_one_of_several_reads_is_the_answer() -> None:
    both = ExceptionGroup("reads", [ExceptionGroup("more", [StoreUnavailable("gone"), StoreUnavailable("gone")])])
    problem = problem_of(both)
    assert problem is not None
    assert (problem.status, problem.title) == (503, "Database unavailable")
