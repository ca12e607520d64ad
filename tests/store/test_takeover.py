"""A takeover against commits in flight, and what a lost connection leaves behind, on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.outside import short_folder
from tests.store.conftest import DEADLINE_S, KEY, until
from tradewind.failpoints import armed
from tradewind.model.batch import Batch
from tradewind.model.errors import Fenced, StoreError, StoreUnavailable
from tradewind.model.rows import Beat
from tradewind.model.states import TaskState
from tradewind.store.connection import Line, LineSettings, Session
from tradewind.store.lease import THREAD
from tradewind.store.migrate import DEFAULT_SCHEMA
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.testing.store_suite_runs import ManyInstances
from tradewind.testing.store_world import NewStore, join, moved, new_world, run_row

_FENCE = "UPDATE runtime SET seq = seq + 1, beat = beat + 1 WHERE runtime_id = $1"
_BURY = "UPDATE runtime SET alive = false, epoch = epoch + 1 WHERE runtime_id = $1"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1"
_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"


async def test_a_burial_waits_for_the_commit_in_flight(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    other, lease = await join(new_store)
    [peer] = (await other.runtime_beat(lease)).peers
    flight = sql.transaction()
    await flight.start()
    await sql.execute(_FENCE, world.lease.runtime_id)
    burial = asyncio.create_task(other.runtime_bury(peer.runtime_id, peer.beat))
    await until(lambda: waiting(sql, "tradewind reader"))
    assert not burial.done()
    await flight.commit()
    assert not await burial, "the commit landed, so the runtime lives"
    assert await world.store.runtime_seq(world.lease) == 1
    [peer] = (await other.runtime_beat(lease)).peers
    assert await other.runtime_bury(peer.runtime_id, peer.beat)


async def test_a_commit_that_comes_after_the_burial_fails(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    run = await world.run()
    burial = sql.transaction()
    await burial.start()
    await sql.execute(_BURY, world.lease.runtime_id)
    segment = world.segment(run, moved("a", TaskState.NONE, TaskState.SUCCESS))
    commit = asyncio.create_task(world.apply(segment))
    await until(lambda: waiting(sql, "tradewind writer"))
    assert not commit.done()
    await burial.commit()
    with pytest.raises(Fenced):
        await commit
    assert await world.states(run) == {"a": TaskState.NONE, "b": TaskState.NONE}


@pytest.mark.parametrize("purpose", ["lease", "writer", "bulk", "reader"])
async def test_every_line_comes_back(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record], purpose: str
) -> None:
    world = await new_world(new_store)
    run = await world.run()
    store, lease = world.store, world.lease
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "lease": lambda: store.runtime_beat(lease),
        "writer": lambda: world.apply(world.segment(run)),
        "bulk": lambda: store.run_load(lease, ["etl"]),
        "reader": store.dag_list,
    }
    await calls[purpose]()
    assert await sql.fetch(_KILL, f"tradewind {purpose}")
    await until(lambda: works(calls[purpose]))


async def test_the_number_tells_what_became_of_a_batch(new_store: NewStore) -> None:
    world = await new_world(new_store)
    run = await world.run()
    await world.apply()

    def lose() -> None:
        raise StoreUnavailable

    for point, seq in (("store.batch.before_commit", 1), ("store.batch.after_commit", 2)):
        with armed(point, lose), pytest.raises(StoreUnavailable):
            await world.apply(world.segment(run, moved("a", TaskState.NONE, TaskState.SUCCESS)))
        assert await world.store.runtime_seq(world.lease) == seq
    assert (await world.states(run))["a"] is TaskState.SUCCESS


async def test_a_batch_whose_server_dies_is_unknown_and_was_not_applied(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    run = await world.run()
    flight = sql.transaction()
    await flight.start()
    await sql.execute(_FENCE, world.lease.runtime_id)
    segment = world.segment(run, moved("a", TaskState.NONE, TaskState.SUCCESS))
    commit = asyncio.create_task(world.apply(segment))
    await until(lambda: waiting(sql, "tradewind writer"))
    await sql.fetch(_KILL, "tradewind writer")
    with pytest.raises(StoreUnavailable):
        await commit
    await flight.rollback()
    assert await world.store.runtime_seq(world.lease) == 0
    assert await world.apply(segment) == 1


async def test_a_cancelled_batch_leaves_the_line_usable(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    flight = sql.transaction()
    await flight.start()
    await sql.execute(_FENCE, world.lease.runtime_id)
    commit = asyncio.create_task(world.apply())
    await until(lambda: waiting(sql, "tradewind writer"))
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    await flight.rollback()
    number = await world.apply()
    assert number in (1, 2), "a cancelled batch may have been committed: only the number tells"
    assert await world.store.runtime_seq(world.lease) == number


async def test_a_call_that_is_cancelled_while_it_prepares_leaves_its_line_usable(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has the statement, and nobody here knows."""
    world = await new_world(new_store)
    prepare = asyncpg.Connection.prepare
    kept: list[object] = []

    async def prepare_and_be_cancelled(*args: Any, **named: Any) -> None:
        kept.append(await prepare(*args, **named))
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "prepare", prepare_and_be_cancelled)
        with pytest.raises(asyncio.CancelledError):
            await world.store.mail_reply(1)
    assert kept
    assert await world.store.mail_reply(1) is None


