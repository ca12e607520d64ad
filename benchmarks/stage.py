"""A runtime in a fresh home folder, as `tradewind standalone` makes one, with DAG files in it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.rows import RunRow
from tradewind.store.postgres import PostgresStore

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the loop that the daemon uses."""
    import uvloop

    return uvloop.run(main)


@dataclass
class Stage:
    """A running runtime and its folders."""

    home: Path
    runtime: Runtime

    async def run_dag(self, dag_id: str, timeout: float = 600.0) -> tuple[RunRow, float]:
        """Triggers a run, waits for its end; also its seconds from trigger to end."""
        began = time.perf_counter()
        run = await self.runtime.control.run_trigger(TriggerRequest(dag_id, {}))
        run = await self.runtime.control.run_wait(run.run_id, timeout)
        return run, time.perf_counter() - began

    async def check_durable(self) -> None:
        """Raises SystemExit unless PostgreSQL keeps its promises."""
        connection = await asyncpg.connect(self.database)
        try:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                value = await connection.fetchval(f"show {setting}")
                if value != "on":
                    raise SystemExit(f"{setting} is {value}: these figures would mean nothing")
        finally:
            await connection.close()

    @property
    def database(self) -> str:
        """URL of the runtime's database."""
        store = self.runtime.services.store
        assert isinstance(store, PostgresStore)
        return store.url

    @property
    def sweep_finds(self) -> int:
        """What safety sweeps found that an event should have told."""
        watcher = self.runtime.watcher
        return self.runtime.services.rescuer.sweep_finds + (watcher.sweep_finds if watcher else 0)


@asynccontextmanager
async def stage(files: Mapping[str, str], *, settings: Mapping[str, Any] | None = None) -> AsyncGenerator[Stage]:
    """A runtime whose DAG folder holds `files` (name to text), all of them loaded."""
    home = Path(tempfile.mkdtemp(prefix="tradewind-bench-"))
    try:
        (home / "dags").mkdir()
        for name, text in files.items():
            (home / "dags" / name).write_text(text)
        overrides = {"dags.load_examples": False, **(settings or {})}
        config = load_config(home, overrides=overrides, environ={})
        async with Runtime(config, parts=Parts(own_process=True)) as runtime:
            await runtime.files_loaded()
            made = Stage(home, runtime)
            await made.check_durable()
            await _dags_owned(runtime, len(files))
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _dags_owned(runtime: Runtime, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(runtime.services.scheduler.book.dags) < count:
        if time.monotonic() > deadline:
            errors = await runtime.control.reads.import_error_list()
            raise SystemExit("the DAG files were not loaded: " + "\n".join(e.stack_trace for e in errors))
        await asyncio.sleep(0.01)
