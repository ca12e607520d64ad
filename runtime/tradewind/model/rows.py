"""Rows as the store hands them out, and the changes it takes in.

A `Batch` is what one loop turn of a runtime has decided. It is applied in one transaction that
opens with the runtime's own fence: all of it, or nothing. It consists of one `Segment` a run;
several changes of one row within a batch are folded into one `TaskChange` by its maker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tradewind.model.assets import AssetEventRow
from tradewind.model.durable import StepRow
from tradewind.model.keys import UNMAPPED, AttemptId, RunId, RuntimeId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import DagSource, DagSpec, Json
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState
from tradewind.model.waits import WaitGone, WaitRow


class Lease(NamedTuple):
    """A runtime's right to write. Any write carries it; `epoch` moves on when it is taken away."""

    runtime_id: RuntimeId
    epoch: int


# ------------------------------------------------------------------ what a batch is made of


class TaskChange(NamedTuple):
    """Compare-and-set of one task instance: applied only where its state is `expected`.

    All value columns are written, so each holds the new value (unchanged ones repeated).
    """

    task_id: str
    map_index: int
    expected: TaskState
    state: TaskState
    try_number: int
    """Number of the try in progress or last ended; 0 before the first."""
    max_tries: int
    """Number of the last try that may be followed by another. Its complement, so negative, while the instance is being
    ended because its run was cancelled or another task of its `fail_stop` DAG has failed: see `as_given`.
    """
    lost_count: int
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    """When a retry or reschedule is due."""
    attempt: AttemptId | None
    """The live attempt, in states that have one."""


def as_given(max_tries: int) -> int:
    """The `max_tries` of a row, without what it says about the instance being stopped."""
    return max_tries if max_tries >= 0 else ~max_tries


class AttemptOpened(NamedTuple):
    """An attempt begins: a new row of `attempt` (kept) and of `live_attempt` (until its end)."""

    attempt: AttemptId
    task_id: str
    map_index: int
    try_number: int
    executor: str
    pool: str
    pool_slots: int
    started_at: datetime


class AttemptClosed(NamedTuple):
    """An attempt has ended: its row gets the outcome, its `live_attempt` row goes."""

    attempt: AttemptId
    kind: OutcomeKind
    ended_at: datetime
    started_at: datetime | None = None
    hostname: str | None = None
    pid: int | None = None
    detail: bytes | None = None
    """JSON of error, exit and reason, where there is any."""


class XComRow(NamedTuple):
    """A value of a task instance. A codec of 0 deletes the key; key '' deletes all its keys."""

    task_id: str
    map_index: int
    key: str
    value: EncodedValue


class LengthRow(NamedTuple):
    """How long the value under `key` is, for those who are mapped over it; -1: nothing was stored. Of a mapped
    task each instance that stored a value counts 1. Holds while the instance's state is success.
    """

    task_id: str
    map_index: int
    key: str
    length: int


class SpreadRow(NamedTuple):
    """Instances `low` to `high` (both included) of a mapped task, made as `none` where they are not there.
    Hidden while the task's row -1 is there.
    """

    task_id: str
    low: int
    high: int
    max_tries: int


class DroppedRow(NamedTuple):
    """The instances `low` to `high` (both included) of a task go. Where `expected` is given, exactly the row
    `low` has to be there in this state.
    """

    task_id: str
    low: int
    high: int
    expected: TaskState | None = None


class HistoryRow(NamedTuple):
    """One packed line of a task instance's story, written when a try ends or it is skipped.

    `story` is JSON: [[state, unix seconds, cause], …].
    """

    task_id: str
    map_index: int
    try_number: int
    story: bytes


class RunChange(NamedTuple):
    """Compare-and-set of the run's own row. Counters are `{state: count}` after the batch."""

    expected: RunState
    state: RunState
    started_at: datetime | None
    ended_at: datetime | None
    counts: bytes


