"""A runtime with processes for tasks, on a real PostgreSQL, over a folder of DAG files that users write into."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.services.conftest import until
from tests.web.conftest import basic
from tradewind.authoring.xcom import decode
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.rows import RunRow, UserRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.store.migrate import migrate_url
from tradewind.web.auth.passwords import hash_password
from tradewind.web.roles import Role
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig
from tradewind.worker.log import LogRef
from tradewind.worker.log_reader import read_log

SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class System:
    """What a person has of it: files to write, DAGs to start, states, results and logs to look at."""

    home: Path
    runtime: Runtime

    def write(self, text: str, name: str = "dag_file.py") -> None:
        """Saves a file among the DAG files, in one step."""
        place = self.home / "dags" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_suffix(".draft")
        draft.write_text(textwrap.dedent(text), encoding="utf-8")
        draft.replace(place)

    async def knows(self, *dag_ids: str) -> None:
        """Waits until the DAGs of these ids are there. Fails at once where a file cannot be loaded."""

        reads = self.runtime.control.reads

        async def known() -> bool:
            errors = await reads.import_error_list()
            assert not errors, "\n".join(row.stack_trace for row in errors)
            return set(dag_ids) <= {row.dag_id for row in await reads.dag_list() if row.is_active}

        await until(self.runtime, known, SECONDS)

    async def rewrite(self, dag_id: str, text: str, name: str = "dag_file.py") -> None:
        """Saves a file that changes this DAG, and waits until the change is in force."""
        events = self.runtime.control.live_events(dag_id)
        following = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it listens
        self.write(text, name)
        async with asyncio.timeout(SECONDS):
            while (await following).kind != "dag":
                following = asyncio.ensure_future(anext(events))

    async def specs(self) -> dict[str, DagSpec]:
        """The DAGs that are there, by id, as they are now."""
        found: dict[str, DagSpec] = {}
        for row in await self.runtime.control.reads.dag_list():
            version = await self.runtime.control.reads.dag_version_get(row.dag_id, row.version_hash)
            if version is not None and row.is_active:
                found[row.dag_id] = version.spec
        return found

    async def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, **wish: Any) -> RunRow:
        """A run by hand, once it has ended."""
        request = TriggerRequest(dag_id, None if conf is None else dict(conf), unpause=True, **wish)
        started = await self.runtime.control.run_trigger(request)
        return await self.runtime.control.run_wait(started.run_id, SECONDS)

    async def ended(self, dag_id: str, count: int) -> list[RunRow]:
        """The runs of a DAG, by logical date, once so many of them have ended."""

        async def enough() -> bool:
            states = (RunState.SUCCESS, RunState.FAILED)
            return (await self.runtime.control.reads.run_list(RunFilter(dag_id, states=states)))[1] >= count

        await until(self.runtime, enough, SECONDS)
        return (await self.runtime.control.reads.run_list(RunFilter(dag_id, order_by="logical_date")))[0]

    async def states(self, run: RunRow) -> dict[str, str]:
        """Task id to state."""
        return {row.task_id: row.state.value for row in await self.runtime.control.reads.instance_list(run.run_id)}

    async def results(self, run: RunRow) -> dict[str, Any]:
        """Task id to what it has returned."""
        entries = await self.runtime.control.reads.xcom_list(run.run_id, None)
        return {entry.task_id: decode(entry.value) for entry in entries if entry.key == "return_value"}

    async def tradewind(self, *args: str, code: int = 0) -> str:
        """What a command prints that somebody runs beside the system; it ends with this code."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
        places = {"TRADEWIND_HOME": str(self.home), "TRADEWIND__DATABASE__URL": str(self.runtime.config.database.url)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tradewind", *args),
            env={**kept, **places, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate()
        assert process.returncode == code, said.decode()
        return said.decode()

    async def log(self, run: RunRow, task_id: str, try_number: int = 1) -> list[str]:
        """The lines of a try."""
        ref = LogRef(run.dag_id, run.dag_run_id, task_id, -1, try_number)
        page = await asyncio.to_thread(read_log, str(self.runtime.config.logging.folder), ref)
        return [record.message for record in page.records]


@asynccontextmanager
async def rest_api(system: System) -> AsyncGenerator[ClientSession]:
    """The system's REST API for somebody who has signed in as `admin` with the password `admin`."""
    user = UserRow("admin", await hash_password("admin"), Role.ADMIN.value)
    await system.runtime.services.store.user_set(user)
    settings = WebConfig(secret_key=b"of tests only, 16 bytes", port=0)
    async with WebServer(system.runtime.control, settings) as server:
        base = f"http://127.0.0.1:{server.port}/api/v1/"
        async with ClientSession(base, headers=basic("admin", "admin")) as session:
            yield session


@asynccontextmanager
async def running_system(
    home: Path, url: str, *, own_process: bool = False, **settings: object
) -> AsyncGenerator[System]:
    """Starts it on this database; `settings` as `section__key`. The files that are there have been read.

    `own_process`: it may interrupt what blocks its loop, as the daemon does. Without that a coroutine that waits in a
    blocking call for something this test is to do waits for ever: both are on one loop.
    """
    await migrate_url(url)
    (home / "dags").mkdir(parents=True, exist_ok=True)
    overrides = {"database.url": url, "dags.load_examples": False, "scheduler.drain_timeout": 0.5}
    overrides |= {name.replace("__", "."): value for name, value in settings.items()}
    config = await asyncio.to_thread(load_config, home, overrides, {})
    async with Runtime(config, parts=Parts(own_process=own_process)) as runtime:
        async with asyncio.timeout(SECONDS):
            await runtime.files_loaded()
        yield System(home, runtime)
