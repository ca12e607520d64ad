"""What do waits cost: the memory and the idle time of 100,000, and how soon do 10,000 go on that come due at once?"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import check_count, moments_in_this_process
from benchmarks.stage import Stage, run, stage
from tradewind.control_ports import TriggerRequest
from tradewind.model.batch import Batch
from tradewind.model.rows import PoolRow, RunRow
from tradewind.model.states import TaskState

SOURCE = """
from datetime import datetime
from time import perf_counter_ns

from tradewind import DAG, task
from tradewind.standard.moment_triggers import DateTimeTrigger

TRADEWIND_BENCH_MOMENTS = []

with DAG("{name}", schedule=None, is_paused_upon_creation=False, max_active_tasks=512):
    @task
    async def source():
        return list(range({size}))

    @task(durable=True, pool="wide")
    async def wait(ctx, x, dag_run):
        await ctx.wait_for(DateTimeTrigger(moment=datetime.fromisoformat(dag_run.conf["at"])))
        TRADEWIND_BENCH_MOMENTS.append(perf_counter_ns())

    wait.expand(x=source())
"""

FIRED, HELD = 10_000, 100_000
BEFORE = 40.0
"""Seconds until the moment, at least: all waits have to have begun by then."""
SETTLES = 25.0
"""Seconds after which what was made on the way is gone: the runtime collects garbage when it is idle."""
IDLE = 20.0
WAITING = "select count(*) from task_instance where run_id=$1 and state='deferred'"

SLEEPERS = """
import asyncio, os, sys

async def hold(size):
    pages = lambda: int(open("/proc/self/statm").read().split()[1])
    before = pages()
    kept = [asyncio.ensure_future(asyncio.sleep(86400)) for _ in range(size)]
    await asyncio.sleep(0)
    print((pages() - before) * os.sysconf("SC_PAGE_SIZE") / size)

asyncio.run(hold(int(sys.argv[1])))
"""


class Deferred:
    """Counts the instances that wait."""

    def __init__(self, st: Stage) -> None:
        self.count = 0
        self._changed = asyncio.Event()
        st.runtime.services.scheduler.on_committed.append(self._learn)

    def _learn(self, batch: Batch) -> None:
        for segment in batch.segments:
            self.count += sum(change.state is TaskState.DEFERRED for change in segment.tasks)
        self._changed.set()

    async def reach(self, count: int) -> None:
        """Returns when so many have begun to wait."""
        while self.count < count:
            self._changed.clear()
            await self._changed.wait()


async def _lags(into: list[float]) -> None:
    """Notes for ever how late the loop comes back, in milliseconds."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        into.append((time.perf_counter() - before - 0.001) * 1000)


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _begin(st: Stage, dag_id: str, at: datetime, size: int) -> RunRow:
    deferred = Deferred(st)
    made = await st.runtime.control.run_trigger(TriggerRequest(dag_id, {"at": at.isoformat()}))
    await deferred.reach(size)
    return made


async def _fire(st: Stage, size: int) -> dict[str, object]:
    began = time.perf_counter()
    at = datetime.now(UTC) + timedelta(seconds=BEFORE)
    made = await _begin(st, "fire", at, size)
    took = time.perf_counter() - began
    left = (at - datetime.now(UTC)).total_seconds()
    if left < 0.5:
        raise SystemExit(f"the waits took {took:.1f} s to begin, longer than the {BEFORE:g} s that there were")
    await asyncio.sleep(left - 0.2)
    lags: list[float] = []
    watching = asyncio.ensure_future(_lags(lags))
    offset = time.time_ns() - time.perf_counter_ns()
    finished = await st.runtime.control.run_wait(made.run_id, 300)
    watching.cancel()
    moments = moments_in_this_process()
    if len(moments) != size:
        raise SystemExit(f"{len(moments)} tasks went on, {size} expected")
    await check_count(st, finished, "finished instances", WAITING.replace("deferred", "success"), size + 1)
    due = at.timestamp() * 1e9
    late = sorted((moment + offset - due) / 1e9 for moment in moments)
    lags.sort()
    return {
        "fired": size,
        "s": round(late[-1], 2),
        "median_s": round(statistics.median(late), 2),
        "lag_p99_ms": round(lags[int(len(lags) * 0.99)], 1),
        "lag_max_ms": round(lags[-1], 1),
    }


async def _hold(st: Stage, size: int) -> dict[str, object]:
    before = _rss_mib()
    began = time.perf_counter()
    made = await _begin(st, "hold", datetime.now(UTC) + timedelta(days=1), size)
    took = time.perf_counter() - began
    await check_count(st, made, "waiting instances", WAITING, size)
    await asyncio.sleep(SETTLES)
    used, since = time.process_time(), time.perf_counter()
    await asyncio.sleep(IDLE)
    cpu = (time.process_time() - used) / (time.perf_counter() - since) * 100
    return {
        "held": size,
        "rss_mib": round(_rss_mib(), 1),
        "rss_before_mib": round(before, 1),
        "bytes_a_wait": round((_rss_mib() - before) * 2**20 / size),
        "idle_cpu_percent": round(cpu, 2),
        "begun_per_s": round(size / took),
    }


async def _floor(st: Stage, held: int, fired: int) -> dict[str, object]:
    """Seconds in which a bare pipeline makes the start and the end of as many tasks durable, and the bytes that a
    coroutine of plain asyncio takes while it sleeps.
    """
    sleepers = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SLEEPERS, str(held), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await sleepers.communicate()
    seconds = fired / await floors.group_commit(st.database, fired)
    return {"floor_s": round(seconds, 2), "floor_bytes_a_wait": round(float(output))}


async def _measure(held: int) -> dict[str, object]:
    fired = min(FIRED, held)
    files = {f"{name}.py": SOURCE.format(name=name, size=size) for name, size in (("fire", fired), ("hold", held))}
    settings = {"core.max_map_length": held, "core.default_pool_slots": 512}
    async with stage(files, settings=settings) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        figures = await _fire(st, fired)
        held_ones = await _hold(st, held)
        return {**held_ones, **figures, **await _floor(st, held, fired), "sweep_finds": st.sweep_finds}


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """rss_mib, idle_cpu_percent with 100,000 waits in one runtime; s: from the moment that 10,000 waits are due to the
    last task that goes on; lag_p99_ms: how late the loop comes back meanwhile. Floors: floor_s, a bare pipeline of
    commits without an engine; floor_bytes_a_wait, coroutines that only sleep.
    """
    del samples
    return run(_measure(size or HELD))
