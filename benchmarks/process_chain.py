"""How long from the end of one task in a process of its own to the start of the next?"""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import (
    CommitTimes,
    bodies_in_file,
    check_logs,
    check_rows,
    gaps_ms,
    percentiles,
    write_samples,
)
from benchmarks.stage import run, stage

SOURCE = """
import os
from time import perf_counter_ns
from tradewind import DAG, task

BODIES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bodies")

def fibo(n):
    return n if n < 2 else fibo(n - 1) + fibo(n - 2)

with DAG("process_chain", schedule=None, is_paused_upon_creation=False):
    before = None
    for k in range({tasks}):
        @task(task_id=f"t{{k:06}}")
        def number(name=f"t{{k:06}}"):
            begin = perf_counter_ns()
            found = fibo(10)
            end = perf_counter_ns()
            out = os.open(BODIES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(out, f"{{name}} {{begin}} {{end}}\\n".encode())
            os.close(out)
            return found
        now = number()
        if before is not None:
            before >> now
        before = now
"""

RUNS = 5


async def _measure(tasks: int, samples: Path | None) -> dict[str, object]:
    async with stage({"process_chain.py": SOURCE.format(tasks=tasks)}) as st:
        commits = CommitTimes(st)
        gaps: list[float] = []
        walls: list[float] = []
        bodies: list[tuple[str, int, int]] = []
        finished, first_wall = await st.run_dag("process_chain")
        bodies_in_file(st.home / "bodies", tasks)
        for _ in range(RUNS):
            commits.clear()
            finished, seconds = await st.run_dag("process_chain")
            bodies = bodies_in_file(st.home / "bodies", tasks)
            await check_rows(st, finished, tasks)
            gaps += gaps_ms(bodies)
            walls.append(seconds)
        check_logs(st, finished, tasks)
        write_samples(samples, st, bodies, commits)
        commit = await floors.commits_in_a_row(st.database, tasks)
        forks = await floors.forks(tasks, in_flight=1)
        floor = commit + forks.p50_ms
        figures = percentiles(gaps)
        return {
            "wall_s": round(statistics.median(walls), 3),
            **figures,
            "first_wall_s": round(first_wall, 3),
            "tasks": tasks,
            "runs": RUNS,
            "floor_ms": round(floor, 3),
            "floor_fork_ms": round(forks.p50_ms, 3),
            "ratio_to_floor": round(floor / figures["p50_ms"], 3),
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """wall_s: from the trigger to the end of the run; p50_ms, p99_ms: end of a body to the next body's start.

    `first_wall_s` is the first run's wall time, in which the DAG file was imported for its workers.
    """
    return run(_measure(size or 40, samples))
