"""One database with the schema, emptied before each test that uses it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

import asyncpg
import pytest

from tests.conftest import databases_of
from tradewind.ports import Store
from tradewind.store.crypto import generate_key
from tradewind.store.migrate import DEFAULT_SCHEMA, migrate_url
from tradewind.store.postgres import PostgresStore, StoreOptions

KEY = generate_key()
DEADLINE_S = 60.0
OPTIONS = StoreOptions(readers=2, patience=5.0)

# Deleted, not truncated: that makes sixty new files each time.
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = 'tradewind' AND tablename <> 'schema_version'
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    INSERT INTO tradewind.pool (name, slots, description) VALUES ('default_pool', 128, 'Default pool');
END $$
"""


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Until it holds, at most for the deadline: for what another process does in its own time."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def prepared_database(server_url: str) -> Generator[str]:
    """A database with the schema on a server."""
    stack = contextlib.AsyncExitStack()

    async def make() -> str:
        url = await (await stack.enter_async_context(databases_of(server_url)))()
        await migrate_url(url)
        return url

    with asyncio.Runner() as runner:
        yield runner.run(make())
        runner.run(stack.aclose())


async def emptied(url: str) -> str:
    """The same database with nothing in it but what the migrations put there."""
    session = await asyncpg.connect(url)
    try:
        await session.execute(EMPTY)
    finally:
        await session.close()
    return url


@pytest.fixture(scope="session")
def shared_database(postgres_url: str) -> Iterator[str]:
    """A database of this folder's own, with the schema."""
    with prepared_database(postgres_url) as url:
        yield url


@pytest.fixture
async def store_url(shared_database: str) -> str:
    """A database with the schema and nothing in it."""
    return await emptied(shared_database)


@pytest.fixture
async def new_store(store_url: str) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Any number of PostgreSQL stores on one database."""
    async with contextlib.AsyncExitStack() as stores:

        async def make() -> Store:
            store = PostgresStore(store_url, secret_key=KEY, options=OPTIONS)
            stores.push_async_callback(store.close)
            await store.open()
            return store

        yield make


@pytest.fixture
async def sql(store_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A plain session on the same database, for looking and for holding locks."""
    session = await asyncpg.connect(store_url, server_settings={"search_path": DEFAULT_SCHEMA})
    yield session
    await session.close()
