"""Large values: outside their rows, once, and gone when nothing names them."""

from __future__ import annotations

import pytest

from tests.conftest import NewDatabase
from tests.store.conftest import KEY
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import XComRow
from tradewind.store import migrate
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.testing.store_world import new_world

LARGE = EncodedValue(1, b'"' + b"x" * 200 + b'"')
SMALL = EncodedValue(1, b'"x"')


@pytest.mark.spec("1:X5")
async def test_equal_values_share_one_and_go_when_nothing_names_them(new_database: NewDatabase) -> None:
    url = await new_database()
    await migrate.migrate_url(url)
    store = PostgresStore(url, secret_key=KEY, options=StoreOptions(spill_bytes=100))
    await store.open()

    async def new_store() -> PostgresStore:
        return store

    try:
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.xcoms += [
            XComRow("a", UNMAPPED, "one", LARGE),
            XComRow("a", UNMAPPED, "two", LARGE),
            XComRow("b", UNMAPPED, "small", SMALL),
        ]
        await world.apply(segment)
        assert await store.blob_count() == (1, len(LARGE.data))
        assert [await store.xcom_get(run.run_id, "a", key) for key in ("one", "two")] == [LARGE, LARGE]
        assert await store.xcom_get(run.run_id, "b", "small") == SMALL
        assert await store.blob_sweep(0) == 0
        segment = world.segment(run)
        segment.xcoms.append(XComRow("a", UNMAPPED, "", EncodedValue(0, b"")))
        await world.apply(segment)
        assert await store.blob_sweep(3600) == 0, "it is too young: a batch may be under way with it"
        assert await store.blob_sweep(0) == 1
        assert await store.blob_count() == (0, 0)
        segment = world.segment(run)
        segment.xcoms.append(XComRow("a", UNMAPPED, "again", LARGE))
        await world.apply(segment)
        assert await store.xcom_get(run.run_id, "a", "again") == LARGE
    finally:
        await store.close()
