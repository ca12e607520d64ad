"""What do 10,000 async sensors cost that are each asked once a second, and how late are they asked?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.samples import moments_in_this_process
from benchmarks.stage import run, stage
from benchmarks.waiting import Deferred
from tradewind.control_ports import TriggerRequest
from tradewind.model.rows import PoolRow

SOURCE = """
from time import perf_counter_ns

from tradewind import DAG, task

TRADEWIND_BENCH_MOMENTS = []
BEFORE = {{}}

with DAG("sensors", schedule=None, is_paused_upon_creation=False, max_active_tasks=512):
    @task
    async def source():
        return list(range({size}))

    @task.sensor(poke_interval=1, timeout=3600, pool="wide")
    async def ask(x):
        now = perf_counter_ns()
        before = BEFORE.get(x)
        if before is not None:
            TRADEWIND_BENCH_MOMENTS.append(now - before - 1_000_000_000)
        BEFORE[x] = now
        return False

    ask.expand(x=source())
"""

SENSORS = 10_000
WINDOW = 10.0


async def _measure(size: int) -> dict[str, object]:
    settings = {"core.max_map_length": size, "core.default_pool_slots": 512}
    async with stage({"sensors.py": SOURCE.format(size=size)}, settings=settings) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        deferred = Deferred(st)
        await st.runtime.control.run_trigger(TriggerRequest("sensors", {}))
        await deferred.reach(size)
        await asyncio.sleep(3.0)
        moments_in_this_process()
        used, since = time.process_time(), time.perf_counter()
        await asyncio.sleep(WINDOW)
        cpu, wall = time.process_time() - used, time.perf_counter() - since
        late = sorted(moment / 1e6 for moment in moments_in_this_process())
        if len(late) < 0.8 * size * wall:
            raise SystemExit(f"{len(late)} pokes in {wall:.1f} s: {size} sensors were to be asked each second")
        floor = await _floor(size)
        return {
            "cpu_percent": round(cpu / wall * 100, 1),
            "late_p50_ms": round(late[len(late) // 2], 1),
            "late_p99_ms": round(late[int(len(late) * 0.99)], 1),
            "pokes_per_s": round(len(late) / wall),
            "sensors": size,
            "floor_cpu_percent": round(floor, 1),
            "ratio_to_floor": round(floor / (cpu / wall * 100), 3),
            "sweep_finds": st.sweep_finds,
        }


async def _floor(size: int) -> float:
    """Percent of a core that as many coroutines use which do nothing but sleep a second, again and again."""

    async def sleeper(first: float) -> None:
        pause = first
        for _ in range(60):
            await asyncio.sleep(pause)
            pause = 1.0

    tasks = [asyncio.ensure_future(sleeper(n / size)) for n in range(size)]
    await asyncio.sleep(1.5)
    used, since = time.process_time(), time.perf_counter()
    await asyncio.sleep(3.0)
    percent = (time.process_time() - used) / (time.perf_counter() - since) * 100
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return percent


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """cpu_percent of one core while each sensor is asked once a second; late_p99_ms: how much later than a second after
    its last poke a sensor is asked. The floor are coroutines that only sleep.
    """
    del samples
    return run(_measure(size or SENSORS))
