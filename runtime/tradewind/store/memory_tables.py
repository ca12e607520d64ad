"""The tables of the memory store, and a batch applied to them: validated first, then written.

Rows of the hot path are kept as they came in (a `TaskChange` holds all columns of its instance) and
made into the model's rows when somebody reads them: the simulation writes far more than it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import orjson

from tradewind.model.batch import AttemptClosed, AttemptOpened, Batch, HistoryRow, RunChange, Segment, TaskChange
from tradewind.model.durable import Step
from tradewind.model.errors import BatchConflict, Fenced
from tradewind.model.keys import AttemptId, RunId, RuntimeId
from tradewind.model.outcomes import DELETED, EncodedValue, stays_until_purged
from tradewind.model.rows import (
    AttemptRow,
    DagRow,
    DagVersionRow,
    ImportErrorRow,
    InstanceRow,
    Lease,
    LengthRow,
    MailRow,
    MissedDeadlineRow,
    OutboxItem,
    PoolRow,
    RunRow,
    UserRow,
    VariableRow,
)
from tradewind.model.state_stores import KeptState, StateScope
from tradewind.model.waits import WaitGone, WaitRow
from tradewind.store.bounds import require_one_segment_a_run
from tradewind.store.memory_asset_tables import AssetTables

Place = tuple[str, int]
"""Task id and map index within a run."""


@dataclass(slots=True)
class RuntimeRecord:
    """A runtime's row. `locked` while the process that joined lives."""

    name: str
    epoch: int = 1
    beat: int = 0
    seq: int = 0
    alive: bool = True
    locked: bool = True


class EndedAttempt(NamedTuple):
    """An attempt that was closed."""

    opened: AttemptOpened
    closed: AttemptClosed


@dataclass(slots=True)
class RunTables:
    """Everything of one run."""

    row: RunRow
    change: RunChange | None = None
    """The latest values of the run's own row."""
    instances: dict[Place, InstanceRow | TaskChange] = field(default_factory=dict[Place, InstanceRow | TaskChange])
    live: dict[AttemptId, AttemptOpened] = field(default_factory=dict[AttemptId, AttemptOpened])
    live_places: dict[Place, AttemptId] = field(default_factory=dict[Place, AttemptId])
    ended: list[EndedAttempt] = field(default_factory=list[EndedAttempt])
    history: dict[Place, list[HistoryRow]] = field(default_factory=dict[Place, list[HistoryRow]])
    lengths: dict[tuple[str, int, str], LengthRow] = field(default_factory=dict[tuple[str, int, str], LengthRow])
    waits: dict[tuple[str, int, str], WaitRow] = field(default_factory=dict[tuple[str, int, str], WaitRow])
    steps: dict[Place, dict[str, Step]] = field(default_factory=dict[Place, dict[str, Step]])
    xcoms: dict[Place, dict[str, tuple[EncodedValue, datetime]]] = field(
        default_factory=dict[Place, dict[str, tuple[EncodedValue, datetime]]]
    )

    def run(self) -> RunRow:
        """The run's row as it is now."""
        change = self.change
        if change is None:
            return self.row
        return replace(
            self.row,
            state=change.state,
            started_at=change.started_at,
            ended_at=change.ended_at,
            counts=orjson.loads(change.counts),
        )

    def instance(self, place: Place) -> InstanceRow | None:
        """One instance as it is now."""
        found = self.instances.get(place)
        if found is None or isinstance(found, InstanceRow):
            return found
        row = InstanceRow(self.row.run_id, found.task_id, found.map_index, *found[3:])
        self.instances[place] = row
        return row

    def instance_rows(self) -> list[InstanceRow]:
        """All instances, by task id and map index."""
        rows = (self.instance(place) for place in sorted(self.instances))
        return [row for row in rows if row is not None]

    def attempt_rows(self) -> list[AttemptRow]:
        """Ended and live attempts in the order they began."""
        rows = [self._attempt(ended.opened, ended.closed) for ended in self.ended]
        rows += [self._attempt(opened, None) for opened in self.live.values()]
        return sorted(rows, key=_beginning)

    def live_rows(self) -> list[AttemptRow]:
        """Live attempts in the order they began."""
        return sorted((self._attempt(opened, None) for opened in self.live.values()), key=_beginning)

    def _attempt(self, opened: AttemptOpened, closed: AttemptClosed | None) -> AttemptRow:
        started = opened.started_at if closed is None or closed.started_at is None else closed.started_at
        return AttemptRow(
            run_id=self.row.run_id,
            attempt=opened.attempt,
            task_id=opened.task_id,
            map_index=opened.map_index,
            try_number=opened.try_number,
            executor=opened.executor,
            pool=opened.pool,
            pool_slots=opened.pool_slots,
            started_at=started,
            ended_at=None if closed is None else closed.ended_at,
            kind=None if closed is None else closed.kind,
            hostname=None if closed is None else closed.hostname,
            pid=None if closed is None else closed.pid,
            detail=None if closed is None or closed.detail is None else orjson.loads(closed.detail),
        )


