"""How long until a thousand DAG files are in force, and until one of them that changed is? And one huge file?"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import time
from pathlib import Path

from benchmarks.dagfile import visible
from benchmarks.samples import write_lines
from benchmarks.stage import Stage, run, stage

SOURCE = """
from tradewind import DAG, EmptyOperator, task

with DAG("{dag_id}", schedule="@daily", start_date="2026-01-01", catchup=False, tags=["bench", "{dag_id}"]):
    @task
    def extract(number):
        return number
    @task
    def join(found):
        print(found)
    begin = EmptyOperator(task_id="begin")
    end = EmptyOperator(task_id="end_{number}")
    parts = [extract.override(task_id=f"extract_{{n}}")(n) for n in range(7)]
    begin >> parts
    join(parts) >> end
"""
"""Ten tasks."""

FILES = 1_000
CHANGES = 20


def _text(dag_id: str, number: int) -> str:
    return SOURCE.format(dag_id=dag_id, number=number)


async def _changed(st: Stage, names: list[str], draw: random.Random) -> float:
    """Milliseconds from the write of one of the files to its new version in force."""
    dag_id = draw.choice(names)
    before = await st.runtime.control.reads.dag_get(dag_id)
    assert before is not None
    path = st.home / "dags" / f"{dag_id}.py"
    path.write_text(_text(dag_id, draw.randrange(1, 1 << 40)))
    began = time.perf_counter()
    await visible(st, dag_id, before.version_hash)
    return (time.perf_counter() - began) * 1000


async def _measure(files: int) -> tuple[dict[str, object], list[dict[str, object]]]:
    names = [f"dag_{k:04}" for k in range(files)]
    draw = random.Random(time.time_ns())
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    async with stage({}) as st:  # a runtime with an empty store is what we start from
        folder = st.home / "dags"
        began = time.perf_counter()
        await asyncio.to_thread(_write_all, folder, names)
        dags = st.runtime.services.scheduler.book.dags
        deadline = time.monotonic() + 300
        while len(dags) < files:
            if time.monotonic() > deadline:
                errors = await st.runtime.control.reads.import_error_list()
                raise SystemExit("not all were loaded:\n" + "\n".join(error.stack_trace for error in errors[:3]))
            await asyncio.sleep(0.01)
        wall = time.perf_counter() - began
        changed: list[float] = []
        for _ in range(CHANGES):
            await asyncio.sleep(draw.uniform(0.05, 0.15))
            changed.append(await _changed(st, names, draw))
        finds = st.sweep_finds
    now = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = [
        after.ru_utime + after.ru_stime - (before.ru_utime + before.ru_stime)
        for before, after in zip(used, now, strict=True)
    ]
    figures: dict[str, object] = {
        "wall_s": round(wall, 2),
        "changed_ms": round(statistics.median(changed), 1),
        "changed_max_ms": round(max(changed), 1),
        "files": files,
        "tasks_a_file": 10,
        "files_per_s": round(files / wall, 1),
        "cpu_runtime_s": round(cpu[0], 2),
        "cpu_children_s": round(cpu[1], 2),
        "sweep_finds": finds,
        "valid": finds == 0,
    }
    return figures, [{"kind": "changed", "ms": ms} for ms in changed]


def _write_all(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / f"{name}.py").write_text(_text(name, 0))


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """wall_s: from the first file's write to the last DAG that a trigger would run; changed_ms: the same for
    one changed file, the median. Nothing was parsed before.
    """
    figures, lines = run(_measure(size or FILES))
    if samples is not None:
        write_lines(samples, lines)
    return figures
