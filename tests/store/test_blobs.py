"""Large values: outside their rows, once, and gone when nothing names them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.store.conftest import KEY
from tradewind.model.batch import XComRow
from tradewind.model.errors import ConfigError, XComError
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import EncodedValue
from tradewind.store import migrate
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.testing.store_world import World, new_world

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


OUTSIDE = StoreOptions(spill_bytes=100)
OTHER = EncodedValue(1, b'"' + b"y" * 200 + b'"')


@asynccontextmanager
async def opened(new_database: NewDatabase, place: str) -> AsyncGenerator[tuple[PostgresStore, World]]:
    """A store whose large values go there, and a world with it."""
    url = await new_database()
    await migrate.migrate_url(url)
    store = PostgresStore(url, secret_key=KEY, options=replace(OUTSIDE, spill_place=place))
    await store.open()

    async def new_store() -> PostgresStore:
        return store

    try:
        yield store, await new_world(new_store)
    finally:
        await store.close()


def in_folder(folder: Path) -> Callable[[], list[bytes]]:
    """What lies in the folder's files."""
    return lambda: sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def files_below(folder: Path, pattern: str) -> list[Path]:
    """The files that match."""
    return [path for path in folder.glob(pattern) if path.is_file()]


def in_memory(prefix: str) -> Callable[[], list[bytes]]:
    """What lies below an address of fsspec's own store."""
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    return lambda: sorted(fs.cat_file(path) for path in fs.find(prefix))


@pytest.mark.parametrize("kind", ["folder", "store"])
async def test_large_values_in_a_folder_or_a_store(new_database: NewDatabase, tmp_path: Path, kind: str) -> None:
    """By their hash, once each, written before the batch; deleted when nothing names them."""
    if kind == "store":
        there, place = in_memory(f"/bucket{tmp_path}"), f"memory://bucket{tmp_path}"
    else:
        there, place = in_folder(tmp_path / "values"), str(tmp_path / "values")
    async with opened(new_database, place) as (store, world):
        assert store.blob_limit == 100
        await store.blob_put([LARGE.data, LARGE.data])
        assert there() == [LARGE.data]
        run = await world.run()
        segment = world.segment(run)
        segment.xcoms += [XComRow("a", UNMAPPED, key, value) for key, value in (("one", LARGE), ("two", SMALL))]
        await world.apply(segment)
        assert await store.blob_count() == (1, len(LARGE.data))
        await store.blob_put([LARGE.data])
        segment = world.segment(run)
        segment.xcoms += [XComRow("b", UNMAPPED, "again", LARGE), XComRow("b", UNMAPPED, "never put aside", OTHER)]
        await world.apply(segment)
        assert there() == [LARGE.data], "the other one went into the database"
        assert await store.blob_count() == (2, len(LARGE.data) + len(OTHER.data))
        for task, key, value in (("a", "one", LARGE), ("b", "again", LARGE), ("b", "never put aside", OTHER)):
            assert await store.xcom_get(run.run_id, task, key) == value
        assert await store.xcom_many(run.run_id, "a", "one", [UNMAPPED]) == [LARGE]
        assert [entry.value for entry in await store.xcom_list(run.run_id, "a")] == [LARGE, SMALL]
        keys = await store.xcom_list(run.run_id, values=False)
        assert [(entry.task_id, entry.key, entry.value.data) for entry in keys][:2] == [
            ("a", "one", b""),
            ("a", "two", b""),
        ]
        await store.blob_put([OTHER.data, b"never named" * 20])
        assert await store.blob_sweep(3600) == 0
        assert len(there()) == 2, "what is young may be named yet"
        segment = world.segment(run)
        segment.xcoms += [XComRow(task, UNMAPPED, "", EncodedValue(0, b"")) for task in ("a", "b")]
        await world.apply(segment)
        assert await store.blob_sweep(0) == 2
        assert there() == []
        assert await store.blob_count() == (0, 0)


async def test_damage_is_told_and_the_files_of_others_stay(new_database: NewDatabase, tmp_path: Path) -> None:
    (tmp_path / "of others").mkdir()
    (tmp_path / "of others" / "file").write_bytes(b"kept")
    async with opened(new_database, f"file://{tmp_path}") as (store, world):
        run = await world.run()
        segment = world.segment(run)
        segment.xcoms.append(XComRow("a", UNMAPPED, "one", LARGE))
        await store.blob_put([LARGE.data])
        await world.apply(segment)
        (file,) = files_below(tmp_path, "*/*/*")
        assert re.fullmatch(r"(?P<two>..)/(?P=two).{62}\.[0-9a-f]{16}", f"{file.parent.name}/{file.name}")
        file.write_bytes(b"something else")
        with pytest.raises(XComError, match=rf"the value at {file} is damaged"):
            await store.xcom_get(run.run_id, "a", "one")
        file.unlink()
        with pytest.raises(XComError, match=r"cannot be read: FileNotFoundError"):
            await store.xcom_get(run.run_id, "a", "one")
        (entry,) = await store.xcom_list(run.run_id, "a")
        assert b"cannot be read" in entry.value.data
        assert await store.blob_sweep(0) == 0
        assert [path.name for path in files_below(tmp_path, "of others/*")] == ["file"]


async def test_a_place_that_cannot_be(new_database: NewDatabase) -> None:
    url = await new_database()
    with pytest.raises(ConfigError, match=r"core.xcom_spill_path = 'values' must be a folder's whole path"):
        PostgresStore(url, secret_key=KEY, options=replace(OUTSIDE, spill_place="values"))
    async with opened(new_database, "s3://nobody@bucket/values") as (store, _):
        with pytest.raises(ConfigError, match="there is no connection 'nobody'"):
            await store.blob_put([LARGE.data])
