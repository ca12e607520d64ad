"""How long does a mapped task take: 500 instances that do nothing, as coroutines and as processes, and 100,000 that
are made?
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import asyncpg

from benchmarks.stage import Stage, run, stage
from tradewind.control_ports import TriggerRequest
from tradewind.model.batch import Batch
from tradewind.model.keys import RunId
from tradewind.model.rows import PoolRow, RunRow
from tradewind.model.states import RunState

SOURCE = """
from tradewind import DAG, task

with DAG("{name}", schedule=None, is_paused_upon_creation=False, max_active_tasks=512):
    @task
    async def source():
        return list(range({size}))

    @task(pool="wide")
    {kind} nothing(x):
        pass

    nothing.expand(x=source())
"""

SMALL, LARGE, REPEATS = 500, 100_000, 5


class Moments:
    """When the value and when the last instance's row became durable; the longest that the loop stood."""

    def __init__(self, st: Stage) -> None:
        self.pushed = self.expanded = 0.0
        self.stalled = 0.0
        self.is_expanded = asyncio.Event()
        st.runtime.services.scheduler.on_committed.append(self._learn)

    def _learn(self, batch: Batch) -> None:
        for segment in batch.segments:
            if segment.lengths:
                self.pushed = time.perf_counter()
            if any(row.expected is not None for row in segment.dropped):
                self.expanded = time.perf_counter()
                self.is_expanded.set()

    async def watch_loop(self) -> None:
        """Notes for ever how late the loop comes back."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.stalled = max(self.stalled, time.perf_counter() - before - 0.001)


async def _check(st: Stage, run_id: RunId, size: int) -> None:
    """Raises SystemExit unless every instance has a row and succeeded."""
    connection = await asyncpg.connect(st.database)
    try:
        rows = await connection.fetchrow(
            "SELECT count(*), count(*) FILTER (WHERE state = 'success'), min(map_index), max(map_index)"
            " FROM tradewind.task_instance WHERE run_id = $1 AND task_id = 'nothing'",
            run_id,
        )
    finally:
        await connection.close()
    if rows is None or tuple(rows) != (size, size, 0, size - 1):
        raise SystemExit(f"the rows of the instances are not as they should be: {rows}")


def _seconds(finished: RunRow) -> float:
    assert finished.state is RunState.SUCCESS, finished
    assert finished.ended_at is not None
    assert finished.started_at is not None
    return (finished.ended_at - finished.started_at).total_seconds()


async def _walls(st: Stage, dag_id: str) -> list[float]:
    """Seconds of some runs with 500 instances, after one that is not measured: it imports the file."""
    await st.run_dag(dag_id)
    took: list[float] = []
    for _ in range(REPEATS):
        finished, _ = await st.run_dag(dag_id)
        await _check(st, finished.run_id, SMALL)
        took.append(_seconds(finished))
    return took


async def _measure(large: int) -> dict[str, object]:
    kinds = (("small", SMALL, "async def"), ("local", SMALL, "def"), ("large", large, "async def"))
    files = {f"{name}.py": SOURCE.format(name=name, size=size, kind=kind) for name, size, kind in kinds}
    settings = {"core.max_map_length": large, "core.default_pool_slots": 512, "dags.import_timeout": 60}
    async with stage(files, settings=settings) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        inline, local = await _walls(st, "small"), await _walls(st, "local")
        moments = Moments(st)
        watching = asyncio.ensure_future(moments.watch_loop())
        made = await st.runtime.control.run_trigger(TriggerRequest("large", {}))
        await moments.is_expanded.wait()
        at_expansion = moments.stalled
        finished = await st.runtime.control.run_wait(made.run_id, 1200)
        watching.cancel()
        await _check(st, finished.run_id, large)
        return {
            "inline_wall_s": round(statistics.median(inline), 3),
            "local_wall_s": round(statistics.median(local), 3),
            "instances": SMALL,
            "expand_s": round(moments.expanded - moments.pushed, 2),
            "large_instances": large,
            "loop_stalled_s": round(at_expansion, 3),
            "loop_stalled_in_all_s": round(moments.stalled, 3),
            "large_tasks_per_s": round(large / _seconds(finished)),
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """inline_wall_s, local_wall_s: a whole run with 500 instances, started warm; expand_s: from the value to the last
    row of 100,000 instances.
    """
    del samples
    return run(_measure(size or LARGE))
