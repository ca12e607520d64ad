"""How long from the end of one async task to the start of the next that waited for it?"""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import (
    CommitTimes,
    bodies_in_this_process,
    check_logs,
    check_rows,
    gaps_ms,
    percentiles,
    write_samples,
)
from benchmarks.stage import run, stage

SOURCE = """
from time import perf_counter_ns
from tradewind import DAG, task

TRADEWIND_BENCH_BODIES = []

with DAG("chain", schedule=None, is_paused_upon_creation=False):
    before = None
    for k in range({tasks}):
        @task(task_id=f"t{{k:06}}")
        async def nothing(name=f"t{{k:06}}"):
            TRADEWIND_BENCH_BODIES.append((name, perf_counter_ns(), perf_counter_ns()))
        now = nothing()
        if before is not None:
            before >> now
        before = now
"""

RUNS = 5


async def _measure(tasks: int, samples: Path | None) -> dict[str, object]:
    async with stage({"chain.py": SOURCE.format(tasks=tasks)}) as st:
        commits = CommitTimes(st)
        gaps: list[float] = []
        walls: list[float] = []
        bodies: list[tuple[str, int, int]] = []
        await st.run_dag("chain")
        bodies_in_this_process()
        for _ in range(RUNS):
            commits.clear()
            finished, seconds = await st.run_dag("chain")
            bodies = bodies_in_this_process()
            await check_rows(st, finished, tasks)
            check_logs(st, finished, tasks)
            gaps += gaps_ms(bodies)
            walls.append(seconds)
        write_samples(samples, st, bodies, commits)
        floor = await floors.commits_in_a_row(st.database, tasks)
        figures = percentiles(gaps)
        return {
            **figures,
            "wall_s": round(statistics.median(walls), 4),
            "tasks": tasks,
            "runs": RUNS,
            "floor_ms": round(floor, 3),
            "ratio_to_floor": round(floor / figures["p50_ms"], 3),
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """p50_ms, p99_ms: end of a body to the start of the next body, all durable in between."""
    return run(_measure(size or 100, samples))
