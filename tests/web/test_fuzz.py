"""Bad input never gets a 500, and every refusal is a problem document."""

from __future__ import annotations

import random
import string
from typing import Any

import orjson
from aiohttp import ClientTimeout
from yarl import URL

from tests.web.conftest import ADMIN, Site
from tests.web.test_rest_runs import triggered
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import PREFIX, Route
from tradewind.web.rest.table import ROUTES

NASTY = [
    "",
    " ",
    "~",
    "%",
    "%00",
    "\0",
    "..",
    "../..",
    "a/b",
    "a%2Fb",
    "-1",
    "0",
    "1e999",
    "nan",
    "9" * 30,
    "x" * 400,
    "é",
    "\u202e",
    "\U0001f600",
    "<script>",
    "'; DROP TABLE dag; --",
    "{dag_id}",
    "2026-13-01",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-01-01T00:00:00Z",
    "true",
    "null",
    "[]",
    "fetch_pictures",
    "one",
    "list",
]
NASTY_JSON: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "\0", "x" * 3000, [], [None], [[]], {}, {"a": {"b": []}},
    "2026-01-01T00:00:00Z",
    "fetch_pictures", "one", ["list"], ["nothing"], False,
]  # fmt: skip
RAW_BODIES = [
    b"", b"{", b"nul", b"\xff\xfe", b'"text"', b"[" * 5000, b'{"a":1,}', b"{\"conf\": {\"a\": \"\\ud800\"}}", b"1e400",
]  # fmt: skip


def _address(route: Route, draw: random.Random) -> URL:
    path = route.path
    for param in route.path_params():
        value = draw.choice(NASTY) if draw.random() < 0.6 else _likely(param)
        quoted = "".join(f"%{byte:02X}" for byte in value.encode()) or "x"
        for form in ("{" + param.name + ":-?[0-9]+}", "{" + param.name + "}"):
            path = path.replace(form, quoted)
    names = [param.name for param in route.query] + ["".join(draw.choices(string.ascii_letters, k=3))]
    pairs = [(name, draw.choice(NASTY)) for name in draw.sample(names, k=min(len(names), draw.randint(0, 3)))]
    query = "&".join(f"{name}=" + "".join(f"%{byte:02X}" for byte in value.encode()) for name, value in pairs)
    return URL(f"{PREFIX}{path}?{query}", encoded=True)


def _likely(param: Param) -> str:
    likely = {"dag_id": "fetch_pictures", "dag_run_id": "one", "task_id": "list", "xcom_key": "return_value"}
    return likely.get(param.name, "1" if param.kind is Kind.INTEGER else "small")


def _body(route: Route, draw: random.Random) -> bytes | None:
    if route.body is None:
        return None
    if draw.random() < 0.2:
        return draw.choice(RAW_BODIES)
    fields = [param.name for param in route.body] + ["colour"]
    chosen = draw.sample(fields, k=min(len(fields), draw.randint(0, 4)))
    value = {name: draw.choice(NASTY_JSON) for name in chosen}
    try:
        return orjson.dumps(value)
    except TypeError:
        return b'{"conf": {"n": 1000000000000000000000000000000}}'


async def test_no_input_breaks_the_server(site: Site) -> None:
    await triggered(site)
    draw = random.Random(20260301)
    routes = [route for route in ROUTES if "stream" not in route.operation and "wait" not in route.operation]
    for number in range(1500):
        route = routes[number % len(routes)]
        headers = {**ADMIN, "Content-Type": "application/json"}
        url, body = _address(route, draw), _body(route, draw)
        answer = await site.client.session.request(
            route.method, site.client.make_url("/").join(url), headers=headers, data=body, timeout=ClientTimeout(10)
        )
        text = await answer.text()
        assert answer.status < 500, f"{route.method} {url} {body!r}: {text}"
        if answer.status >= 400:
            assert answer.content_type == "application/problem+json", f"{route.method} {url}: {text}"
            assert set(orjson.loads(text)) == {"type", "title", "status", "detail", "request_id"}
