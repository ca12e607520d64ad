"""Runs one DAG once in this process: no database, no server, the same rules.

Everything is as in production but the store (in memory) and, unless the usual ones are asked for, the executors
(sync tasks run in threads). Nothing is waited for that need not be: a retry follows at once, pools have room, and
the DAG's own schedule is left out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import orjson

from tradewind.authoring.dag import DAG
from tradewind.authoring.loop_clients import clients_here
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.pace import current_pace
from tradewind.authoring.xcom import decode
from tradewind.config import Config, load_config
from tradewind.control_ports import LiveEvent, TriggerRequest
from tradewind.database import StoredOnDemand
from tradewind.executor_ports import Executor
from tradewind.host import Parts, Runtime
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.rows import AttemptRow, InstanceRow, PoolRow, RunRow, XComEntry
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import RunState, TaskState
from tradewind.ports import StoreReads
from tradewind.services.control import RuntimeControl
from tradewind.services.executor_loading import load_executors
from tradewind.store.memory import MemoryStore
from tradewind.trial_executors import MARKED, MarkingExecutor, ShownExecutor
from tradewind.trial_output import TaskOutput, logging_shown
from tradewind.trial_time import SkippingClock, SkippingLoop, SkippingPace
from tradewind.trial_watch import TrialWatch, Unanswered, run_ended
from tradewind.worker.callers_thread import CallersThread
from tradewind.worker.log_inline import record_tee

NO_LIMIT: Final = -1
_settings: ContextVar[Mapping[str, str]] = ContextVar("tradewind_trial_settings")
"""Options of the configuration, `section.key`, for the trials that begin in this context."""
_NOBODY_LOOKS: Final = {"scheduler.beat_alone": "86400"}
"""For its beats, while days may pass in a moment."""
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """Which tasks run, and by what.

    `marked`: tasks whose whole id matches are a success without running: they leave no result and send no events, and
    their callbacks are not called. `use_executor`: each task runs by the executor that it has in production, sync ones
    in processes of their own that load the DAG's file; what they say is shown when they end. `run_after`: what tasks
    see as such; by default the logical date. The run begins at once.
    """

    only_task: str | None = None
    marked: re.Pattern[str] | None = None
    use_executor: bool = False
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrialReport:
    """What came of it. `errors`: for each task whose last attempt failed, why, with the traceback; of a mapped
    task for each instance, as `task[3]`. `results`: what task instances returned, by (task id, map index).
    `waiting`: where the time was over before the run was, what each unfinished task waited for.
    """

    run: RunRow
    instances: tuple[InstanceRow, ...]
    attempts: tuple[AttemptRow, ...]
    errors: Mapping[str, str]
    results: Mapping[tuple[str, int], object]
    xcoms: tuple[XComEntry, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def dag_id(self) -> str:
        """The DAG."""
        return self.run.dag_id

    @property
    def run_id(self) -> str:
        """The run's id, as tasks saw it."""
        return self.run.dag_run_id

    @property
    def state(self) -> RunState:
        """How the run ended."""
        return self.run.state

    def get_task_instances(self, state: Iterable[TaskState] | None = None) -> list[InstanceRow]:
        """The task instances, of these states only where some are given."""
        wanted = None if state is None else {state} if isinstance(state, str) else set(state)
        return [row for row in self.instances if wanted is None or row.state in wanted]

    def get_task_instance(self, task_id: str, map_index: int = UNMAPPED) -> InstanceRow | None:
        """One task instance; None where there is none."""
        return next((row for row in self.instances if (row.task_id, row.map_index) == (task_id, map_index)), None)


async def try_dag(
    dag: DAG,
    *,
    conf: Mapping[str, Json] | None = None,
    logical_date: datetime | None = None,
    watch: TrialWatch | None = None,
    capture_output: bool = True,
    data_interval: tuple[datetime, datetime] | None = None,
    plan: TrialPlan | None = None,
) -> TrialReport:
    """Runs the DAG to its end, or what the plan says of it. What tasks print goes to their logs, or, without
    `capture_output`, where it always goes.

    On a `SkippingLoop` sensors do not wait.

    Raises ParamValidationError where `conf` does not fit its params, AuthoringError where executors cannot be used.
    """
    watch, plan = watch or TrialWatch(), plan or TrialPlan()
    record_tee.set(watch.on_record)
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="tradewind-test-")
    try:
        settings = {"logging.folder": str(Path(folder, "logs")), **_NOBODY_LOOKS, **_settings.get({})}
        config = await asyncio.to_thread(load_config, overrides=settings)
        executors = await asyncio.to_thread(_executors, dag, plan, watch)
        async with _alone(dag, config, executors, plan, capture_output=capture_output) as runtime:
            for pool in {task.pool for task in dag.tasks}:
                await runtime.pool_set(PoolRow(pool, NO_LIMIT))
            request = TriggerRequest(
                dag.dag_id,
                conf,
                logical_date=logical_date,
                unpause=True,
                external=False,
                data_interval=data_interval,
                run_after=plan.run_after,
            )
            return await _run(runtime.control, request, watch)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _run(control: RuntimeControl, request: TriggerRequest, watch: TrialWatch) -> TrialReport:
    told = None if watch.on_unanswered is None else Unanswered(control, watch.on_unanswered)
    hears = [hear for hear in (watch.on_event, None if told is None else told.see) if hear is not None]
    events = asyncio.ensure_future(_pass_on(control, hears)) if hears else None
    await asyncio.sleep(0)  # the listener is in place before the first event
    try:
        run = await control.run_trigger(request)
        waiting = await run_ended(control, run, watch.timeout)
    finally:
        if told is not None:
            await told.stop()
    run = await control.run_wait(run.run_id)
    report = dataclasses.replace(await _report(control.reads, run), waiting=waiting)
    if events is not None:
        await asyncio.sleep(0)
        events.cancel()
        await asyncio.wait([events])
    return report


