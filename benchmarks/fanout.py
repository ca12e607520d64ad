"""How many async tasks a second, when all of one run are ready at once?"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import CommitTimes, bodies_in_this_process, check_logs, check_rows, write_samples
from benchmarks.stage import run, stage
from tradewind.model.rows import PoolRow

SOURCE = """
from time import perf_counter_ns
from tradewind import DAG, task

TRADEWIND_BENCH_BODIES = []

with DAG("fanout", schedule=None, is_paused_upon_creation=False, max_active_tasks=512):
    for k in range({tasks}):
        @task(task_id=f"t{{k:06}}", pool="wide")
        async def nothing(name=f"t{{k:06}}"):
            TRADEWIND_BENCH_BODIES.append((name, perf_counter_ns(), perf_counter_ns()))
        nothing()
"""


async def _measure(tasks: int, samples: Path | None) -> dict[str, object]:
    files = {"fanout.py": SOURCE.format(tasks=tasks)}
    async with stage(files, settings={"core.default_pool_slots": 512, "dags.import_timeout": 60}) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        commits = CommitTimes(st)
        await st.run_dag("fanout")
        bodies_in_this_process()
        commits.clear()
        began = time.perf_counter()
        finished, _ = await st.run_dag("fanout")
        wall = time.perf_counter() - began
        bodies = bodies_in_this_process()
        await check_rows(st, finished, tasks)
        check_logs(st, finished, tasks)
        write_samples(samples, st, bodies, commits)
        assert finished.ended_at is not None
        assert finished.started_at is not None
        ran = (finished.ended_at - finished.started_at).total_seconds()
        floor = await floors.group_commit(st.database, tasks)
        return {
            "tasks_per_s": round(tasks / ran),
            "tasks_per_s_with_creation": round(tasks / wall),
            "floor_tasks_per_s": round(floor),
            "ratio_to_floor": round(tasks / ran / floor, 3),
            "tasks": tasks,
            "in_flight": 512,
            "commits": commits.commits,
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """tasks_per_s: from the run's start to its end, every start and end durable, 512 in flight."""
    return run(_measure(size or 10_000, samples))
