"""Operators, sensor and hook of the http package, against a web server."""

from __future__ import annotations

import pytest

from tests.providers_official.environments import Environment
from tests.providers_official.web_server import Asked, Said, web_server

pytestmark = pytest.mark.provider_packages


def launches(asked: Asked) -> Said:
    if asked.path == "/launches":
        return Said({"rocket": "R1", "day": asked.query["day"]})
    if asked.path.startswith("/pages/"):
        number = int(asked.path.removeprefix("/pages/"))
        return Said({"items": [number], "next": f"pages/{number + 1}" if number < 3 else None})
    if asked.path == "/orders":
        return Said(asked.body, 201)
    return Said("nothing here", 404)


@pytest.mark.spec("1:C9")
def test_http(environment: Environment) -> None:
    looks = 0

    def answer(asked: Asked) -> Said:
        nonlocal looks
        if asked.path == "/status":
            looks += 1
            return Said({"ready": looks > 1})
        return launches(asked)

    with web_server(answer) as server:
        api = f"http://ann:secret@127.0.0.1:{server.port}/?X-Team=orbit"
        done = environment.try_dag("with_http", "http_dags.py", AIRFLOW_CONN_API=api)
    assert done.errors == {"refused": "AirflowException"}, done.log
    assert "404:Not Found" in done.log
    assert done.states == {
        **dict.fromkeys(("ready", "fetch", "pages", "post", "by_hook"), "success"),
        "refused": "failed",
    }
    assert done.xcoms == {
        "fetch": {"rocket": "R1", "day": "2026-01-05"},
        "pages": [[1], [2], [3]],
        "post": '{"rocket": "R1"}',
        "by_hook": "R1",
    }
    assert looks == 2
    first = server.asked_at("/launches")[0]
    assert (first.headers["x-asked-by"], first.headers["x-team"]) == ("fetch", "orbit")
    assert first.headers["authorization"].startswith("Basic ")
    assert server.asked_at("/orders")[0].fields == {"rocket": "R1"}