class StoredMail(NamedTuple):
    """A row of the inbox and who sent it (an object that hears of replies)."""

    mail: MailRow
    sender: Callable[[int], None]


@dataclass(slots=True)
class MemoryDatabase:
    """What several memory stores (each a process of its own, as it were) share."""

    clock: Callable[[], datetime]
    runtimes: dict[RuntimeId, RuntimeRecord] = field(default_factory=dict[RuntimeId, RuntimeRecord])
    watchers: dict[RuntimeId, Callable[[], None]] = field(default_factory=dict[RuntimeId, Callable[[], None]])
    lookouts: dict[RuntimeId, Callable[[], None]] = field(default_factory=dict[RuntimeId, Callable[[], None]])
    """Called when another runtime comes or goes."""
    pool_watchers: dict[RuntimeId, Callable[[], None]] = field(default_factory=dict[RuntimeId, Callable[[], None]])
    dags: dict[str, DagRow] = field(default_factory=dict[str, DagRow])
    versions: dict[tuple[str, str], DagVersionRow] = field(default_factory=dict[tuple[str, str], DagVersionRow])
    codes: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    import_errors: dict[tuple[str, str], ImportErrorRow] = field(default_factory=dict[tuple[str, str], ImportErrorRow])
    runs: dict[RunId, RunTables] = field(default_factory=dict[RunId, RunTables])
    run_names: dict[tuple[str, str], RunId] = field(default_factory=dict[tuple[str, str], RunId])
    inbox: dict[int, StoredMail] = field(default_factory=dict[int, StoredMail])
    mail_keys: dict[str, int] = field(default_factory=dict[str, int])
    replies: dict[int, bytes] = field(default_factory=dict[int, bytes])
    outbox: dict[int, OutboxItem] = field(default_factory=dict[int, OutboxItem])
    missed: dict[tuple[RunId, str], MissedDeadlineRow] = field(
        default_factory=dict[tuple[RunId, str], MissedDeadlineRow]
    )
    states: dict[StateScope, dict[str, KeptState]] = field(default_factory=dict[StateScope, dict[str, KeptState]])
    grants: dict[str, dict[RuntimeId, int]] = field(default_factory=dict[str, dict[RuntimeId, int]])
    pools: dict[str, PoolRow] = field(default_factory=dict[str, PoolRow])
    variables: dict[str, VariableRow] = field(default_factory=dict[str, VariableRow])
    connections: dict[str, str] = field(default_factory=dict[str, str])
    users: dict[str, UserRow] = field(default_factory=dict[str, UserRow])
    assets: AssetTables = field(default_factory=AssetTables)
    last_id: int = 0

    def next_id(self) -> int:
        """A number never given before."""
        self.last_id += 1
        return self.last_id

    def fence(self, lease: Lease) -> RuntimeRecord:
        """The runtime's row, its beat moved on. Raises Fenced."""
        record = self.runtimes.get(lease.runtime_id)
        if record is None or not record.alive or record.epoch != lease.epoch:
            raise Fenced
        record.beat += 1
        return record

    def free(self, runtime: RuntimeId, *, is_dead: bool) -> None:
        """A runtime is gone: its epoch moves on, its DAGs have no owner. Its grants stay for who claims them where
        it has died, or has left attempts that run on elsewhere.
        """
        record = self.runtimes[runtime]
        record.alive = False
        record.epoch += 1
        owned = {dag.dag_id for dag in self.dags.values() if dag.owner == runtime}
        for dag_id in owned:
            self.dags[dag_id] = replace(self.dags[dag_id], owner=None)
        if not (owned and is_dead) and not any(t.live and t.row.dag_id in owned for t in self.runs.values()):
            for held in self.grants.values():
                held.pop(runtime, None)


