"""What each task of a measured run did when, from three sides: its body, the commits, the database."""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import asyncpg

from benchmarks.stage import Stage
from tradewind.model.batch import Batch
from tradewind.model.rows import RunRow
from tradewind.model.states import TaskState
from tradewind.worker.log import run_folder

_ATTEMPT = re.compile(rb'"attempt":"([0-9a-f]+)"')

MODULE_MARK = "TRADEWIND_BENCH_BODIES"
"""Name of the list in a DAG file to which its bodies append (task id, begin ns, end ns)."""
MOMENTS_MARK = "TRADEWIND_BENCH_MOMENTS"
"""Name of the list to which its bodies append nanoseconds."""


class CommitTimes:
    """Hears of every commit: when the start and the end of each task became durable (ns)."""

    def __init__(self, stage: Stage) -> None:
        self.started: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.commits = 0
        stage.runtime.services.scheduler.on_committed.append(self._learn)

    def _learn(self, batch: Batch) -> None:
        now = time.perf_counter_ns()
        self.commits += 1
        for segment in batch.segments:
            for change in segment.tasks:
                if change.state is TaskState.RUNNING:
                    self.started[change.task_id] = now
                elif change.state is TaskState.SUCCESS:
                    self.ended[change.task_id] = now

    def clear(self) -> None:
        """Forgets a warm-up."""
        self.started.clear()
        self.ended.clear()
        self.commits = 0


def bodies_in_this_process() -> list[tuple[str, int, int]]:
    """What the bodies of an inline DAG have noted since the last call."""
    for module in list(sys.modules.values()):
        found: list[tuple[str, int, int]] | None = getattr(module, MODULE_MARK, None)
        if found is not None and getattr(module, "__name__", "").startswith("tradewind_dag"):
            taken = list(found)
            found.clear()
            return taken
    return []


def moments_in_this_process() -> list[int]:
    """The nanoseconds that the code of an inline DAG has noted since the last call."""
    for module in list(sys.modules.values()):
        found: list[int] | None = getattr(module, MOMENTS_MARK, None)
        if found is not None and getattr(module, "__name__", "").startswith("tradewind_dag"):
            taken = list(found)
            found.clear()
            return taken
    return []


async def check_count(stage: Stage, run: RunRow, what: str, query: str, expected: int) -> None:
    """Raises SystemExit unless the query, given the run's id, counts so many."""
    connection = await asyncpg.connect(stage.database, server_settings={"search_path": "tradewind"})
    try:
        found = await connection.fetchval(query, run.run_id)
    finally:
        await connection.close()
    if found != expected:
        raise SystemExit(f"{found} {what}, {expected} expected")


def bodies_in_file(path: Path, tasks: int) -> list[tuple[str, int, int]]:
    """What bodies in other processes have appended to the file since the last call, one line a body.
    Raises SystemExit if there are not as many as tasks.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    if len(lines) != tasks:
        raise SystemExit(f"{len(lines)} bodies ran, {tasks} expected")
    fields = [line.split() for line in lines]
    return [(task_id, int(begin), int(end)) for task_id, begin, end in fields]


def gaps_ms(bodies: Sequence[tuple[str, int, int]]) -> list[float]:
    """Milliseconds from the end of each body to the beginning of the next, for tasks in a row."""
    ordered = sorted(bodies, key=lambda body: body[1])
    return [(after[1] - before[2]) / 1e6 for before, after in pairwise(ordered)]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50 and p99 as p50_ms and p99_ms."""
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": round(statistics.median(ordered), 3), "p99_ms": round(last, 3)}


async def check_rows(stage: Stage, run: RunRow, tasks: int) -> None:
    """Raises SystemExit unless every task of the run left all its rows."""
    connection = await asyncpg.connect(stage.database, server_settings={"search_path": "tradewind"})
    try:
        counts = {
            "finished task instances": "select count(*) from task_instance where run_id=$1 and state='success'",
            "finished attempts": "select count(*) from attempt where run_id=$1 and kind='success'",
            "history rows": "select count(*) from history where run_id=$1",
        }
        for what, query in counts.items():
            found = await connection.fetchval(query, run.run_id)
            if found != tasks:
                raise SystemExit(f"{found} {what}, {tasks} expected")
        left = await connection.fetchval("select count(*) from live_attempt where run_id=$1", run.run_id)
        if left:
            raise SystemExit(f"{left} attempts are still called live")
    finally:
        await connection.close()
    if stage.sweep_finds:
        raise SystemExit(f"sweeps found {stage.sweep_finds} things that no event had told")


def check_logs(stage: Stage, run: RunRow, tasks: int) -> None:
    """Raises SystemExit unless every attempt of the run has a record in its log."""
    folder = run_folder(stage.runtime.control.log_root, run.dag_id, run.dag_run_id)
    seen: set[bytes] = set()
    for path in folder.rglob("*.jsonl"):
        with path.open("rb") as lines:
            seen.update(found.group(1) for line in lines if (found := _ATTEMPT.search(line)))
    if len(seen) < tasks:
        raise SystemExit(f"{len(seen)} attempts have log records, {tasks} expected")


def write_lines(path: Path, lines: Iterable[Mapping[str, object]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_samples(
    path: Path | None, stage: Stage, bodies: Sequence[tuple[str, int, int]], commits: CommitTimes
) -> None:
    """One JSON line a task: nanoseconds of body and commits on one monotonic clock."""
    if path is None:
        return
    with path.open("w") as out:
        for task_id, begin, end in bodies:
            line = {
                "task_id": task_id,
                "body_start": begin,
                "body_end": end,
                "start_commit": commits.started.get(task_id),
                "end_commit": commits.ended.get(task_id),
                "sweep_finds": stage.sweep_finds,
            }
            out.write(json.dumps(line) + "\n")
