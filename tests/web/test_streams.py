"""Event streams: what they send, how they end, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from aiohttp import ClientResponse

from tests.web.conftest import ADMIN, Site, serving
from tests.web.test_rest_runs import RUNS, triggered
from tradewind.control_ports import LiveEvent
from tradewind.web.keys import CONFIG


class Events:
    """Reads the frames of a stream."""

    def __init__(self, answer: ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> list[str]:
        lines: list[str] = []
        async with asyncio.timeout(60):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n":
                    return lines
                lines.append(line.rstrip("\n"))
        raise EOFError

    async def until_the_end(self) -> None:
        """Reads on until the server ends the stream."""
        with suppress(EOFError):
            while await self.block():
                pass

    async def next(self) -> tuple[str, Any]:
        while True:
            fields = dict(line.split(": ", 1) for line in await self.block() if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], orjson.loads(fields["data"])


@asynccontextmanager
async def listening(site: Site, path: str = "/api/v1/events") -> AsyncGenerator[Events]:
    async with site.client.get(path, headers=ADMIN) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        events = Events(answer)
        assert await events.block() == ["retry: 2000"]
        yield events


async def test_what_is_committed_is_sent(site: Site) -> None:
    async with listening(site) as events:
        await site.ask("PATCH", "/dags/hourly", json={"is_paused": False})
        kind, dag = await events.next()
        assert (kind, dag["dag_id"], dag["is_paused"]) == ("dag", "hourly", False)
        assert dag["schedule_interval"]["seconds"] == 5400
        run = await triggered(site)
        kind, sent = await events.next()
        assert kind == "run"
        assert sent == await (await site.get(f"{RUNS}/one")).json()
        await site.control.begin(run, "list")
        assert await events.next() == (
            "task",
            {
                "dag_id": "fetch_pictures",
                "dag_run_id": "one",
                "items": [
                    {
                        "task_id": "list", "map_index": -1, "state": "running", "try_number": 1,
                        "start_date": "2026-03-01T12:00:00+00:00", "end_date": None,
                    }
                ],
            },
        )  # fmt: skip
        await site.control.tell(LiveEvent("import_errors"))
        assert await events.next() == ("import_errors", {})
        await site.control.tell(LiveEvent("dag"))
        assert await events.next() == ("dag", {"dag_id": ""})


async def test_events_of_one_dag(site: Site) -> None:
    async with listening(site, "/api/v1/events?dag_id=hourly") as events:
        await triggered(site)
        await site.ask("PATCH", "/dags/hourly", json={"is_paused": False})
        assert (await events.next())[0] == "dag"
    await site.get("/events", 404, dag_id="nothing")


async def test_a_silent_stream_stays_alive(site: Site) -> None:
    async with listening(site) as events:
        assert await events.block() == [": still here"]
        assert await events.block() == [": still here"]


async def test_a_reader_that_goes_leaves_nothing_behind(site: Site) -> None:
    async with listening(site) as events:
        assert site.control.listeners == 1
        assert await events.block() == [": still here"]
    async with asyncio.timeout(60):
        await site.control.nobody_listens.wait()


async def test_streams_end_when_the_server_stops(site: Site) -> None:
    async with listening(site) as events:
        waiting = asyncio.ensure_future(site.get("/dags", 200))
        await waiting
        await site.client.app.shutdown()
        await events.until_the_end()
    assert site.control.listeners == 0


async def test_long_waits_end_when_the_server_stops(site: Site) -> None:
    await triggered(site)
    async with listening(site) as events:
        waiting = asyncio.ensure_future(site.get(f"{RUNS}/one/wait", 503))
        await events.block()
        await site.client.app.shutdown()
        assert (await (await waiting).json())["title"] == "The server stops"


async def test_old_streams_end_so_that_logins_are_checked_again(site: Site, tmp_path: Path) -> None:
    config = replace(site.client.app[CONFIG], stream_lifetime=0.02)
    async with serving(config, tmp_path) as short, listening(short) as events:
        await events.until_the_end()


async def test_a_head_of_a_stream_ends_at_once(site: Site) -> None:
    answer = await site.ask("HEAD", "/events")
    assert answer.content_type == "text/event-stream"
