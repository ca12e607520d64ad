"""How long tasks wait for slots, and their attempts for their executor, as the metrics tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.services.conftest import run_to_end
from tradewind import DAG, PythonOperator
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.executor_ports import Executor, ExecutorHost
from tradewind.host import Parts, Runtime
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.metrics import Distribution
from tradewind.model.outcomes import SUCCEEDED, Finished, Outcome
from tradewind.model.rows import PoolRow
from tradewind.model.states import OutcomeKind, RunState
from tradewind.services.clock import SystemClock
from tradewind.services.commit_counts import POOLS_NAMED
from tradewind.services.counting import OTHER
from tradewind.standard.time_sensors import DateTimeSensorAsync
from tradewind.store.memory import MemoryStore
from tradewind_executors.inline import InlineExecutor

NOON: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)


class StandingClock(SystemClock):
    """Its wall clock is moved by the test."""

    at = NOON

    def now(self) -> datetime:
        return self.at


class OnDemand:
    """An executor whose attempts begin and end when and as the test says."""

    kind = "demand"
    starts_at_once = False
    free_slots: int | None = None

    def __init__(self) -> None:
        self.taken: asyncio.Queue[AttemptKey] = asyncio.Queue()
        self.ends_at_once = False
        self._host: ExecutorHost | None = None

    async def start(self, host: ExecutorHost) -> None:
        self._host = host

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self.taken.put_nowait(attempt.key)
            if self.ends_at_once:
                self.end(attempt.key, NOON)

    def end(self, key: AttemptKey, began: datetime | None, outcome: Outcome = SUCCEEDED) -> None:
        assert self._host is not None
        if began is not None:
            self._host.began(key, hostname="there", pid=None)
        self._host.finished(key, Finished(key.attempt, outcome, began, began or NOON))

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None: ...

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        return set()

    async def stop(self, *, drain: timedelta | None) -> None: ...


@asynccontextmanager
async def at_noon(home: Path, dag: DAG) -> AsyncGenerator[tuple[Runtime, StandingClock, OnDemand]]:
    clock, executor = StandingClock(), OnDemand()
    config = await asyncio.to_thread(load_config, home, environ={})
    executors: dict[str, Executor] = {"inline": InlineExecutor(), executor.kind: executor}
    parts = Parts(store=MemoryStore(), clock=clock, executors=executors, watch_files=False)
    async with asyncio.timeout(60), Runtime(config, dags=[dag], parts=parts) as runtime:
        yield runtime, clock, executor


def told(runtime: Runtime, name: str) -> dict[str, Distribution]:
    (found,) = [metric for metric in runtime.services.meter.commits.metrics() if metric.name == name]
    seconds = {sample.labels[0]: sample.value for sample in found.samples}
    return {label: value for label, value in seconds.items() if isinstance(value, Distribution)}


def sizes(found: Distribution) -> dict[float | None, int]:
    """How many there were up to each bound; None: longer than all."""
    return {bound: count for bound, count in zip((*found.bounds, None), found.counts, strict=True) if count}


async def test_for_slots_and_for_the_executor(tmp_path: Path) -> None:
    """One slot: the second waits while the first runs, and again because its first attempt was lost before it began."""
    with DAG("d", schedule=None) as dag:
        for name in ("a", "b"):
            PythonOperator(task_id=name, python_callable=print, pool="one", executor="demand")
    async with at_noon(tmp_path, dag) as (runtime, clock, executor):
        await runtime.pool_set(PoolRow("one", 1))
        run = await runtime.control.run_trigger(TriggerRequest("d"))
        first = await executor.taken.get()
        clock.at = NOON + timedelta(seconds=40)
        executor.end(first, NOON + timedelta(seconds=2))
        second = await executor.taken.get()
        clock.at = NOON + timedelta(seconds=50)
        executor.end(second, None, Outcome(OutcomeKind.LOST, reason="the machine died"))
        again = await executor.taken.get()
        executor.end(again, NOON + timedelta(seconds=49))  # by a clock that is one second late
        assert (await runtime.control.run_wait(run.run_id)).state is RunState.SUCCESS
        scheduled = told(runtime, "task_scheduled_duration_seconds")
        assert scheduled.keys() == {"one"}
        assert (sizes(scheduled["one"]), scheduled["one"].total) == ({0.005: 2, 60.0: 1}, 40.0)
        queued = told(runtime, "task_queued_duration_seconds")
        assert queued.keys() == {"demand"}
        assert (sizes(queued["demand"]), queued["demand"].total) == ({0.005: 1, 5.0: 1}, 2.0)


async def test_a_task_that_its_trigger_ends_has_waited_for_nobody(tmp_path: Path) -> None:
    with DAG("d", schedule=None) as dag:
        DateTimeSensorAsync(
            task_id="past", target_time=NOON.isoformat(), start_from_trigger=True, end_from_trigger=True
        )
    async with at_noon(tmp_path, dag) as (runtime, _, _):
        assert (await run_to_end(runtime, "d")).state is RunState.SUCCESS
        assert told(runtime, "task_queued_duration_seconds") == {}
        assert told(runtime, "task_scheduled_duration_seconds") == {}


async def test_many_pools_become_few_series(tmp_path: Path) -> None:
    pools = [f"pool_{n:02}" for n in range(POOLS_NAMED + 3)]
    with DAG("d", schedule=None, max_active_tasks=100) as dag:
        for name in pools:
            PythonOperator(task_id=name, python_callable=print, pool=name, executor="demand")
    async with at_noon(tmp_path, dag) as (runtime, _, executor):
        executor.ends_at_once = True
        for name in pools:
            await runtime.services.store.pool_set(PoolRow(name, 1))
        await runtime.pool_set(PoolRow("and_another", 1))
        assert (await run_to_end(runtime, "d")).state is RunState.SUCCESS
        scheduled = told(runtime, "task_scheduled_duration_seconds")
        assert len(scheduled) == POOLS_NAMED + 1
        assert scheduled[OTHER].observed == 3