def run_dag(  # noqa: PLR0913 - the arguments of Airflow's dag.test(), by name
    dag: DAG,
    conf: Mapping[str, Json] | datetime | None = None,
    logical_date: datetime | Mapping[str, Json] | None = None,
    *,
    execution_date: datetime | None = None,
    run_conf: Mapping[str, Json] | None = None,
    conn_file_path: str | None = None,
    variable_file_path: str | None = None,
    use_executor: bool = False,
    mark_success_pattern: re.Pattern[str] | str | None = None,
    run_after: datetime | None = None,
) -> TrialReport:
    """`DAG.test()`: the same for code without a loop, such as the end of a DAG file. What operators say and why
    tasks fail is printed, with the task's name. `execution_date` and `run_conf`: Airflow's names of the two.

    `conn_file_path`, `variable_file_path`: files (JSON, YAML or env) of connections and variables for this run, which
    are asked before all others. `mark_success_pattern`, `use_executor`, `run_after`: see `TrialPlan`.
    """
    conf, date = _told_apart(dag.dag_id, conf or run_conf, logical_date or execution_date)
    plan = TrialPlan(None, marking(mark_success_pattern), use_executor, _instant(run_after))
    files = {"connections_file_path": conn_file_path, "variables_file_path": variable_file_path}
    if conn_file_path or variable_file_path:
        kept = orjson.dumps({name: str(path) for name, path in files.items() if path}).decode()
        backend = "tradewind.services.secrets_local_files.LocalFilesystemBackend"
        _settings.set({"secrets.backend": backend, "secrets.backend_kwargs": kept})
    else:
        _settings.set({})
    watch = TrialWatch(on_record=TaskOutput(sys.stdout).record, on_unanswered=partial(print, file=sys.stderr))
    with logging_shown():
        return asyncio.run(
            try_dag(dag, conf=conf, logical_date=_instant(date), watch=watch, capture_output=False, plan=plan)
        )


def _told_apart(dag_id: str, *given: object) -> tuple[Mapping[str, Json] | None, datetime | None]:
    """The conf and the date, which Airflow has the other way round where they are given by position."""
    conf: Mapping[str, Json] | None = None
    date: datetime | None = None
    for value in given:
        if isinstance(value, Mapping) and conf is None:
            conf = cast("Mapping[str, Json]", value)
        elif isinstance(value, datetime) and date is None:
            date = value
        elif value is not None:
            raise AuthoringError(
                f"DAG {dag_id!r}: test() takes one conf (a dict) and one logical date (a datetime); {value!r} is "
                "neither, or one too many"
            )
    return conf, date


