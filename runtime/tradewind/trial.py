"""Runs one DAG once in this process: no database, no server, the same rules.

Everything is as in production but the store (in memory) and the executors (sync tasks run in
threads). Nothing is waited for that need not be: a retry follows at once, pools have room, and the
DAG's own schedule is left out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tradewind.authoring.dag import DAG
from tradewind.authoring.xcom import decode
from tradewind.config import Config, load_config
from tradewind.host import Parts, Runtime, load_executors
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.rows import AttemptRow, InstanceRow, PoolRow, RunRow
from tradewind.model.specs import DagSpec, Json
from tradewind.ports import LiveEvent, StoreReads, TriggerRequest
from tradewind.services.control import RuntimeControl
from tradewind.store.memory import MemoryStore

NO_LIMIT: Final = -1
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrialReport:
    """What came of it. `errors`: for each task whose last attempt failed, why, with the traceback; of a mapped
    task for each instance, as `task[3]`. `results`: what task instances returned, by (task id, map index).
    """

    run: RunRow
    instances: tuple[InstanceRow, ...]
    attempts: tuple[AttemptRow, ...]
    errors: Mapping[str, str]
    results: Mapping[tuple[str, int], object]


async def try_dag(
    dag: DAG,
    *,
    conf: Mapping[str, Json] | None = None,
    logical_date: datetime | None = None,
    on_event: Callable[[LiveEvent], None] | None = None,
    capture_output: bool = True,
) -> TrialReport:
    """Runs the DAG to its end. What tasks print goes to their logs, or, without `capture_output`,
    where it always goes. Raises ParamValidationError where `conf` does not fit its params.
    """
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="tradewind-test-")
    try:
        config = await asyncio.to_thread(load_config, overrides={"logging.folder": str(Path(folder, "logs"))})
        async with _alone(dag, config, capture_output=capture_output) as runtime:
            for pool in {task.pool for task in dag.tasks}:
                await runtime.pool_set(PoolRow(pool, NO_LIMIT))
            request = TriggerRequest(dag.dag_id, conf, logical_date=logical_date, unpause=True)
            return await _run(runtime.control, request, on_event)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _run(
    control: RuntimeControl, request: TriggerRequest, on_event: Callable[[LiveEvent], None] | None
) -> TrialReport:
    events = asyncio.ensure_future(_pass_on(control, on_event)) if on_event else None
    await asyncio.sleep(0)  # the listener is in place before the first event
    run = await control.run_trigger(request)
    run = await control.run_wait(run.run_id)
    report = await _report(control.reads, run)
    if events is not None:
        await asyncio.sleep(0)
        events.cancel()
        await asyncio.wait([events])
    return report


def run_dag(dag: DAG, conf: Mapping[str, Json] | None = None, logical_date: datetime | None = None) -> TrialReport:
    """`DAG.test()`: the same for code without a loop, such as the end of a DAG file."""
    return asyncio.run(try_dag(dag, conf=conf, logical_date=logical_date, capture_output=False))


@asynccontextmanager
async def _alone(dag: DAG, config: Config, *, capture_output: bool) -> AsyncGenerator[Runtime]:
    inline = (await asyncio.to_thread(load_executors))["inline"]
    kinds = {task.executor for task in dag.to_spec().tasks} | {"inline"}
    parts = Parts(
        store=MemoryStore(),
        executors=dict.fromkeys(sorted(kinds), inline),
        watch_files=False,
        executor_settings={"capture_output": capture_output},
        adapt=_at_once,
    )
    async with Runtime(config, dags=[dag], parts=parts) as runtime:
        yield runtime


def _at_once(spec: DagSpec) -> DagSpec:
    """Without a schedule of its own, and without pauses before retries."""
    tasks = tuple(dataclasses.replace(task, retry_delay=0.0, max_retry_delay=0.0, end_date=None) for task in spec.tasks)
    return dataclasses.replace(spec, tasks=tasks, end_date=_LONG_AGO)


async def _pass_on(control: RuntimeControl, on_event: Callable[[LiveEvent], None]) -> None:
    async for event in control.live_events():
        on_event(event)


async def _report(reads: StoreReads, run: RunRow) -> TrialReport:
    attempts = await reads.attempt_list(run.run_id)
    last = {(attempt.task_id, attempt.map_index): attempt for attempt in attempts}
    errors: dict[str, str] = {}
    for (task_id, map_index), attempt in last.items():
        detail = attempt.detail
        if not detail or attempt.kind is None or attempt.kind.value not in ("failed", "failed_for_good", "timed_out"):
            continue
        error = detail.get("error")
        name = task_id if map_index == UNMAPPED else f"{task_id}[{map_index}]"
        errors[name] = error["traceback"] if error else str(detail.get("reason"))
    instances = await reads.instance_list(run.run_id)
    stored = await reads.xcom_list(run.run_id)
    results = {(x.task_id, x.map_index): decode(x.value) for x in stored if x.key == RETURN_KEY}
    return TrialReport(run, tuple(instances), tuple(attempts), errors, results)
