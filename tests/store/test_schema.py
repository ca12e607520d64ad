"""Migrations add up to `schema.sql`; wrong databases are named with the command that helps."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.conftest import NewDatabase
from tests.store.conftest import KEY
from tradewind.model.errors import ConfigError, SchemaMismatch, StoreError
from tradewind.model.states import TaskState
from tradewind.store import dump, migrate
from tradewind.store.connection import LineSettings, connect
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.testing.store_world import NewStore, World, attempt_id, closed, moved, new_world, opened


async def test_schema_sql_is_what_the_migrations_make(store_url: str) -> None:
    session = await connect(LineSettings(store_url, "tradewind", "test"))
    made = await dump.dump(session)
    await session.close()
    written = await asyncio.to_thread(dump.FILE.read_text, encoding="utf-8")
    assert made == written, "write it anew: python -m tradewind.store.dump URL"


async def test_migrating_is_done_once_by_one(new_database: NewDatabase) -> None:
    url = await new_database()
    done = await asyncio.gather(*(migrate.migrate_url(url) for _ in range(3)))
    numbers = [step.number for step in migrate.migrations()]
    assert sorted(done, key=len) == [[], [], numbers]
    await migrate.check_url(url)


async def test_installations_share_a_database(new_database: NewDatabase) -> None:
    url = await new_database()
    stores: list[PostgresStore] = []
    for schema in ("one", "two"):
        await migrate.migrate_url(url, schema)
        stores.append(PostgresStore(url, secret_key=KEY, options=StoreOptions(schema=schema)))
    for store in stores:
        await store.open()
        await store.variable_set("v", store.options.schema)
        assert (await store.runtime_join("x")).runtime_id == 1
    assert [await store.variable_get("v") for store in stores] == ["one", "two"]
    other = await stores[1].runtime_join("y")
    assert await stores[0].runtime_is_provably_dead(other.runtime_id), "locks of another installation do not count"
    for store in stores:
        await store.close()


async def test_a_database_without_tables_names_the_command(database_url: str) -> None:
    store = PostgresStore(database_url, secret_key=KEY)
    with pytest.raises(SchemaMismatch, match="tradewind db migrate"):
        await store.open()
    await store.close()


async def test_other_versions_of_the_schema_are_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate.migrate_url(database_url)
    ours = migrate.migrations()
    newer = migrate.Migration(len(ours) + 1, "newer", "CREATE TABLE newer (x integer)", "y")
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_MIGRATIONS", (*ours, newer))
        with pytest.raises(SchemaMismatch, match=r"older schema.*tradewind db migrate"):
            await migrate.check_url(database_url)
        assert await migrate.migrate_url(database_url) == [newer.number]
        await migrate.check_url(database_url)
    with pytest.raises(SchemaMismatch, match="made by a newer Tradewind"):
        await migrate.check_url(database_url)
    await migrate.reset_url(database_url)
    await migrate.check_url(database_url)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_MIGRATIONS", (ours[0]._replace(checksum="other"), *ours[1:]))
        with pytest.raises(SchemaMismatch, match="another form"):
            await migrate.check_url(database_url)


async def test_a_migration_that_fails_leaves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = migrate.Migration(
        len(migrate.migrations()) + 1, "broken", "CREATE TABLE half (x integer); SELECT 1/0", "z"
    )
    monkeypatch.setattr(migrate, "_MIGRATIONS", (*migrate.migrations(), broken))
    with pytest.raises(StoreError, match="division by zero"):
        await migrate.migrate_url(database_url)
    with pytest.raises(SchemaMismatch, match="no Tradewind tables"):
        await migrate.check_url(database_url)


async def test_a_user_who_may_not_make_tables_is_told_so(new_database: NewDatabase, postgres_url: str) -> None:
    url = await new_database()
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE ROLE guest LOGIN PASSWORD 'g'")
    try:
        name = url.partition("://")[2].partition("@")[0]
        with pytest.raises(StoreError, match="permission denied"):
            await migrate.migrate_url(url.replace(name, "guest:g"))
    finally:
        await admin.execute("DROP ROLE guest")
        await admin.close()


def test_old_servers_are_refused() -> None:
    class Old:
        def get_server_version(self) -> asyncpg.types.ServerVersion:
            return asyncpg.types.ServerVersion(14, 9, 0, "final", 0)

    with pytest.raises(SchemaMismatch, match=r"PostgreSQL 14\.9; Tradewind needs PostgreSQL 15 to 18"):
        migrate.require_server(Old())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "Has Space", 'x"y', "1st", "a" * 49])
def test_odd_schema_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="lower-case letters"):
        PostgresStore("postgresql:///x", secret_key=KEY, options=StoreOptions(schema=name))


async def test_the_hot_table_stays_hot(new_store: NewStore, sql: asyncpg.Connection[asyncpg.Record]) -> None:
    """A fan-out, started and ended in batches as large as pages: at least 90 % of updates stay on their page."""
    tasks = [f"task_{number}" for number in range(2_000)]
    world = await new_world(new_store, task_ids=tasks)
    await world.run()
    for start in range(0, len(tasks), 256):
        await _carry_out(world, tasks[start : start + 256])
    await world.store.close()
    counts = await _update_counts(sql, 2 * len(tasks))
    assert counts[1] / counts[0] >= 0.9, counts
    assert await sql.fetchval("SELECT count(*) FROM live_attempt") == 0


async def _carry_out(world: World, tasks: list[str]) -> None:
    run = world.runs[0]
    begin, end = world.segment(run), world.segment(run)
    for task in tasks:
        key = attempt_id(task)
        begin.tasks.append(moved(task, TaskState.NONE, TaskState.RUNNING, attempt=key))
        begin.opened.append(opened(task, key))
        end.tasks.append(moved(task, TaskState.RUNNING, TaskState.SUCCESS))
        end.closed.append(closed(key))
    await world.apply(begin)
    await world.apply(end)


async def _update_counts(sql: asyncpg.Connection[asyncpg.Record], expected: int) -> tuple[int, int]:
    """Updates of the hot table and how many were HOT, once the statistics have come in."""
    query = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
        "WHERE schemaname = 'tradewind' AND relname = 'task_instance'"
    )
    async with asyncio.timeout(60):
        while True:
            row = await sql.fetchrow(query)
            assert row is not None
            if row[0] >= expected:
                return row[0], row[1]
            await asyncio.sleep(0.05)
