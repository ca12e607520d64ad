"""A small world for tests of a store: a DAG, its runs, and short ways to move its tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tradewind.model.batch import AttemptClosed, AttemptOpened, Batch, Segment, TaskChange, XComRow
from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.rows import InstanceRow, Lease, ParsedFile, RunRow
from tradewind.model.specs import DagSource, DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState
from tradewind.ports import Store

NewStore = Callable[[], Awaitable[Store]]
"""Gives one more opened store on the same database: another process, as it were."""

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def spec_of(dag_id: str, *task_ids: str, paused: bool | None = None) -> DagSpec:
    """A DAG of tasks without edges; `paused` is its `is_paused_upon_creation`."""
    tasks = tuple(TaskSpec(task_id) for task_id in task_ids or ("a", "b"))
    return DagSpec(dag_id, tasks=tasks, is_paused_upon_creation=paused)


def source_of(file: str, *, bundle: str = "main", version: str = "1") -> DagSource:
    """Where a file lies."""
    return DagSource(bundle, version, f"/dags/{file}", file)


def file_of(file: str, *dags: DagSpec, error: str | None = None, code: str | None = "code") -> ParsedFile:
    """A parsed file of the bundle `main`."""
    return ParsedFile(source_of(file), dags, error, code=code)


def attempt_id(name: str) -> AttemptId:
    """Sixteen bytes that stand for a name."""
    return AttemptId(hashlib.sha256(name.encode()).digest()[:16])


def json_value(text: str) -> EncodedValue:
    """A value as JSON bytes."""
    return EncodedValue(CODEC_JSON, text.encode("utf-8", "surrogatepass"))


def run_row(number: int, spec: DagSpec, *, state: RunState = RunState.RUNNING) -> RunRow:
    """Run `number` of a DAG: its logical date is so many hours after noon."""
    at = NOON + timedelta(hours=number)
    return RunRow(
        run_id=RunId(number),
        dag_id=spec.dag_id,
        dag_run_id=f"manual__{number}",
        version_hash=spec.content_hash(),
        run_type=RunType.MANUAL,
        state=state,
        logical_date=at,
        interval_start=at,
        interval_end=at + timedelta(hours=1),
        queued_at=NOON,
        run_after=at,
    )


def instances_of(run: RunRow, spec: DagSpec) -> list[InstanceRow]:
    """Fresh instances of all tasks."""
    return [InstanceRow(run.run_id, task.task_id, max_tries=1) for task in spec.tasks]


def moved(
    task_id: str,
    expected: TaskState,
    state: TaskState,
    *,
    attempt: AttemptId | None = None,
    try_number: int = 1,
    map_index: int = UNMAPPED,
) -> TaskChange:
    """A change of one task instance."""
    started = NOON if state is TaskState.RUNNING else None
    return TaskChange(task_id, map_index, expected, state, try_number, 1, 0, NOON, started, None, None, attempt)


def opened(task_id: str, attempt: AttemptId, *, try_number: int = 1, map_index: int = UNMAPPED) -> AttemptOpened:
    """An attempt begins at noon."""
    return AttemptOpened(attempt, task_id, map_index, try_number, "local", "default_pool", 1, NOON)


def closed(attempt: AttemptId, kind: OutcomeKind = OutcomeKind.SUCCESS) -> AttemptClosed:
    """It ends a second later."""
    return AttemptClosed(attempt, kind, NOON + timedelta(seconds=1), None, "host-1", 42, b'{"reason":"done"}')


def xcom(task_id: str, key: str, value: str | None, *, map_index: int = UNMAPPED) -> XComRow:
    """A value under a key; None deletes it."""
    return XComRow(task_id, map_index, key, EncodedValue(0, b"") if value is None else json_value(value))


@dataclass(slots=True)
class World:
    """A store that has joined, with one published DAG and as many runs as are asked for."""

    store: Store
    lease: Lease
    spec: DagSpec
    runs: list[RunRow] = field(default_factory=list[RunRow])

    async def run(self, number: int = 1, *, state: RunState = RunState.RUNNING) -> RunRow:
        """One more run with all its instances."""
        row = run_row(number, self.spec, state=state)
        assert await self.store.run_create(self.lease, row, instances_of(row, self.spec))
        self.runs.append(row)
        return row

    def segment(self, run: RunRow, *tasks: TaskChange) -> Segment:
        """A segment of a run with these changes."""
        return Segment(run.run_id, run.dag_id, list(tasks))

    async def apply(self, *segments: Segment) -> int:
        """Commits segments as one batch."""
        return await self.store.batch_apply(self.lease, Batch(list(segments)))

    async def start(self, run: RunRow, task_id: str, attempt: str | None = None) -> AttemptId:
        """Commits the start of a task: none to running, with an attempt."""
        key = attempt_id(attempt or f"{run.run_id}/{task_id}")
        segment = self.segment(run, moved(task_id, TaskState.NONE, TaskState.RUNNING, attempt=key))
        segment.opened.append(opened(task_id, key))
        await self.apply(segment)
        return key

    async def states(self, run: RunRow) -> dict[str, TaskState]:
        """State of each task of a run."""
        return {row.task_id: row.state for row in await self.store.instance_list(run.run_id)}


async def new_world(new_store: NewStore, *, dag_id: str = "etl", task_ids: Sequence[str] = ("a", "b")) -> World:
    """A store of its own, joined, with one DAG."""
    store = await new_store()
    lease = await store.runtime_join("first")
    spec = spec_of(dag_id, *task_ids)
    await store.dag_publish(lease, "main", [file_of(f"{dag_id}.py", spec)])
    return World(store, lease, spec)


async def join(new_store: NewStore, name: str = "second") -> tuple[Store, Lease]:
    """Another process joins."""
    store = await new_store()
    return store, await store.runtime_join(name)