class OutboxRow(NamedTuple):
    """Something that must happen because of this commit (a callback, an alert). JSON body."""

    kind: str
    body: bytes


class MailDone(NamedTuple):
    """An inbox row that this batch applies: deleted, and its reply (JSON) kept for its sender."""

    mail_id: int
    reply: bytes


@dataclass(slots=True)
class Segment:
    """All changes of one run within a batch."""

    run_id: RunId
    dag_id: str
    tasks: list[TaskChange] = field(default_factory=list[TaskChange])
    opened: list[AttemptOpened] = field(default_factory=list[AttemptOpened])
    closed: list[AttemptClosed] = field(default_factory=list[AttemptClosed])
    xcoms: list[XComRow] = field(default_factory=list[XComRow])
    history: list[HistoryRow] = field(default_factory=list[HistoryRow])
    run: RunChange | None = None
    outbox: list[OutboxRow] = field(default_factory=list[OutboxRow])
    asset_events: list[AssetEventRow] = field(default_factory=list[AssetEventRow])
    made: list[TaskChange] = field(default_factory=list[TaskChange])
    """Instances that begin to be, with all their values (`expected` does not count)."""
    spread: list[SpreadRow] = field(default_factory=list[SpreadRow])
    dropped: list[DroppedRow] = field(default_factory=list[DroppedRow])
    """Applied before `made` and `spread`."""
    lengths: list[LengthRow] = field(default_factory=list[LengthRow])
    waits: list[WaitRow | WaitGone] = field(default_factory=list[WaitRow | WaitGone])
    """Waits that begin, are answered or go. Of several of one key the last one counts."""
    steps: list[StepRow] = field(default_factory=list[StepRow])


@dataclass(slots=True)
class DagChange:
    """New values of a DAG's own row (only its owner writes it). None leaves a field alone."""

    dag_id: str
    is_paused: bool | None = None
    cursor: ScheduleCursor | None = None


@dataclass(slots=True)
class Batch:
    """What one turn commits. `segments` are sorted by run id by the store."""

    segments: list[Segment] = field(default_factory=list[Segment])
    dags: list[DagChange] = field(default_factory=list[DagChange])
    mail_done: list[MailDone] = field(default_factory=list[MailDone])

    def __bool__(self) -> bool:
        return bool(self.segments or self.dags or self.mail_done)


# ------------------------------------------------------------------ rows


