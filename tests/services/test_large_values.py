"""Large results go where `core.xcom_spill_path` says before they are committed, or else into the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.services.conftest import KEY, run_to_end
from tradewind import DAG, get_current_context, task
from tradewind.config import load_config
from tradewind.host import Parts, Runtime
from tradewind.store.migrate import migrate_url
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind_executors.inline import InlineExecutor


def passing_on() -> DAG:
    """A DAG whose first task leaves two large values, which the second one reads."""
    with DAG("passes_on", schedule=None) as dag:

        @task
        def make() -> str:
            get_current_context()["ti"].xcom_push("pushed", "p" * 500)
            return "r" * 500

        @task
        def take(value: str) -> list[int]:
            pushed = get_current_context()["ti"].xcom_pull("make", key="pushed")
            return [len(value), len(pushed)]

        take(make())
    return dag


@asynccontextmanager
async def running(new_database: NewDatabase, tmp_path: Path) -> AsyncGenerator[Runtime]:
    """A runtime whose store puts what has more than 100 bytes into the folder `values`."""
    url = await new_database()
    await migrate_url(url)
    options = StoreOptions(spill_bytes=100, spill_place=str(tmp_path / "values"))
    store = PostgresStore(url, secret_key=KEY, options=options)
    inline = InlineExecutor()
    parts = Parts(store=store, executors={"inline": inline, "local": inline}, watch_files=False)
    config = await asyncio.to_thread(load_config, tmp_path, overrides={"scheduler.drain_timeout": 0.2}, environ={})
    try:
        async with Runtime(config, dags=[passing_on()], parts=parts) as started:
            yield started
    finally:
        await store.close()


async def result(runtime: Runtime) -> object:
    run = await run_to_end(runtime, "passes_on")
    assert run.state.value == "success"
    value = await runtime.control.reads.xcom_get(run.run_id, "take", "return_value")
    assert value is not None
    return value.data


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


async def test_a_result_and_a_pushed_value(new_database: NewDatabase, tmp_path: Path) -> None:
    async with running(new_database, tmp_path) as runtime:
        assert await result(runtime) == b"[500,500]"
        assert sizes(tmp_path / "values") == [502, 502]
        assert await runtime.services.store.blob_count() == (2, 1004)


async def test_where_the_folder_cannot_be_written(
    new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "values").write_text("a file")
    with caplog.at_level(logging.WARNING, "tradewind.services.value_spiller"):
        async with running(new_database, tmp_path) as runtime:
            assert await result(runtime) == b"[500,500]"
            assert await runtime.services.store.blob_count() == (2, 1004)
    assert "1 large values go into the database, core.xcom_spill_path fails: " in caplog.text