def marking(pattern: re.Pattern[str] | str | None) -> re.Pattern[str] | None:
    """The regular expression for `TrialPlan.marked`. Raises AuthoringError for what is none."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
        compiled.fullmatch("")  # refuses patterns of bytes
    except (re.error, TypeError) as error:
        raise AuthoringError(f"mark_success_pattern: {pattern!r} is no regular expression of text: {error}") from error
    return compiled


def run_task(
    task: BaseOperator,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    **unused: Any,
) -> list[TrialReport]:
    """`BaseOperator.run()`: this task alone, once for each run of the DAG's schedule with a logical date from
    `start_date` to `end_date` (both included; the first by default, and that one run only), rendered and with its
    whole context. Sync code runs in the calling thread, where a debugger stops in it. `unused`: Airflow's
    `ignore_ti_state` and the like, without meaning where nothing is kept.

    Raises AuthoringError if the task is in no DAG or the schedule has no such run, TaskFailed with the
    traceback if the task fails.
    """
    dag = task.dag
    if not isinstance(dag, DAG):
        raise AuthoringError(f"task {task.task_id!r} is in no DAG: run() asks the schedule of its DAG for dates")
    first = _instant(start_date or task.start_date or dag.start_date)
    last = _instant(end_date) if end_date is not None else first
    if last is None:
        raise AuthoringError(f"task {task.task_id!r} of DAG {dag.dag_id!r}: run() needs a start_date")
    reports: list[TrialReport] = []
    for info in dag.iter_dagrun_infos_between(first, last):
        interval = (info.data_interval.start, info.data_interval.end)
        trial = try_dag(
            dag,
            logical_date=info.logical_date,
            capture_output=False,
            data_interval=interval,
            plan=TrialPlan(task.task_id),
        )
        report = CallersThread().run(trial)
        if report.errors:
            error = "\n".join(report.errors.values())
            raise TaskFailed(f"task {task.task_id!r} for {info.logical_date.isoformat()} failed:\n{error}")
        reports.append(report)
    if not reports:
        raise AuthoringError(
            f"task {task.task_id!r}: the schedule of DAG {dag.dag_id!r} ({dag.timetable.summary}) has no run from "
            f"{first} to {last}"
        )
    return reports


def _instant(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _executors(dag: DAG, plan: TrialPlan, watch: TrialWatch) -> dict[str, Executor]:
    """Who carries the tasks, by the kinds that the DAG's tasks name."""
    found = load_executors()
    kinds = {task.executor for task in _planned(dag.to_spec(), plan).tasks} - {MARKED}
    marked: dict[str, Executor] = {MARKED: MarkingExecutor()}
    if not plan.use_executor:
        return dict.fromkeys(sorted(kinds | {"inline"}), found["inline"]) | marked
    elsewhere = {kind: executor for kind, executor in found.items() if kind in kinds and kind != "inline"}
    if elsewhere and not Path(dag.fileloc or "").is_file():
        raise AuthoringError(
            f"DAG {dag.dag_id!r} was made in {dag.fileloc!r}, which is no file, so its tasks cannot run in other "
            "processes: write it into a file, or leave use_executor out"
        )
    if watch.on_record is not None:
        elsewhere = {kind: ShownExecutor(executor, watch.on_record) for kind, executor in elsewhere.items()}
    return {"inline": found["inline"], **elsewhere, **marked}


@asynccontextmanager
async def _alone(
    dag: DAG, config: Config, executors: Mapping[str, Executor], plan: TrialPlan, *, capture_output: bool
) -> AsyncGenerator[Runtime]:
    loop = asyncio.get_running_loop()
    clock: SkippingClock | None = None
    if isinstance(loop, SkippingLoop):
        if plan.use_executor:
            raise AuthoringError("time cannot be skipped for tasks in other processes: leave use_executor out")
        current_pace.set(SkippingPace(loop))
        clock = SkippingClock(loop)
    parts = Parts(
        store=MemoryStore(),
        clock=clock,
        executors=executors,
        watch_files=False,
        executor_settings={"capture_output": capture_output},
        adapt=partial(_at_once, plan=plan),
        stored=StoredOnDemand(config),
        files_elsewhere=plan.use_executor,
    )
    async with Runtime(config, dags=[dag], parts=parts) as runtime:
        if clock is not None:
            clients_here().lingers = False  # while their sockets are open no time is skipped
        yield runtime


def _at_once(spec: DagSpec, plan: TrialPlan) -> DagSpec:
    """Without a schedule of its own, and without pauses before retries."""
    spec = _planned(spec, plan)
    tasks = tuple(dataclasses.replace(task, retry_delay=0.0, max_retry_delay=0.0, end_date=None) for task in spec.tasks)
    return dataclasses.replace(spec, tasks=tasks, end_date=_LONG_AGO)


def _planned(spec: DagSpec, plan: TrialPlan) -> DagSpec:
    """The one task alone, if one is named; those to be marked with the executor that does."""
    tasks = spec.tasks
    if plan.only_task is not None:
        tasks = tuple(dataclasses.replace(task, upstream=()) for task in tasks if task.task_id == plan.only_task)
    if plan.marked is not None:
        whole = plan.marked.fullmatch
        tasks = tuple(_marked(task) if whole(task.task_id) else task for task in tasks)
    return dataclasses.replace(spec, tasks=tasks)


def _marked(task: TaskSpec) -> TaskSpec:
    return dataclasses.replace(task, executor=MARKED, starts_deferred=None)


async def _pass_on(control: RuntimeControl, hears: Sequence[Callable[[LiveEvent], None]]) -> None:
    async for event in control.live_events():
        for hear in hears:
            hear(event)


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
    return TrialReport(run, tuple(instances), tuple(attempts), errors, results, tuple(stored))
