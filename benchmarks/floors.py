"""What the machine allows: the same rows in PostgreSQL without an engine around them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from tradewind.store.embedded import EmbeddedServer

IN_FLIGHT = 512

START = """
with t as (update task_instance ti
 set state='running', try_number=1, queued_at=u.at, started_at=u.at, attempt=u.attempt
 from unnest($1::bigint[], $2::text[], $3::bytea[], $4::timestamptz[]) u(run_id, task_id, attempt, at)
 where ti.run_id=u.run_id and ti.task_id=u.task_id and ti.map_index=-1 and ti.state='none' returning 1),
l as (insert into live_attempt
 (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at)
 select run_id, attempt, task_id, -1, 1, 'inline', 'default_pool', 1, at
 from unnest($1::bigint[], $2::text[], $3::bytea[], $4::timestamptz[]) u(run_id, task_id, attempt, at))
select count(*) from t"""

END = """
with t as (update task_instance ti set state='success', ended_at=u.at, attempt=null
 from unnest($1::bigint[], $2::text[], $4::timestamptz[]) u(run_id, task_id, at)
 where ti.run_id=u.run_id and ti.task_id=u.task_id and ti.map_index=-1 and ti.state='running' returning 1),
l as (delete from live_attempt x using unnest($1::bigint[], $3::bytea[]) u(run_id, attempt)
 where x.run_id=u.run_id and x.attempt=u.attempt
 returning x.run_id, x.attempt, x.task_id, x.map_index, x.try_number, x.executor, x.pool, x.pool_slots, x.started_at),
a as (insert into attempt (run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at,
 kind, ended_at) select l.*, 'success'::outcome_kind, now() from l),
h as (insert into history (run_id, task_id, map_index, try_number, story)
 select run_id, task_id, -1, 1, '[["running",1700000000.0,1],["success",1700000000.0,2]]'::bytea
 from unnest($1::bigint[], $2::text[]) u(run_id, task_id))
select count(*) from t"""


class Pipeline:
    """A bare group commit: whatever waits goes out in one statement, the start and the end of
    each task durable, nothing else."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], run_id: int) -> None:
        self._connection = connection
        self._run_id = run_id
        self._wake = asyncio.Event()
        self._waiting: dict[str, list[tuple[str, bytes, asyncio.Future[None]]]] = {START: [], END: []}

    async def write(self) -> None:
        """Writes for ever."""
        prepared = {sql: await self._connection.prepare(sql) for sql in (START, END)}
        while True:
            await self._wake.wait()
            self._wake.clear()
            for sql in (START, END):
                rows, self._waiting[sql] = self._waiting[sql], []
                if not rows:
                    continue
                now = datetime.now(UTC)
                columns = ([self._run_id] * len(rows), [r[0] for r in rows], [r[1] for r in rows], [now] * len(rows))
                try:
                    done = await prepared[sql].fetchval(*columns)
                except asyncpg.PostgresError as error:
                    for row in rows:
                        row[2].set_exception(error)
                    raise
                for row in rows:
                    if done == len(rows):
                        row[2].set_result(None)
                    else:
                        row[2].set_exception(RuntimeError(f"the floor wrote {done} of {len(rows)} rows"))

    def put(self, sql: str, task_id: str, attempt: bytes) -> asyncio.Future[None]:
        """Resolves once the row is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[sql].append((task_id, attempt, future))
        self._wake.set()
        return future


async def group_commit(database: str, tasks: int, in_flight: int = IN_FLIGHT) -> float:
    """Tasks a second that a bare pipeline over the same tables reaches."""
    connection = await asyncpg.connect(
        database,
        server_settings={
            "search_path": "tradewind",
            "jit": "off",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
        },
    )
    try:
        ids = await _rows(connection, tasks)
        pipeline = Pipeline(connection, FLOOR_RUN)
        writer = asyncio.get_running_loop().create_task(pipeline.write())
        slots = asyncio.Semaphore(in_flight)

        async def one(task_id: str) -> None:
            attempt = os.urandom(16)
            async with slots:
                await pipeline.put(START, task_id, attempt)
                await _nothing()
                await pipeline.put(END, task_id, attempt)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for task_id in ids:
                group.create_task(one(task_id))
        seconds = time.perf_counter() - began
        writer.cancel()
        return tasks / seconds
    finally:
        await connection.close()


async def commits_in_a_row(database: str, tasks: int) -> float:
    """Milliseconds from one end to the next start, median, when only the commits stand between."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "tradewind", "jit": "off"})
    try:
        ids = await _rows(connection, tasks)
        pipeline = Pipeline(connection, FLOOR_RUN)
        writer = asyncio.get_running_loop().create_task(pipeline.write())
        gaps: list[float] = []
        ended: float | None = None
        for task_id in ids:
            attempt = os.urandom(16)
            await pipeline.put(START, task_id, attempt)
            if ended is not None:
                gaps.append((time.perf_counter() - ended) * 1000)
            ended = time.perf_counter()
            await pipeline.put(END, task_id, attempt)
        writer.cancel()
        return sorted(gaps)[len(gaps) // 2]
    finally:
        await connection.close()


async def database_starts() -> tuple[float, float]:
    """Seconds until a PostgreSQL that is made first answers, and until one that is there does."""
    home = Path(tempfile.mkdtemp(prefix="tradewind-bench-"))
    try:
        took: list[float] = []
        for _ in range(2):
            began = time.perf_counter()
            async with await EmbeddedServer.join(home):
                took.append(time.perf_counter() - began)
        return took[0], took[1]
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Forks(NamedTuple):
    """What bare forks reach."""

    tasks_per_s: float
    p50_ms: float
    """From fork to reaped."""


async def forks(tasks: int, in_flight: int, file: Path | None = None) -> Forks:
    """Attempts by a bare fork each, from a fresh process that has imported what a worker needs; with
    `file` each executes that DAG file too.
    """
    arguments = [str(tasks), str(in_flight), *([str(file)] if file is not None else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.fork_floor", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the floor of forks ended with {process.returncode}")
    return Forks(**json.loads(output))


FLOOR_RUN = 1


async def _rows(connection: Any, tasks: int) -> Sequence[str]:
    for table in ("task_instance", "attempt", "live_attempt", "history"):
        await connection.execute(f"delete from {table} where run_id=$1", FLOOR_RUN)
    ids = [f"t{k:06}" for k in range(tasks)]
    await connection.copy_records_to_table(
        "task_instance",
        schema_name="tradewind",
        records=[(FLOOR_RUN, task_id, -1, "none", 0, 0, 0) for task_id in ids],
        columns=["run_id", "task_id", "map_index", "state", "try_number", "max_tries", "lost_count"],
    )
    await connection.execute("vacuum analyze task_instance")
    return ids


async def _nothing() -> None:
    """The body of the floor's tasks."""