def apply_batch(db: MemoryDatabase, lease: Lease, batch: Batch) -> int:
    """All of the batch, or (BatchConflict, Fenced) nothing of it."""
    require_one_segment_a_run(batch)
    record = db.runtimes.get(lease.runtime_id)
    if record is None or not record.alive or record.epoch != lease.epoch:
        raise Fenced
    segments = batch.segments if len(batch.segments) == 1 else sorted(batch.segments, key=_run_of)
    refused = _Refusals()
    for segment in segments:
        _check_segment(db, segment, refused)
    _check_rest(db, lease, batch, refused)
    if refused.details:
        raise refused.error()
    record.beat += 1
    record.seq += 1
    for segment in segments:
        _write_segment(db, segment)
    write_rest(db, batch)
    return record.seq


@dataclass(slots=True)
class _Refusals:
    details: list[str] = field(default_factory=list[str])
    runs: dict[int, None] = field(default_factory=dict[int, None])
    dags: dict[str, None] = field(default_factory=dict[str, None])
    mail: dict[int, None] = field(default_factory=dict[int, None])

    def of_run(self, run_id: RunId, detail: str) -> None:
        self.runs[run_id] = None
        self.details.append(detail)

    def error(self) -> BatchConflict:
        detail = "; ".join(self.details[:20])
        return BatchConflict(tuple(self.runs), detail, dag_ids=tuple(self.dags), mail_ids=tuple(self.mail))


def _check_segment(db: MemoryDatabase, segment: Segment, refused: _Refusals) -> None:
    run_id = segment.run_id
    tables = db.runs.get(run_id)
    if tables is None:
        if segment.tasks or segment.opened or segment.closed or segment.run is not None:
            refused.of_run(run_id, f"run {run_id} is not there")
        return
    instances = tables.instances
    for change in segment.tasks:
        row = instances.get((change.task_id, change.map_index))
        if row is None or row.state is not change.expected:
            is_now = "not there" if row is None else row.state
            refused.of_run(
                run_id, f"task {change.task_id} [{change.map_index}] is {is_now}, expected {change.expected}"
            )
    if len(segment.tasks) > 1 and len({(c.task_id, c.map_index) for c in segment.tasks}) < len(segment.tasks):
        refused.of_run(run_id, "a task instance is changed more than once in one batch")
    for low in segment.dropped:
        row = instances.get((low.task_id, low.low))
        if low.expected is not None and (row is None or row.state is not low.expected):
            is_now = "not there" if row is None else row.state
            refused.of_run(run_id, f"task {low.task_id} [{low.low}] is {is_now}, expected {low.expected}")
    if segment.opened or segment.closed:
        _check_attempts(tables, segment, refused)
    if segment.run is not None and tables.run().state is not segment.run.expected:
        refused.of_run(run_id, f"the run is {tables.run().state}, expected {segment.run.expected}")


def _check_attempts(tables: RunTables, segment: Segment, refused: _Refusals) -> None:
    run_id = segment.run_id
    opened = {row.attempt for row in segment.opened}
    closed = {row.attempt for row in segment.closed}
    if len(opened) < len(segment.opened) or len(closed) < len(segment.closed):
        refused.of_run(run_id, "an attempt begins or ends twice in one batch")
    for attempt in closed - opened:
        if attempt not in tables.live:
            refused.of_run(run_id, f"attempt {attempt.hex()} is not live")
    places: set[Place] = set()
    for row in segment.opened:
        if row.attempt in closed:
            continue
        place = (row.task_id, row.map_index)
        holder = tables.live_places.get(place)
        if (holder is not None and holder not in closed) or place in places or row.attempt in tables.live:
            refused.of_run(run_id, f"task {row.task_id} [{row.map_index}] has a live attempt already")
        places.add(place)


def check_rest(db: MemoryDatabase, lease: Lease, batch: Batch) -> None:
    """Raises BatchConflict if DAGs or mail of the batch are not this runtime's to change."""
    refused = _Refusals()
    _check_rest(db, lease, batch, refused)
    if refused.details:
        raise refused.error()


def _check_rest(db: MemoryDatabase, lease: Lease, batch: Batch, refused: _Refusals) -> None:
    seen: set[str | int] = set()
    for change in batch.dags:
        dag = db.dags.get(change.dag_id)
        if dag is None or dag.owner != lease.runtime_id or change.dag_id in seen:
            refused.dags[change.dag_id] = None
            refused.details.append(
                f"DAG {change.dag_id} is not owned by runtime {lease.runtime_id}, or changed twice in one batch"
            )
        seen.add(change.dag_id)
    for done in batch.mail_done:
        if done.mail_id not in db.inbox or done.mail_id in seen:
            refused.mail[done.mail_id] = None
            refused.details.append(f"mail {done.mail_id} is done already")
        seen.add(done.mail_id)