async def test_a_large_run_whose_server_dies_is_not_there(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    flight = sql.transaction()
    await flight.start()
    await sql.execute(_FENCE, world.lease.runtime_id)
    run = run_row(1, world.spec)
    made = asyncio.create_task(world.store.run_create(world.lease, run, ManyInstances(run, 2_500)))
    await until(lambda: waiting(sql, "tradewind bulk"))
    await sql.fetch(_KILL, "tradewind bulk")
    with pytest.raises(StoreUnavailable):
        await made
    await flight.rollback()
    assert await world.store.instance_list(run.run_id) == []
    assert await world.store.run_create(world.lease, run, ManyInstances(run, 2_500))
    assert len(await world.store.instance_list(run.run_id)) == 2_500


async def test_the_lock_survives_a_lost_lease_line(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    world = await new_world(new_store)
    mail = asyncio.Event()
    world.store.watch(world.lease, mail.set, lambda _: None)
    other = await new_store()
    await sql.fetch(_KILL, "tradewind lease")
    await until(lambda: other.runtime_is_provably_dead(world.lease.runtime_id))
    await until(lambda: works(lambda: world.store.runtime_beat(world.lease)))
    assert not await other.runtime_is_provably_dead(world.lease.runtime_id)
    assert mail.is_set(), "mail may have come while nobody listened"
    mail.clear()
    await other.mail_send("etl", "trigger", b"{}", "k")
    async with asyncio.timeout(DEADLINE_S):
        await mail.wait()


async def test_a_series_of_beats_outlives_its_session(
    new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The loss is told as a beat without answer, and the next one comes at once, over a session with the lock."""
    before = set(threading.enumerate())
    world = await new_world(new_store)
    heard: asyncio.Queue[Beat] = asyncio.Queue()
    series = asyncio.create_task(world.store.runtime_beats(world.lease, lambda _: 3600.0, heard.put_nowait))
    async with asyncio.timeout(DEADLINE_S):
        assert (await heard.get()).report is not None
        await sql.fetch(_KILL, "tradewind lease")
        assert (await heard.get()).report is None
        assert (await heard.get()).report is not None
    other = await new_store()
    assert not await other.runtime_is_provably_dead(world.lease.runtime_id)
    await world.store.close()
    with pytest.raises(asyncio.CancelledError):
        await series
    for thread in {t for t in threading.enumerate() if t.name == THREAD} - before:
        await asyncio.to_thread(thread.join, DEADLINE_S)
        assert not thread.is_alive()


class Way:
    """A way to the server's socket that can be cut without anybody being told: bytes just stop."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._open = asyncio.Event()
        self._open.set()
        self._travellers: set[asyncio.Task[None] | None] = set()

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    @contextlib.asynccontextmanager
    async def leading_here(self, socket: Path) -> AsyncGenerator[None]:
        server = await asyncio.start_unix_server(self._serve, socket)
        try:
            yield
        finally:
            server.close()
            left = [task for task in self._travellers if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._travellers.add(asyncio.current_task())
        there, back = await asyncio.open_unix_connection(self._socket)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, back))
                both.create_task(self._carry(there, writer))
        except* OSError:
            pass
        finally:
            for end in (back, writer):
                end.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._open.wait()
            target.write(data)
            await target.drain()
        target.write_eof()


@pytest.mark.parametrize("error", [TimeoutError(), asyncio.CancelledError(), StoreError("no")], ids=repr)
async def test_a_session_that_could_not_be_greeted_is_ended(store_url: str, error: BaseException) -> None:
    """A server that is too slow for the first words must not be left with sessions that are nobody's."""
    sessions: list[Session] = []

    async def greet(session: Session) -> None:
        sessions.append(session)
        raise error

    line = Line(LineSettings(store_url, DEFAULT_SCHEMA, "lease"), greet)
    with pytest.raises((StoreError, asyncio.CancelledError)):
        async with line.session():
            pass
    assert sessions[0].is_closed()


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


async def test_a_cut_way_is_noticed_and_mended(store_url: str, short: Path) -> None:
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(store_url).query)
    way = Way(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
    url = store_url.replace(urllib.parse.quote(query["host"][0], safe=""), urllib.parse.quote(str(short), safe=""))
    async with way.leading_here(short / f".s.PGSQL.{query['port'][0]}"):
        store = PostgresStore(url, secret_key=KEY, options=StoreOptions(statement_timeout=1.0, connect_timeout=1.0))
        await store.open()
        lease = await store.runtime_join("far away")
        assert await store.batch_apply(lease, Batch()) == 1
        way.cut()
        for call in (lambda: store.runtime_beat(lease), lambda: store.batch_apply(lease, Batch())):
            with pytest.raises(StoreUnavailable):
                await call()
            with pytest.raises(StoreUnavailable, match="no connection to"):
                await call()
        way.mend()
        await until(lambda: works(lambda: store.runtime_beat(lease)))
        await until(lambda: works(lambda: store.runtime_seq(lease)))
        assert await store.batch_apply(lease, Batch()) == await store.runtime_seq(lease)
        await store.close()


async def test_an_unreachable_server_is_waited_for_then_named() -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/none"
    store = PostgresStore(url, secret_key=KEY, options=StoreOptions(patience=0.2))
    with pytest.raises(StoreUnavailable, match=r"ada:\*\*\*@127\.0\.0\.1:1/none") as refused:
        await store.open()
    assert "secret" not in str(refused.value)
    await store.close()


async def test_a_database_that_is_not_there_is_named_at_once(postgres_url: str) -> None:
    url = postgres_url.replace("/tradewind?", "/missing?")
    assert url != postgres_url
    store = PostgresStore(url, secret_key=KEY)
    with pytest.raises(StoreError, match="missing"):
        await store.open()
    await store.close()


async def test_a_batch_of_an_empty_store_counts_too(new_store: NewStore) -> None:
    store, lease = await join(new_store)
    assert await store.batch_apply(lease, Batch()) == 1


async def waiting(sql: asyncpg.Connection[asyncpg.Record], purpose: str) -> bool:
    """Whether a session of this purpose waits for a lock."""
    await sql.execute("SELECT pg_stat_clear_snapshot()")
    return bool(await sql.fetchval(_WAITING, purpose))


async def works(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether the call gets through."""
    try:
        await call()
    except StoreUnavailable:
        return False
    return True
