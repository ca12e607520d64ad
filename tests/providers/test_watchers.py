"""Sources of events: a table as a queue, notices, and an endpoint that is asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.providers.conftest import StartRuntime
from tests.services.fired import fired, payloads, watching
from tradewind import AuthoringError, Connection
from tradewind.model.assets import ExternalEvent
from tradewind.services import watch_keeper
from tradewind.store.memory import MemoryStore
from tradewind_providers.http.poll_trigger import HttpPollTrigger
from tradewind_providers.postgres import PostgresHook
from tradewind_providers.postgres.queue_trigger import PostgresQueueTrigger
from tradewind_providers.postgres.triggers import PostgresNoticeTrigger


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)


async def test_rows_of_a_table_go_when_their_events_are_there(known: Connection, start: StartRuntime) -> None:
    """Two runtimes take from it, so each row is somebody's once."""
    hook = PostgresHook("db")
    await hook.run_async('create schema s; create table s."In" (id serial primary key, what jsonb, at timestamptz)')
    await hook.run_async("""insert into s."In" (what, at) select jsonb_build_object('n', n), '2026-01-01Z'
                            from generate_series(1, 5) n""")
    trigger = PostgresQueueTrigger("s.In", "db", channel="inbox", poll_interval=3600)
    runtime = await start(watching(trigger))
    await start(watching(trigger, "e"))
    found = await fired(runtime, 5)
    assert sorted(one["what"]["n"] for one in found) == [1, 2, 3, 4, 5]
    await hook.run_async("""insert into s."In" (what) values ('{"n": 6}'); notify inbox""")
    assert (await fired(runtime, 6))[-1]["what"] == {"n": 6}

    async with asyncio.timeout(60):
        while (await hook.fetch_first('select count(*) from s."In"'))[0]:  # noqa: ASYNC110 - a row says nothing
            await asyncio.sleep(0.01)
    assert len(await payloads(runtime)) == 6


async def test_a_row_stays_until_its_event_is_committed(
    known: Connection, start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = PostgresHook("db")
    await hook.run_async("create table inbox (id int primary key); insert into inbox values (1)")
    adds, rows = MemoryStore.asset_event_add, list[Any]()

    async def failing(store: MemoryStore, event: ExternalEvent) -> Any:
        rows.append((await hook.fetch_first("select count(*) from inbox"))[0])
        if len(rows) < 3:
            raise RuntimeError("the commit fails")
        return await adds(store, event)

    monkeypatch.setattr(MemoryStore, "asset_event_add", failing)
    runtime = await start(watching(PostgresQueueTrigger("inbox", "db", poll_interval=0.01)))
    assert await fired(runtime, 1) == [{"id": 1}]
    assert rows == [1, 1, 1]
    assert runtime.control.watches()[0].failures == 2


async def test_notices(known: Connection, start: StartRuntime) -> None:
    runtime = await start(watching(PostgresNoticeTrigger("said", "db")))
    hook = PostgresHook("db")

    async def heard() -> bool:
        await hook.run_async("notify said, 'one'")
        return bool(await payloads(runtime))

    async with asyncio.timeout(60):
        while not await heard():
            pass  # until it listens
    assert (await payloads(runtime))[0] == "one"


class News:
    """What the server has to tell, and what it was asked."""

    def __init__(self) -> None:
        self.text = b'{"n": 1}'
        self.etag: str | None = '"1"'
        self.asked: list[tuple[dict[str, str], str | None]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        told = request.headers.get("If-None-Match")
        self.asked.append((dict(request.query), told))
        if told is not None and told == self.etag:
            return web.Response(status=304)
        headers = {"ETag": self.etag} if self.etag else {}
        return web.Response(body=self.text, headers=headers)


@pytest.fixture
async def news(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[News]:
    told = News()
    app = web.Application()
    app.router.add_get("/news", told.answer)
    async with TestServer(app) as server:
        told.url = str(server.make_url("/"))
        monkeypatch.setenv("TRADEWIND_CONN_NEWS", orjson.dumps({"conn_type": "http", "host": told.url}).decode())
        yield told


@pytest.mark.parametrize("with_etag", [True, False])
async def test_an_answer_that_changes(news: News, start: StartRuntime, with_etag: bool) -> None:
    news.etag = '"1"' if with_etag else None
    runtime = await start(watching(HttpPollTrigger("news", "news", poll_interval=0.005)))
    assert await fired(runtime, 1) == [{"n": 1}]
    news.text, news.etag = b"plain", '"2"' if with_etag else None
    assert await fired(runtime, 2) == [{"n": 1}, "plain"]
    assert (any(told == '"1"' for _, told in news.asked)) is with_etag
    assert runtime.control.watches()[0].failures == 0


async def test_items_and_a_cursor(news: News, start: StartRuntime) -> None:
    news.text, news.etag = b'{"data": {"list": [{"id": 1}, {"id": 2}]}}', None
    trigger = HttpPollTrigger("news", "news", poll_interval=0.005, items="data.list", cursor_param="since")
    runtime = await start(watching(trigger))
    await fired(runtime, 2)
    news.text = b'{"data": {"list": [{"id": 2}, {"id": 3}]}}'
    assert await fired(runtime, 3) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert news.asked[0][0] == {}
    assert ({"since": "2"}, None) in news.asked


async def test_an_answer_that_is_not_what_was_said_is_an_error(news: News, start: StartRuntime) -> None:
    runtime = await start(watching(HttpPollTrigger("news", "news", poll_interval=0.005, items="data")))
    async with asyncio.timeout(60):
        while not runtime.control.watches()[0].failures:  # noqa: ASYNC110 - nobody tells of failures
            await asyncio.sleep(0.005)
    assert "there is no list at items='data'" in str(runtime.control.watches()[0].last_error)


def test_arguments_that_cannot_be() -> None:
    for make in (
        lambda: HttpPollTrigger("news", poll_interval=0),
        lambda: HttpPollTrigger("news", cursor_param="since"),
        lambda: PostgresQueueTrigger(""),
        lambda: PostgresQueueTrigger("t", poll_interval=0),
    ):
        with pytest.raises(AuthoringError):
            make()