def _write_segment(db: MemoryDatabase, segment: Segment) -> None:
    tables = db.runs.get(segment.run_id)
    if tables is not None:
        for change in segment.tasks:
            tables.instances[change.task_id, change.map_index] = change
        if segment.dropped or segment.spread or segment.made or segment.lengths:
            _write_mapped(tables, segment)
        if segment.opened or segment.closed:
            _write_attempts(tables, segment)
        for line in segment.history:
            tables.history.setdefault((line.task_id, line.map_index), []).append(line)
        if segment.steps or segment.waits:
            _write_waits(tables, segment)
        if segment.xcoms:
            _write_xcoms(tables, segment, db.clock())
        if segment.asset_events:
            db.assets.take_in(segment, tables.row, db.clock())
        if segment.run is not None:
            tables.change = segment.run
    for item in segment.outbox:
        number = db.next_id()
        db.outbox[number] = OutboxItem(number, segment.dag_id, segment.run_id, item.kind, item.body)


def _write_waits(tables: RunTables, segment: Segment) -> None:
    for task_id, map_index, step in segment.steps:
        taken = tables.steps.setdefault((task_id, map_index), {})
        if step is None:
            taken.clear()
        else:
            taken[step.key] = step
    for wait in segment.waits:
        if isinstance(wait, WaitGone):
            tables.waits.pop((wait.task_id, wait.map_index, wait.key), None)
        else:
            tables.waits[wait.task_id, wait.map_index, wait.wait.key] = wait


def _write_mapped(tables: RunTables, segment: Segment) -> None:
    instances = tables.instances
    for gone in segment.dropped:
        if gone.low == gone.high:
            instances.pop((gone.task_id, gone.low), None)
        else:
            for place in [p for p in instances if p[0] == gone.task_id and gone.low <= p[1] <= gone.high]:
                del instances[place]
    for many in segment.spread:
        for index in range(many.low, many.high + 1):
            row = InstanceRow(tables.row.run_id, many.task_id, index, max_tries=many.max_tries)
            instances.setdefault((many.task_id, index), row)
    for change in segment.made:
        instances[change.task_id, change.map_index] = change
    for length in segment.lengths:
        tables.lengths[length[:3]] = length


def _write_attempts(tables: RunTables, segment: Segment) -> None:
    begun = {row.attempt: row for row in segment.opened} if segment.closed and segment.opened else {}
    for closed in segment.closed:
        opened = tables.live.pop(closed.attempt, None)
        if opened is None:
            opened = begun[closed.attempt]
        else:
            del tables.live_places[opened.task_id, opened.map_index]
        tables.ended.append(EndedAttempt(opened, closed))
    ends = {row.attempt for row in segment.closed} if begun else ()
    for row in segment.opened:
        if row.attempt not in ends:
            tables.live[row.attempt] = row
            tables.live_places[row.task_id, row.map_index] = row.attempt


def _write_xcoms(tables: RunTables, segment: Segment, now: datetime) -> None:
    for task_id, map_index, key, value in segment.xcoms:
        values = tables.xcoms.setdefault((task_id, map_index), {})
        if value.codec:
            values[key] = (value, now)
        elif key == "" and value == DELETED:
            values.clear()
        elif key == "":
            kept = {name: one for name, one in values.items() if stays_until_purged(name, one[0])}
            tables.xcoms[task_id, map_index] = kept
        else:
            values.pop(key, None)


def write_rest(db: MemoryDatabase, batch: Batch) -> None:
    """DAGs and mail of a batch that was checked."""
    for change in batch.dags:
        dag = db.dags[change.dag_id]
        db.dags[change.dag_id] = replace(
            dag,
            is_paused=dag.is_paused if change.is_paused is None else change.is_paused,
            cursor=dag.cursor if change.cursor is None else change.cursor,
        )
    for mail_id, reply in batch.mail_done:
        stored = db.inbox.pop(mail_id)
        db.replies[mail_id] = reply
        stored.sender(mail_id)


def _run_of(segment: Segment) -> RunId:
    return segment.run_id


def _beginning(row: AttemptRow) -> tuple[datetime, str, int, int, bytes]:
    return (row.started_at, row.task_id, row.map_index, row.try_number, row.attempt)
