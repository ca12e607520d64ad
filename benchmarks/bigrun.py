"""Does a task of a large run cost what a task of a small one costs? And what does a large run weigh?"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import CommitTimes, bodies_in_this_process, check_logs, check_rows, write_samples
from benchmarks.stage import Stage, run, stage
from tradewind.control_ports import TriggerRequest
from tradewind.model.rows import PoolRow

SOURCE = """
from time import perf_counter_ns
from tradewind import DAG, task

TRADEWIND_BENCH_BODIES = []
NOTE = {note}

with DAG("bigrun", schedule=None, is_paused_upon_creation=False, max_active_tasks=512):
    above = []
    for layer in range({tasks} // 100):
        here = []
        for k in range(100):
            @task(task_id=f"t{{layer * 100 + k:06}}", pool="wide")
            async def nothing(name=f"t{{layer * 100 + k:06}}"):
                if NOTE:
                    TRADEWIND_BENCH_BODIES.append((name, perf_counter_ns(), perf_counter_ns()))
            now = nothing()
            if above:
                [above[k], above[(k + 1) % 100], above[(k + 7) % 100]] >> now
            here.append(now)
        above = here
"""

SIZES = (1_000, 10_000, 100_000)
REPEATS = {1_000: 15, 10_000: 3, 100_000: 1}
"""Measured runs of each size, after one that is not: it imports the file. Short runs need more of them."""


def _memory_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


async def _load(st: Stage, tasks: int, *, note: bool) -> float:
    """Seconds from the written file to the DAG that can be triggered."""
    began = time.perf_counter()
    (st.home / "dags" / "bigrun.py").write_text(SOURCE.format(tasks=tasks, note=note))
    dags = st.runtime.services.scheduler.book.dags
    while "bigrun" not in dags:
        if time.perf_counter() - began > 300:
            errors = await st.runtime.control.reads.import_error_list()
            raise SystemExit("the DAG was not loaded: " + "\n".join(error.stack_trace for error in errors))
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def _one_run(st: Stage, tasks: int) -> tuple[float, float, float]:
    """Seconds to create a run, from its start to its end, and of CPU that this process used for that."""
    began = time.perf_counter()
    made = await st.runtime.control.run_trigger(TriggerRequest("bigrun", {}))
    creation = time.perf_counter() - began
    before = time.process_time()
    finished = await st.runtime.control.run_wait(made.run_id, 1200)
    cpu = time.process_time() - before
    await check_rows(st, finished, tasks)
    check_logs(st, finished, tasks)
    assert finished.ended_at is not None
    assert finished.started_at is not None
    return creation, (finished.ended_at - finished.started_at).total_seconds(), cpu


async def _measure_size(tasks: int, samples: Path | None) -> dict[str, object]:
    repeats = REPEATS.get(tasks, 3)
    async with stage({}, settings={"dags.import_timeout": 300}) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        before = _memory_mib("VmRSS")
        parse = await _load(st, tasks, note=samples is not None)
        creations: list[float] = []
        walls: list[float] = []
        cpus: list[float] = []
        commits = CommitTimes(st) if samples is not None else None
        for k in range(repeats + 1):
            bodies_in_this_process()
            if commits is not None:
                commits.clear()
            creation, wall, cpu = await _one_run(st, tasks)
            if k:
                cpus.append(cpu)
                creations.append(creation)
                walls.append(wall)
        if commits is not None:
            write_samples(samples, st, bodies_in_this_process(), commits)
        peak, after = _memory_mib("VmHWM"), _memory_mib("VmRSS")
        floor = await floors.group_commit(st.database, min(tasks, 10_000), in_flight=100)
        us = statistics.median(walls) / tasks * 1e6
        return {
            "us_a_task": round(us, 1),
            "cpu_us_a_task": round(statistics.median(cpus) / tasks * 1e6, 1),
            "floor_us_a_task": round(1e6 / floor, 1),
            "parse_s": round(parse, 3),
            "creation_s": round(statistics.median(creations), 3),
            "rss_mib": round(peak, 1),
            "rss_before_mib": round(before, 1),
            "rss_after_mib": round(after, 1),
            "sweep_finds": st.sweep_finds,
        }


def _in_a_process(tasks: int, samples: Path | None) -> dict[str, float]:
    """Each size in an interpreter of its own: no memory of one counts for another."""
    arguments = [sys.executable, "-m", "benchmarks.bigrun", str(tasks), *([str(samples)] if samples else [])]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"the run of {tasks} tasks was not valid")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """cost_ratio: microseconds a task in the largest run over those in the smallest; rss_mib: the process's
    peak in the largest. The samples are of the largest run (taking them needs some memory).
    """
    largest = size or SIZES[-1]
    sizes = [tasks for tasks in SIZES if tasks < largest] + [largest]
    found = {tasks: _in_a_process(tasks, samples if tasks == largest else None) for tasks in sizes}
    again = _in_a_process(sizes[0], None)  # a machine that has become slower meanwhile is not the run's fault
    small, large = found[sizes[0]], found[largest]
    small["us_a_task"] = round((small["us_a_task"] + again["us_a_task"]) / 2, 1)
    figures: dict[str, object] = {
        "cost_ratio": round(large["us_a_task"] / small["us_a_task"], 3),
        "rss_mib": large["rss_mib"],
        "ratio_to_floor": round(large["floor_us_a_task"] / large["us_a_task"], 3),
        "sweep_finds": sum(one["sweep_finds"] for one in found.values()),
    }
    for tasks, one in found.items():
        figures |= {f"{name}_{tasks}": value for name, value in one.items() if name != "sweep_finds"}
    return figures


if __name__ == "__main__":
    print(json.dumps(run(_measure_size(int(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None))))
