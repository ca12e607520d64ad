"""Logs over HTTP: whole, in pieces, and as they are written."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.web.conftest import ADMIN, Site
from tests.web.test_rest_runs import RUNS, triggered
from tests.web.test_streams import Events, listening
from tradewind.model.rows import RunRow
from tradewind.worker.log import LogRef, attempt_file

LOG = f"{RUNS}/one/taskInstances/list/logs/1"


class Writer:
    """Writes a log as a worker process does."""

    def __init__(self, site: Site, try_number: int = 1) -> None:
        ref = LogRef("fetch_pictures", "one", "list", -1, try_number)
        self.path: Path = attempt_file(site.control.log_root, ref)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, message: str, ts: float = 1772366400.25, end: str | None = None) -> None:
        record: dict[str, object] = {"attempt": "0" * 32, "ts": ts, "level": "INFO", "logger": "root"}
        record["message"] = message
        if end is not None:
            record["end"] = end
        with self.path.open("ab") as file:
            file.write(orjson.dumps({**record, "stream": "log"}) + b"\n")


@pytest.fixture
async def run(site: Site) -> RunRow:
    started = await triggered(site)
    await site.control.begin(started, "list")
    return started


@pytest.mark.usefixtures("run")
@pytest.mark.spec("1:U10", "3:L07")
async def test_a_log_as_text(site: Site) -> None:
    writer = Writer(site)
    writer.write("hello")
    writer.write("two\nlines")
    answer = await site.ask("GET", LOG, headers={"Accept": "text/plain"})
    assert answer.content_type == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert await answer.text() == (
        "[2026-03-01T12:00:00.250+00:00] {root} INFO - hello\n"
        "[2026-03-01T12:00:00.250+00:00] {root} INFO - two\nlines\n"
    )
    await site.ask("GET", LOG, 406, headers={"Accept": "image/png"})
    head = await site.ask("HEAD", LOG)
    assert await head.text() == ""


async def test_a_log_in_pieces(site: Site, run: RunRow) -> None:
    as_json = {"Accept": "application/json"}
    empty = await (await site.ask("GET", LOG, headers=as_json)).json()
    assert empty["content"] == ""
    writer = Writer(site)
    writer.write("first")
    piece = await (await site.ask("GET", LOG, headers=as_json, params={"token": empty["continuation_token"]})).json()
    assert piece["content"].endswith("first\n")
    token = piece["continuation_token"]
    writer.write("second", end="success")
    await site.control.finish(run, "list", value=1)
    rest = await (await site.ask("GET", LOG, headers=as_json, params={"token": token})).json()
    assert rest["content"].endswith("second\n")
    assert rest["continuation_token"] is None
    full = await (await site.ask("GET", f"{LOG}?full_content=true", headers=as_json)).json()
    assert full["content"].count("\n") == 2
    for bad in (token[:-2] + "AA", "f:0:0:0", "é"):
        problem = await (await site.ask("GET", LOG, 400, headers=as_json, params={"token": bad})).json()
        assert "token is not one" in problem["detail"]


@pytest.mark.usefixtures("run")
async def test_logs_that_are_not_there(site: Site) -> None:
    for path in ("list/logs/3", "list/logs/0", "list/logs/first", "nothing/logs/1"):
        await site.get(f"{RUNS}/one/taskInstances/{path}", 404)
    await site.get(f"{RUNS}/one/taskInstances/list/logs/1", 404, map_index="2")
    assert await (await site.get(f"{RUNS}/one/taskInstances/report/logs/1")).text() == ""


async def _record(events: Events) -> str:
    kind, data = await events.next()
    assert kind == "record"
    assert set(data) == {"ts", "level", "logger", "message", "stream"}
    return str(data["message"])


async def test_a_log_as_it_is_written(site: Site, run: RunRow) -> None:
    writer = Writer(site)
    writer.write("before")
    async with listening(site, f"/api/v1{LOG}/stream?map_index=-1") as events:
        assert await _record(events) == "before"
        writer.write("while")
        assert await _record(events) == "while"
        writer.write("last", end="success")
        await site.control.finish(run, "list", value=1)
        assert await _record(events) == "last"
        assert await events.next() == ("end", {"state": "success", "try_number": 1, "outcome": "success"})
        await events.until_the_end()
    assert site.control.listeners == 0


async def test_the_stream_of_a_killed_try_ends_too(site: Site, run: RunRow) -> None:
    writer = Writer(site)
    writer.write("before the kill")
    async with listening(site, f"/api/v1{LOG}/stream") as events:
        assert await _record(events) == "before the kill"
        await site.control.finish(run, "list", failed="killed")
        kind, data = await events.next()
        assert (kind, data["state"]) == ("end", "failed")
    async with listening(site, f"/api/v1{LOG}/stream") as events:
        assert await _record(events) == "before the kill"
        assert (await events.next())[0] == "end"


@pytest.mark.usefixtures("run")
async def test_a_stream_goes_on_where_it_stopped(site: Site) -> None:
    writer = Writer(site)
    writer.write("one")
    async with site.client.get(f"/api/v1{LOG}/stream", headers=ADMIN) as answer:
        events = Events(answer)
        await events.block()
        fields = dict(line.split(": ", 1) for line in await events.block())
    writer.write("two")
    headers = {**ADMIN, "Last-Event-ID": fields["id"]}
    async with site.client.get(f"/api/v1{LOG}/stream", headers=headers) as answer:
        events = Events(answer)
        assert await _record(events) == "two"
