"""How fast are the rules alone: one finished task taken into a run, and its successors decided?

The layered graph of `bigrun`, from its first task to the end of the run, without loop, store or executor.
"""

from __future__ import annotations

import gc
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.samples import write_lines
from tradewind.model.commands import Decision
from tradewind.model.events import Admitted, AttemptEnded, RunActivated, Stamp
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource, DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, RunType
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine

TASKS = 10_000
WIDTH = 100
REPEATS = 7
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUCCESS = Outcome(OutcomeKind.SUCCESS)


class _Times(NamedTuple):
    """CPU seconds of one run (nothing in it waits): what finished tasks cost, their changes as rows, and everything."""

    finishes: float
    flushes: float
    whole: float


def layered(tasks: int) -> DagSpec:
    """Layers of a hundred tasks, each after three of the layer above."""
    specs: list[TaskSpec] = []
    for number in range(tasks):
        k, above = number % WIDTH, number - number % WIDTH - WIDTH
        upstream = {f"t{above + (k + step) % WIDTH:06}" for step in (0, 1, 7)} if above >= 0 else set[str]()
        specs.append(TaskSpec(f"t{number:06}", upstream=tuple(sorted(upstream)), is_async=True, executor="inline"))
    return DagSpec("bigrun", tuple(specs))


def _one_run(graph: Graph, number: int) -> _Times:
    run = RunRow(
        run_id=RunId(number),
        dag_id="bigrun",
        dag_run_id=f"manual__{number}",
        run_type=RunType.MANUAL,
        state=RunState.QUEUED,
        logical_date=NOW,
        interval_start=NOW,
        interval_end=NOW,
        queued_at=NOW,
        run_after=NOW,
        version_hash="0" * 64,
    )
    machine = RunMachine(run, graph, DagSource("dags", "0", "/dags/bigrun.py", "bigrun.py"))
    finishes = flushes = 0.0
    cause = 0
    began = time.thread_time()
    decision = Decision()
    machine.handle(RunActivated(Stamp(NOW, cause), {}), decision)
    while decision.ready:
        turn = Decision()
        for ready in decision.ready:
            cause += 1
            attempt = AttemptId(cause.to_bytes(16, "big"))
            machine.handle(Admitted(Stamp(NOW, cause), ready.node, attempt, True), turn)
        at = NOW + timedelta(milliseconds=cause)
        ends = [
            AttemptEnded(Stamp(at, cause + k), start.key.attempt, SUCCESS, at, at) for k, start in enumerate(turn.start)
        ]
        decision = Decision()
        before = time.thread_time()
        for end in ends:
            machine.handle(end, decision)
        after = time.thread_time()
        machine.flush()
        finishes += after - before
        flushes += time.thread_time() - after
    if decision.ended != [(run.run_id, RunState.SUCCESS)]:
        raise SystemExit(f"the run did not end as a success: {decision.ended}")
    return _Times(finishes, flushes, time.thread_time() - began)


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """evaluations_per_s: finished tasks that the rules take in a second, each with the decision about its
    successors; tasks_per_s: with admission and the rows to write besides.
    """
    tasks = size or TASKS
    graph = Graph(layered(tasks))
    gc.collect()
    gc.freeze()
    times = [_one_run(graph, k + 1) for k in range(REPEATS + 1)][1:]
    if samples is not None:
        write_lines(samples, [time._asdict() for time in times])
    finishes = statistics.median(one.finishes for one in times)
    return {
        "evaluations_per_s": round(tasks / finishes),
        "finish_us": round(finishes / tasks * 1e6, 2),
        "rows_us": round(statistics.median(one.flushes for one in times) / tasks * 1e6, 2),
        "tasks_per_s": round(tasks / statistics.median(one.whole for one in times)),
        "tasks": tasks,
    }
