"""How long until a DAG file that was written or changed is in force?"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from pathlib import Path

import asyncpg

from benchmarks import floors
from benchmarks.samples import write_lines
from benchmarks.stage import Stage, run, stage

SOURCE = """
from tradewind import DAG, task

with DAG("{dag_id}", schedule=None):
    @task
    def extract():
        return {number}
    @task
    def load(found):
        print(found)
    load(extract())
"""

CHANGED = SOURCE.replace("def load(found)", "def load_{number}(found)").replace(
    "    load(extract", "    load_{number}(extract"
)
"""Another graph, so a new version: the text of a function alone makes none."""

FILES = 500
CHANGES = 60
"""Half of them new files, half changed ones."""


async def visible(st: Stage, dag_id: str, version: str | None) -> None:
    """Waits until the store shows another version than `version` to everybody, and the scheduler has it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = await st.runtime.control.reads.dag_get(dag_id)
        owned = st.runtime.services.scheduler.book.dags.get(dag_id)
        if row is not None and owned is not None and version != row.version_hash == owned.row.version_hash:
            return
        await asyncio.sleep(0.002)
    raise SystemExit(f"{dag_id} was not seen within 30 s")


def _write(path: Path, text: str, *, in_place: bool) -> float:
    """Writes as editors do: in place, or another file that is then put into its place. Returns the moment."""
    if in_place:
        path.write_text(text)
    else:
        other = path.with_suffix(".swp")
        other.write_text(text)
        other.rename(path)
    return time.perf_counter()


async def _changes(st: Stage, files: int, changes: int, draw: random.Random) -> tuple[list[float], list[float]]:
    new: list[float] = []
    changed: list[float] = []
    for number in range(changes):
        await asyncio.sleep(draw.uniform(0.05, 0.25))
        if number % 2:
            dag_id = f"dag_{draw.randrange(files):03}"
            before = await st.runtime.control.reads.dag_get(dag_id)
            text = CHANGED.format(dag_id=dag_id, number=number)
            at = _write(st.home / "dags" / f"{dag_id}.py", text, in_place=number % 4 == 1)
            await visible(st, dag_id, before.version_hash if before is not None else None)
            changed.append((time.perf_counter() - at) * 1000)
        else:
            dag_id = f"new_{number:03}"
            text = SOURCE.format(dag_id=dag_id, number=number)
            at = _write(st.home / "dags" / f"{dag_id}.py", text, in_place=number % 4 == 0)
            await visible(st, dag_id, None)
            new.append((time.perf_counter() - at) * 1000)
    return new, changed


async def _floor_ms(st: Stage) -> float:
    """A bare fork that executes such a file, and a commit."""
    forks = await floors.forks(20, in_flight=1, file=st.home / "dags" / "dag_000.py")
    connection = await asyncpg.connect(st.database)
    try:
        began = time.perf_counter()
        for _ in range(20):
            await connection.execute("create temporary table if not exists floor (x int); insert into floor values (1)")
        commit = (time.perf_counter() - began) * 1000 / 20
    finally:
        await connection.close()
    return forks.p50_ms + commit


async def _measure(files: int) -> tuple[dict[str, object], list[dict[str, object]]]:
    texts = {f"dag_{k:03}.py": SOURCE.format(dag_id=f"dag_{k:03}", number=k) for k in range(files)}
    began = time.perf_counter()
    async with stage(texts) as st:
        loaded = time.perf_counter() - began
        seed = int(os.environ.get("TRADEWIND_BENCH_SEED", time.time_ns() % 1_000_000))
        new, changed = await _changes(st, files, CHANGES, random.Random(seed))
        floor = await _floor_ms(st)
        both = sorted(new + changed)
        p50 = statistics.median(both)
        samples = [("new", ms) for ms in new] + [("changed", ms) for ms in changed]
        figures: dict[str, object] = {
            "visible_p50_ms": round(p50, 1),
            "visible_p99_ms": round(both[min(len(both) - 1, int(len(both) * 0.99))], 1),
            "new_p50_ms": round(statistics.median(new), 1),
            "changed_p50_ms": round(statistics.median(changed), 1),
            "files": files,
            "changes": len(both),
            "all_loaded_s": round(loaded, 2),
            "floor_ms": round(floor, 2),
            "ratio_to_floor": round(floor / p50, 3),
            "sweep_finds": st.sweep_finds,
            "valid": st.sweep_finds == 0,
        }
        return figures, [{"kind": kind, "ms": ms, "sweep_finds": st.sweep_finds} for kind, ms in samples]


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """visible_p50_ms, visible_p99_ms: from the file's last write to the version that a trigger would run."""
    figures, lines = run(_measure(size or FILES))
    if samples is not None:
        write_lines(samples, lines)
    return figures
