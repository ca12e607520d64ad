"""How long does a durable step take whose function does nothing: from one step's end to the next one's?"""

from __future__ import annotations

import statistics
from itertools import pairwise
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import check_count, moments_in_this_process, percentiles
from benchmarks.stage import run, stage

SOURCE = """
from time import perf_counter_ns

from tradewind import DAG, task

TRADEWIND_BENCH_MOMENTS = []


async def nothing(n):
    return n


with DAG("step", schedule=None, is_paused_upon_creation=False):

    @task(durable=True)
    async def steps(ctx):
        for n in range({steps}):
            TRADEWIND_BENCH_MOMENTS.append(perf_counter_ns())
            await ctx.step(("nothing", n), nothing, n)
        TRADEWIND_BENCH_MOMENTS.append(perf_counter_ns())

    steps()
"""

RUNS = 5
KEPT = "select count(*) from task_step where run_id=$1 and codec is not null"


async def _measure(steps: int) -> dict[str, object]:
    async with stage({"step.py": SOURCE.format(steps=steps)}) as st:
        gaps: list[float] = []
        walls: list[float] = []
        await st.run_dag("step")
        moments_in_this_process()
        for _ in range(RUNS):
            finished, seconds = await st.run_dag("step")
            moments = moments_in_this_process()
            await check_count(st, finished, "steps with a result", KEPT, steps)
            gaps += [(after - before) / 1e6 for before, after in pairwise(moments)]
            walls.append(seconds)
        floor = await floors.commits_in_a_row(st.database, steps) / 2
        figures = percentiles(gaps)
        return {
            **figures,
            "wall_s": round(statistics.median(walls), 4),
            "steps": steps,
            "runs": RUNS,
            "floor_ms": round(floor, 3),
            "ratio_to_floor": round(floor / figures["p50_ms"], 3),
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """p50_ms, p99_ms of a step, its result durable before the next begins. The floor is one commit."""
    return run(_measure(size or 200))
