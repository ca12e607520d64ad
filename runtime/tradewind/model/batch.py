"""What one turn of a runtime has decided, as the store takes it in.

A `Batch` is applied in one transaction that opens with the runtime's own fence: all of it, or nothing. It consists of
one `Segment` a run; several changes of one row within a batch are folded into one `TaskChange` by its maker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tradewind.model.assets import AssetEventRow
from tradewind.model.durable import StepRow
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import LengthRow, ScheduleCursor
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.model.waits import WaitGone, WaitRow


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
    ended because its run was cancelled or another task of its `fail_stop` DAG has failed: see `rows.as_given`.
    """
    lost_count: int
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    """When a retry or reschedule is due."""
    attempt: AttemptId | None
    """The live attempt, in states that have one."""


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
