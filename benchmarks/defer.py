"""How long from a deferral, through a trigger that fires at once, to the first line of the method that goes on?"""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks import floors
from benchmarks.samples import check_count, moments_in_this_process, percentiles
from benchmarks.stage import run, stage

SOURCE = """
from time import perf_counter_ns

from tradewind import DAG, BaseOperator
from tradewind.authoring.triggers import Trigger, TriggerEvent, trigger

TRADEWIND_BENCH_MOMENTS = []


@trigger(kind="bench.at_once")
class AtOnce(Trigger):
    async def run(self):
        yield TriggerEvent(None)


class Again(BaseOperator):
    async def execute(self, context):
        self.next(0)

    async def go_on(self, context, n, event=None):
        TRADEWIND_BENCH_MOMENTS.append(perf_counter_ns())
        if n < {deferrals}:
            self.next(n)

    def next(self, n):
        TRADEWIND_BENCH_MOMENTS.append(perf_counter_ns())
        self.defer(trigger=AtOnce(), method_name="go_on", kwargs={{"n": n + 1}})


with DAG("defer", schedule=None, is_paused_upon_creation=False):
    Again(task_id="again")
"""

RUNS = 5
DEFERRED = "select count(*) from attempt where run_id=$1 and kind='deferred'"


async def _measure(deferrals: int) -> dict[str, object]:
    async with stage({"defer.py": SOURCE.format(deferrals=deferrals)}) as st:
        gaps: list[float] = []
        walls: list[float] = []
        await st.run_dag("defer")
        moments_in_this_process()
        for _ in range(RUNS):
            finished, seconds = await st.run_dag("defer")
            moments = moments_in_this_process()
            await check_count(st, finished, "deferred attempts", DEFERRED, deferrals)
            gaps += [(after - before) / 1e6 for before, after in zip(moments[::2], moments[1::2], strict=True)]
            walls.append(seconds)
        floor = await floors.commits_in_a_row(st.database, deferrals)
        figures = percentiles(gaps)
        return {
            **figures,
            "wall_s": round(statistics.median(walls), 4),
            "deferrals": deferrals,
            "runs": RUNS,
            "floor_ms": round(floor, 3),
            "ratio_to_floor": round(floor / figures["p50_ms"], 3),
            "sweep_finds": st.sweep_finds,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """p50_ms, p99_ms: from `defer()` to the method that goes on. The floor is two commits: the wait, and its answer
    with the start of the attempt that goes on.
    """
    return run(_measure(size or 100))
