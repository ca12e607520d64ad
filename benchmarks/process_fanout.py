"""How many tasks a second, each in a process of its own, when all of one run are ready at once?"""

from __future__ import annotations

from pathlib import Path

from benchmarks import floors
from benchmarks.samples import CommitTimes, bodies_in_file, check_logs, check_rows, write_samples
from benchmarks.stage import run, stage

SOURCE = """
import os
from time import perf_counter_ns
from tradewind import DAG, task

BODIES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bodies")

with DAG("process_fanout", schedule=None, is_paused_upon_creation=False):
    for k in range({tasks}):
        @task(task_id=f"t{{k:06}}")
        def nothing(name=f"t{{k:06}}"):
            begin = perf_counter_ns()
            end = perf_counter_ns()
            out = os.open(BODIES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(out, f"{{name}} {{begin}} {{end}}\\n".encode())
            os.close(out)
        nothing()
"""

IN_FLIGHT = 16
"""What a DAG that says nothing has running at once (`core.max_active_tasks_per_dag`)."""


async def _measure(tasks: int, samples: Path | None) -> dict[str, object]:
    async with stage({"process_fanout.py": SOURCE.format(tasks=tasks)}) as st:
        commits = CommitTimes(st)
        await st.run_dag("process_fanout")
        bodies_in_file(st.home / "bodies", tasks)
        commits.clear()
        finished, wall = await st.run_dag("process_fanout")
        bodies = bodies_in_file(st.home / "bodies", tasks)
        await check_rows(st, finished, tasks)
        check_logs(st, finished, tasks)
        write_samples(samples, st, bodies, commits)
        assert finished.ended_at is not None
        assert finished.started_at is not None
        ran = (finished.ended_at - finished.started_at).total_seconds()
        forks = await floors.forks(tasks, in_flight=2)
        return {
            "tasks_per_s": round(tasks / ran, 1),
            "tasks_per_s_with_creation": round(tasks / wall, 1),
            "floor_tasks_per_s": round(forks.tasks_per_s, 1),
            "ratio_to_floor": round(tasks / ran / forks.tasks_per_s, 3),
            "tasks": tasks,
            "in_flight": IN_FLIGHT,
            "commits": commits.commits,
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """tasks_per_s: from the run's start to its end, every start and end durable."""
    return run(_measure(size or 500, samples))
