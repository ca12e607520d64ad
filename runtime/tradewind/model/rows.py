"""Rows as the store hands them out. What it takes in of a turn is in `batch`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tradewind.model.keys import UNMAPPED, AttemptId, RunId, RuntimeId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import DagSource, DagSpec, Json
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState
from tradewind.model.waits import WaitRow


class Lease(NamedTuple):
    """A runtime's right to write. Any write carries it; `epoch` moves on when it is taken away."""

    runtime_id: RuntimeId
    epoch: int


def as_given(max_tries: int) -> int:
    """The `max_tries` of a row, without what it says about the instance being stopped."""
    return max_tries if max_tries >= 0 else ~max_tries


class LengthRow(NamedTuple):
    """How long the value under `key` is, for those who are mapped over it; -1: nothing was stored. Of a mapped
    task each instance that stored a value counts 1. Holds while the instance's state is success.
    """

    task_id: str
    map_index: int
    key: str
    length: int


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
