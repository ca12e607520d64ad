"""A small `Control` over any store, and the DAGs, runs and logins that the web tests look at.

It carries every wish out itself, through the store's own writes: what `host.Runtime` does by
scheduling, a test does by calling `finish` and the like.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from tradewind.authoring.connection import Connection
from tradewind.control_ports import Health, LiveEvent, TriggerRequest
from tradewind.model.assets import AssetEvent
from tradewind.model.batch import (
    AttemptClosed,
    AttemptOpened,
    Batch,
    DagChange,
    DroppedRow,
    RunChange,
    Segment,
    TaskChange,
    XComRow,
)
from tradewind.model.errors import ConflictError, DagPausedError, NotFoundError
from tradewind.model.keys import UNMAPPED, AttemptId, RunId, run_id_of
from tradewind.model.loop import LoopReport
from tradewind.model.metrics import Metric
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.rows import DagRow, InstanceRow, Lease, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import FINISHED, RUN_FINISHED, OutcomeKind, RunState, RunType, TaskState
from tradewind.model.waits import Signal
from tradewind.model.watches import WatchFacts
from tradewind.ports import NamedWrites, Store, StoreReads
from tradewind.rules.due import keyed_run_id
from tradewind.services.event_runs import take_in_event

QUEUE_SIZE = 100


class LocalControl:
    """One process, one lease, no scheduler."""

    def __init__(self, store: Store, lease: Lease, log_root: Path) -> None:
        self._store = store
        self._lease = lease
        self.signals: list[Signal] = []
        self._log_root = log_root
        self._listeners: list[tuple[str | None, asyncio.Queue[LiveEvent]]] = []
        self._changed = asyncio.Condition()
        self.nobody_listens = asyncio.Event()
        self._draws = 0
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.database_works = True
        self.loop = LoopReport()
        self.watchers: tuple[WatchFacts, ...] = ()
        self.figures: tuple[Metric, ...] = ()

    @property
    def reads(self) -> StoreReads:
        return self._store

    @property
    def named(self) -> NamedWrites:
        return self._store

    @property
    def log_root(self) -> str:
        return str(self._log_root)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    async def run_trigger(self, request: TriggerRequest) -> RunRow:
        row = await self._dag(request.dag_id)
        if row.is_paused and not request.unpause:
            raise DagPausedError(f"{row.dag_id} is paused: unpause it, or trigger with unpause")
        if row.is_paused:
            await self.dag_pause(row.dag_id, paused=False)
        version = await self._store.dag_version_get(row.dag_id)
        assert version is not None
        self._draws += 1
        logical = request.logical_date or self.now + timedelta(seconds=self._draws)
        run = RunRow(
            run_id_of(int(self.now.timestamp() * 1000), self._draws),
            row.dag_id,
            request.dag_run_id or f"manual__{logical.isoformat()}",
            row.version_hash,
            request.run_type,
            RunState.QUEUED,
            logical,
            logical,
            logical,
            self.now,
            self.now,
            conf=None if request.conf is None else EncodedValue(CODEC_JSON, orjson.dumps(request.conf)),
            external_trigger=request.run_type is RunType.MANUAL,
            note=request.note,
            run_key=request.partition_key,
        )
        instances = [InstanceRow(run.run_id, task.task_id, max_tries=task.retries + 1) for task in version.spec.tasks]
        if not await self._store.run_create(self._lease, run, instances):
            raise ConflictError(f"{row.dag_id} already has a run {run.dag_run_id!r}")
        await self._tell(LiveEvent("run", run.dag_id, run.dag_run_id, run=run))
        return run

    async def run_request(self, request: TriggerRequest, key: str) -> str:
        dag_run_id = keyed_run_id(request.run_type, key)
        row = await self._dag(request.dag_id)
        with contextlib.suppress(ConflictError):
            await self.run_trigger(replace(request, dag_id=row.dag_id, dag_run_id=dag_run_id, unpause=True))
        return dag_run_id

    async def event_take_in(
        self, name: str, payload: Mapping[str, Json], key: str | None = None
    ) -> tuple[AssetEvent, bool]:
        return await take_in_event(self._store, name, payload, key)

    def assets_changed(self) -> None: ...

    async def secret(self, place: str) -> str | None:
        kind, _, name = place.partition(":")
        if kind == "variable":
            return await self._store.variable_get(name)
        found = await self._store.connection_get(name)
        return None if found is None else Connection.from_text(name, found).password

    async def dag_pause(self, dag_id: str, *, paused: bool) -> DagRow:
        await self._dag(dag_id)
        await self._store.batch_apply(self._lease, Batch(dags=[DagChange(dag_id, is_paused=paused)]))
        row = await self._dag(dag_id)
        await self._tell(LiveEvent("dag", dag_id, dag=row))
        return row

    async def instances_clear(
        self,
        dag_id: str,
        dag_run_id: str,
        task_ids: Sequence[str],
        *,
        downstream: bool = True,
        map_indexes: Mapping[str, Sequence[int]] | None = None,
    ) -> list[InstanceRow]:
        run = await self._run(dag_id, dag_run_id)
        assert not downstream, "the web chooses what follows itself"
        rows = await self._store.instance_list(run.run_id)
        ended = [row.task_id for row in rows if row.task_id in task_ids and row.state in FINISHED]
        cleared = [await self.move(run, task_id, TaskState.NONE) for task_id in ended]
        if run.state in RUN_FINISHED and cleared:
            await self.move_run(run, RunState.QUEUED)
        return cleared

    async def run_cancel(self, dag_id: str, dag_run_id: str) -> RunRow:
        return await self.move_run(await self._run(dag_id, dag_run_id), RunState.FAILED)

    async def signal_send(self, dag_id: str, dag_run_id: str, signal: Signal) -> bool:
        await self._run(dag_id, dag_run_id)
        self.signals.append(signal)
        return True

    async def why_waiting(self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = -1) -> tuple[str, ...]:
        run = await self._run(dag_id, dag_run_id)
        return (f"nothing schedules {task_id} of {run.dag_run_id} here",)

    async def run_wait(self, run_id: RunId, timeout: float | None = None) -> RunRow:
        async with asyncio.timeout(timeout), self._changed:
            while True:
                run = await self._store.run_by_id(run_id)
                if run is not None and run.state in RUN_FINISHED:
                    return run
                await self._changed.wait()

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        del what, dag_id
        await asyncio.sleep(0 if since < 0 else seconds)
        return 0

    async def live_events(self, dag_id: str | None = None) -> AsyncGenerator[LiveEvent]:
        queue: asyncio.Queue[LiveEvent] = asyncio.Queue(QUEUE_SIZE)
        entry = (dag_id, queue)
        self._listeners.append(entry)
        self.nobody_listens.clear()
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(entry)
            if not self._listeners:
                self.nobody_listens.set()

    def health(self) -> Health:
        return Health(self.database_works, True, self.now, "0.1.0")

    def loop_report(self) -> LoopReport:
        return self.loop

    async def metrics(self) -> Sequence[Metric]:
        return self.figures

    def watches(self) -> Sequence[WatchFacts]:
        """What a test says: it carries nothing out."""
        return self.watchers

    # -- what a scheduler would do

    async def tell(self, event: LiveEvent) -> None:
        """Sends an event to every listener."""
        await self._tell(event)

    async def begin(self, run: RunRow, task_id: str, try_number: int = 1) -> AttemptId:
        """An attempt of a task begins."""
        attempt = AttemptId(f"{task_id:>14.14}{try_number:02}".encode())
        opened = AttemptOpened(attempt, task_id, -1, try_number, "local", "default_pool", 1, self.now)
        await self.move(run, task_id, TaskState.RUNNING, opened=opened)
        return attempt

    async def finish(self, run: RunRow, task_id: str, *, value: object = None, failed: str | None = None) -> None:
        """The running attempt of a task ends, with a return value or an error."""
        row = await self._store.instance_get(run.run_id, task_id)
        assert row is not None
        assert row.attempt is not None
        detail = None if failed is None else orjson.dumps({"error": failed})
        kind = OutcomeKind.SUCCESS if failed is None else OutcomeKind.FAILED
        closed = AttemptClosed(row.attempt, kind, self.now + timedelta(seconds=2), self.now, "host-1", 4711, detail)
        encoded = EncodedValue(CODEC_JSON, orjson.dumps(value))
        xcoms = [] if value is None else [XComRow(task_id, -1, "return_value", encoded)]
        state = TaskState.SUCCESS if failed is None else TaskState.FAILED
        await self.move(run, task_id, state, closed=closed, xcoms=xcoms)

    async def move(
        self,
        run: RunRow,
        task_id: str,
        state: TaskState,
        *,
        opened: AttemptOpened | None = None,
        closed: AttemptClosed | None = None,
        xcoms: Sequence[XComRow] = (),
    ) -> InstanceRow:
        """A task instance goes into another state."""
        row = await self._store.instance_get(run.run_id, task_id)
        assert row is not None
        change = TaskChange(
            task_id,
            row.map_index,
            row.state,
            state,
            opened.try_number if opened else row.try_number,
            row.max_tries,
            0,
            self.now,
            self.now if opened else row.started_at,
            closed.ended_at if closed else None,
            None,
            opened.attempt if opened else None,
        )
        segment = Segment(run.run_id, run.dag_id, [change], xcoms=list(xcoms))
        segment.opened = [opened] if opened else []
        segment.closed = [closed] if closed else []
        await self._store.batch_apply(self._lease, Batch([segment]))
        after = await self._store.instance_get(run.run_id, task_id)
        assert after is not None
        await self._tell(LiveEvent("task", run.dag_id, run.dag_run_id, items=(after,)))
        return after

    async def expand(
        self, run: RunRow, task_id: str, labels: Sequence[str | None], failed: Collection[int] = ()
    ) -> None:
        """A task that waits gets instances, each of which has run; their ends say how their indexes are shown."""
        segment = Segment(run.run_id, run.dag_id)
        segment.dropped.append(DroppedRow(task_id, UNMAPPED, UNMAPPED, TaskState.NONE))
        for index, label in enumerate(labels):
            state = TaskState.FAILED if index in failed else TaskState.SUCCESS
            values = (task_id, index, state, state, 1, 0, 0, self.now, self.now, self.now, None, None)
            segment.made.append(TaskChange(*values))
            key = AttemptId(index.to_bytes(16, "big"))
            segment.opened.append(AttemptOpened(key, task_id, index, 1, "local", "default_pool", 1, self.now))
            detail = None if label is None else orjson.dumps({"reason": None, "map_index_label": label})
            kind = OutcomeKind.FAILED if index in failed else OutcomeKind.SUCCESS
            segment.closed.append(AttemptClosed(key, kind, self.now, detail=detail))
        await self._store.batch_apply(self._lease, Batch([segment]))

    async def move_run(self, run: RunRow, state: RunState) -> RunRow:
        """A run goes into another state."""
        now = await self._run(run.dag_id, run.dag_run_id)
        ended = self.now + timedelta(seconds=5) if state in RUN_FINISHED else None
        started = None if state is RunState.QUEUED else self.now
        change = RunChange(now.state, state, started, ended, orjson.dumps({}))
        segment = Segment(run.run_id, run.dag_id, run=change)
        await self._store.batch_apply(self._lease, Batch([segment]))
        after = await self._run(run.dag_id, run.dag_run_id)
        await self._tell(LiveEvent("run", run.dag_id, run.dag_run_id, run=after))
        return after

    async def _tell(self, event: LiveEvent) -> None:
        for dag_id, queue in self._listeners:
            if dag_id in (None, event.dag_id):
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(event)
        async with self._changed:
            self._changed.notify_all()

    async def _dag(self, dag_id: str) -> DagRow:
        row = await self._store.dag_get(dag_id)
        if row is None:
            raise NotFoundError(f"there is no DAG {dag_id!r}")
        return row

    async def _run(self, dag_id: str, dag_run_id: str) -> RunRow:
        run = await self._store.run_get(dag_id, dag_run_id)
        if run is None:
            raise NotFoundError(f"there is no run {dag_run_id!r} of {dag_id}")
        return run