class ScheduleCursor(NamedTuple):
    """Where a DAG's schedule stands: its last automated interval and the next run."""

    last_interval_start: datetime | None
    last_interval_end: datetime | None
    next_logical_date: datetime | None
    next_interval_start: datetime | None
    next_interval_end: datetime | None
    next_run_after: datetime | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A DAG run. `dag_run_id` is what people see; unique within the DAG."""

    run_id: RunId
    dag_id: str
    dag_run_id: str
    version_hash: str
    run_type: RunType
    state: RunState
    logical_date: datetime
    interval_start: datetime
    interval_end: datetime
    queued_at: datetime
    run_after: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    conf: EncodedValue | None = None
    external_trigger: bool = False
    note: str | None = None
    run_key: str | None = None
    partition_date: datetime | None = None
    counts: Json = None
    """{task state: number of instances}, kept by the owner."""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A task instance, with the columns that `TaskChange` writes."""

    run_id: RunId
    task_id: str
    map_index: int = UNMAPPED
    state: TaskState = TaskState.NONE
    try_number: int = 0
    max_tries: int = 0
    lost_count: int = 0
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    attempt: AttemptId | None = None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a task instance, kept after its end."""

    run_id: RunId
    attempt: AttemptId
    task_id: str
    map_index: int
    try_number: int
    executor: str
    pool: str
    pool_slots: int
    started_at: datetime
    ended_at: datetime | None
    kind: OutcomeKind | None
    """None while it lives."""
    hostname: str | None = None
    pid: int | None = None
    detail: Json = None


@dataclass(frozen=True, slots=True)
class DagRow:
    """A DAG as known, with its current version."""

    dag_id: str
    is_paused: bool
    is_active: bool
    """Its file is there and still defines it."""
    version_hash: str
    version_number: int
    source: DagSource
    owner: RuntimeId | None
    cursor: ScheduleCursor | None
    last_parsed_at: datetime
    namespace: str = "default"
    has_import_errors: bool = False


@dataclass(frozen=True, slots=True)
class DagVersionRow:
    """One version of a DAG. `number` counts from 1 within the DAG."""

    dag_id: str
    version_hash: str
    number: int
    spec: DagSpec
    source: DagSource
    created_at: datetime


class DagVersionLine(NamedTuple):
    """A version of a DAG in a list: all but its spec."""

    dag_id: str
    version_hash: str
    number: int
    source: DagSource
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ImportErrorRow:
    """Why a DAG file could not be loaded."""

    bundle: str
    relative_fileloc: str
    fileloc: str
    at: datetime
    stack_trace: str
    import_error_id: int = 0


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one DAG file gave: its DAGs, or why it gave none (both are possible)."""

    source: DagSource
    dags: tuple[DagSpec, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    code: str | None = None
    """The file's text, kept with the versions it made (shown as code)."""


class MailRow(NamedTuple):
    """A row of a DAG's inbox: what others ask its owner to do. `body` is JSON."""

    mail_id: int
    dag_id: str
    kind: str
    body: bytes
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An outbox row waiting to be carried out by the runtime that owns its DAG."""

    outbox_id: int
    dag_id: str
    run_id: RunId
    kind: str
    body: bytes
    tries: int = 0


class DeadlineMiss(NamedTuple):
    """A deadline or an SLA that a run has missed. `name` is its own within the run; `body` is JSON for views."""

    run_id: RunId
    dag_id: str
    name: str
    due: datetime
    body: bytes


class MissedDeadlineRow(NamedTuple):
    """A miss, and when it was recorded."""

    miss: DeadlineMiss
    at: datetime


@dataclass(frozen=True, slots=True)
class XComEntry:
    """An XCom with its place."""

    run_id: RunId
    task_id: str
    map_index: int
    key: str
    value: EncodedValue
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A packed history row with its place; `story` is [[state, unix seconds, cause], …]."""

    run_id: RunId
    task_id: str
    map_index: int
    try_number: int
    story: Json


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool. `slots` of -1 mean no limit."""

    name: str
    slots: int
    description: str = ""
    include_deferred: bool = False


@dataclass(frozen=True, slots=True)
class VariableRow:
    """A variable. `value` is None where no key that is configured opens it."""

    key: str
    value: str | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as JSON text; None where no key that is configured opens it."""

    conn_id: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a change of keys came to: entries encrypted anew, entries that were so already, and those
    (such as `variable 'a'`) that no key opens.
    """

    changed: int
    unchanged: int
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserRow:
    """A login. `password_hash` is argon2id."""

    username: str
    password_hash: str
    role: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """All that a new owner needs of one unfinished run."""

    run: RunRow
    spec: DagSpec
    source: DagSource
    instances: tuple[InstanceRow, ...]
    live: tuple[AttemptRow, ...]
    lengths: tuple[LengthRow, ...] = ()
    waits: tuple[WaitRow, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerRow:
    """Another runtime as last seen."""

    runtime_id: RuntimeId
    epoch: int
    beat: int
    alive: bool
    name: str


@dataclass(frozen=True, slots=True)
class BeatReport:
    """What one beat brought back: peers, whether there is mail, what the sweep found."""

    seq: int
    peers: tuple[PeerRow, ...]
    mail_waiting: int
    unowned_dags: tuple[str, ...]


class Beat(NamedTuple):
    """A beat of a series. `at`: monotonic seconds when its answer was there."""

    at: float
    report: BeatReport | None
    """None: the database did not answer."""
