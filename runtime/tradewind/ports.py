"""The store's seam, and the clock's. Each method says its contract; implementations say how.

The scheduler, dispatcher, rescuer and bundle watcher call `Store`; views and tasks only its `StoreReads`.
The other seams: `executor_ports` for what carries attempts out, `control_ports` for what people ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tradewind.asset_ports import AssetReads, AssetStore, AssetWrites
from tradewind.instance_ports import InstanceReads, KeptStates, StateWrites
from tradewind.model.assets import NOTHING_CONSUMED, Consumed
from tradewind.model.batch import Batch, OutboxRow
from tradewind.model.keys import UNMAPPED, AttemptId, RunId, RuntimeId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import (
    AttemptRow,
    Beat,
    BeatReport,
    ConnectionRow,
    DagRow,
    DagVersionLine,
    DagVersionRow,
    DeadlineMiss,
    HistoryEntry,
    ImportErrorRow,
    InstanceRow,
    Lease,
    MailRow,
    OutboxItem,
    ParsedFile,
    PoolRow,
    Rotation,
    RunRow,
    RunSnapshot,
    ScheduleCursor,
    UserRow,
    VariableRow,
    XComEntry,
)
from tradewind.model.states import RunState, RunType


class Clock(Protocol):
    """Time, randomness and identities: the only source of each in the runtime."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; the loop's own clock."""
        ...

    def draw(self) -> float:
        """A random number in [0, 1)."""
        ...

    def attempt_id(self) -> AttemptId:
        """16 random bytes, never the same twice."""
        ...

    def run_id(self) -> RunId:
        """A new run id, greater than every one this clock gave before."""
        ...


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows. None: no condition. Ordered by `order_by` ('-' for descending)."""

    dag_id: str | None = None
    states: tuple[RunState, ...] | None = None
    logical_from: datetime | None = None
    logical_to: datetime | None = None
    limit: int = 100
    offset: int = 0
    order_by: str = "-run_id"
    """One of run_id, logical_date, started_at, ended_at, state, dag_run_id."""
    dag_ids: tuple[str, ...] | None = None
    dag_run_ids: tuple[str, ...] | None = None
    types: tuple[RunType, ...] | None = None
    started: tuple[datetime | None, datetime | None] = (None, None)
    """Not before, not after; so with `ended`."""
    ended: tuple[datetime | None, datetime | None] = (None, None)


class StoreReads(AssetReads, InstanceReads, Protocol):
    """What views read. Never on the scheduler's path; may be slightly behind a running commit."""

    async def dag_list(self) -> list[DagRow]:
        """All DAGs, by id."""
        ...

    async def dag_get(self, dag_id: str) -> DagRow | None:
        """One DAG, or None."""
        ...

    async def dag_version_get(self, dag_id: str, version_hash: str | None = None) -> DagVersionRow | None:
        """A version, by default the current one."""
        ...

    async def dag_version_list(self, dag_id: str, limit: int, offset: int = 0) -> tuple[list[DagVersionLine], int]:
        """A page of the DAG's versions, the newest first, and how many there are in all."""
        ...

    async def dag_code_get(self, dag_id: str, version_hash: str | None = None) -> str | None:
        """The text of the file that made the version."""
        ...

    async def run_list(self, where: RunFilter) -> tuple[list[RunRow], int]:
        """A page of runs and how many there are in all."""
        ...

    async def run_get(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """One run by its name, or None."""
        ...

    async def run_by_id(self, run_id: RunId) -> RunRow | None:
        """One run by its number, or None."""
        ...

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """All task instances of a run, by task id and map index."""
        ...

    async def instance_get(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> InstanceRow | None:
        """One task instance, or None."""
        ...

    async def attempt_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None
    ) -> list[AttemptRow]:
        """Attempts in the order they began."""
        ...

    async def history_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[HistoryEntry]:
        """The packed lines of a task instance's story, oldest first."""
        ...

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """A committed value, or None."""
        ...

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """Map indexes of the task's instances that have a value under `key`, ascending."""
        ...

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """The committed values of these instances, in this order; None where there is none."""
        ...

    async def xcom_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None, *, values: bool = True
    ) -> list[XComEntry]:
        """All XComs of a run (of one task, of one of its instances), by task, map index and key. Without `values` they
        are all empty: large ones need not be fetched from wherever they lie.
        """
        ...

    async def import_error_list(self) -> list[ImportErrorRow]:
        """Every file that could not be loaded, and why."""
        ...

    async def pool_list(self) -> list[PoolRow]:
        """All pools, by name."""
        ...

    async def variable_get(self, key: str) -> str | None:
        """A variable's decrypted text."""
        ...

    async def variable_list(self, key: str | None = None) -> list[VariableRow]:
        """All variables (or the one of this key), decrypted, by key. The value of one that no key opens is None."""
        ...

    async def connection_get(self, conn_id: str) -> str | None:
        """A connection as JSON text, decrypted."""
        ...

    async def connection_list(self, conn_id: str | None = None) -> list[ConnectionRow]:
        """All connections (or the one of this id), decrypted, by id. The value of one that no key opens is None."""
        ...

    async def user_get(self, username: str) -> UserRow | None:
        """One login, or None."""
        ...

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """The latest earlier run in which this task succeeded, with its instance."""
        ...

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """The latest run of the DAG with an earlier logical date (in `state`)."""
        ...


class NamedWrites(AssetWrites, StateWrites, Protocol):
    """Changes of what has a name and belongs to no run: no lease is needed for them."""

    async def pool_set(self, pool: PoolRow) -> None:
        """Makes or changes a pool, and tells every runtime."""
        ...

    async def pool_delete(self, name: str) -> bool:
        """Whether there was one. Tells every runtime."""
        ...

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Stores a variable; None deletes it. Without a description the one that is there stays."""
        ...

    async def connection_set(self, conn_id: str, value: str | None) -> None:
        """Stores a connection (JSON text); None deletes it."""
        ...

    async def user_set(self, user: UserRow) -> None:
        """Makes or changes a login."""
        ...


class Store(StoreReads, NamedWrites, AssetStore, KeptStates, Protocol):
    """The runtime's memory. `memory.py` and `postgres.py` pass the same conformance suite.

    Writes of a runtime carry its `Lease`; each is one transaction opened by the fence, and raises
    `Fenced`, having changed nothing, when the lease is no longer the runtime's own.
    `StoreUnavailable` means that the outcome is unknown: ask `runtime_seq`.
    """

    async def open(self) -> None:
        """Connect and check the schema. Raises StoreUnavailable, SchemaMismatch."""
        ...

    async def close(self) -> None:
        """Ends all connections. Twice is allowed."""
        ...

    # -- runtimes
    async def runtime_join(self, name: str) -> Lease:
        """A new runtime with its own row, advisory lock and epoch 1. Unique for ever."""
        ...

    async def runtime_beat(self, lease: Lease) -> BeatReport:
        """One statement: moves the beat on, reads peers, counts mail and unowned DAGs."""
        ...

    async def runtime_beats(
        self, lease: Lease, pace: Callable[[BeatReport | None], float], tell: Callable[[Beat], None]
    ) -> None:
        """Beats for ever, at once and then whenever so many seconds have passed as `pace` says for what the
        last beat brought (None: no answer), or another runtime has come or gone. Each beat is told on the
        caller's loop, and a lost connection as one without answer. Where there is a server the beats come
        from a thread: what holds up the loop does not hold up them; `pace` is asked there. Raises Fenced.
        """
        ...

    async def runtime_seq(self, lease: Lease) -> int:
        """The number of the last batch of this lease that was committed. Raises Fenced."""
        ...

    async def runtime_leave(self, lease: Lease) -> None:
        """Gives up all DAGs and the lease; permits too, unless attempts in its DAGs run on elsewhere: then they go
        to who claims these. Twice is allowed.
        """
        ...

    async def runtime_bury(self, dead: RuntimeId, seen_beat: int) -> bool:
        """Declares a peer dead if its beat is still `seen_beat`: epoch moves on, its DAGs are
        free to be claimed. Waits for a commit of its that is in flight. False: it lives.
        """
        ...

    async def runtime_is_provably_dead(self, peer: RuntimeId) -> bool:
        """Whether the peer's session lock is free: its process or connection is gone."""
        ...

    def watch(
        self,
        lease: Lease,
        on_mail: Callable[[], None],
        on_reply: Callable[[int], None],
        on_pools: Callable[[], None] | None = None,
    ) -> None:
        """Calls back when another process has sent mail to this runtime's DAGs, a reply to a mail that
        this process sent has been committed, or a pool has been changed by anybody. Called on the loop.
        """
        ...

    # -- DAGs and ownership
    async def dag_publish(self, lease: Lease, bundle: str, files: Sequence[ParsedFile]) -> list[str]:
        """Takes in parsed files: new versions (idempotent by content hash), import errors set or
        cleared, DAGs that these files no longer define made inactive. A new DAG belongs to the
        caller; `is_paused_upon_creation` (default: paused) applies to it. Returns the ids of DAGs
        whose current version, source or activity changed.
        """
        ...

    async def dag_retire(self, lease: Lease, bundle: str, relative_filelocs: Sequence[str]) -> list[str]:
        """The files are gone: their DAGs become inactive, their import errors go."""
        ...

    async def dag_claim(self, lease: Lease, dag_ids: Sequence[str] | None = None) -> list[DagRow]:
        """Takes ownership of unowned DAGs (all, or those named that are unowned), and of the permits that dead runtimes
        have left behind, but for those that attempts of DAGs hold which are still unowned.
        """
        ...

    async def run_load(self, lease: Lease, dag_ids: Sequence[str]) -> list[RunSnapshot]:
        """Every run of DAGs that the caller owns that is unfinished or has live attempts, complete, oldest first."""
        ...

    async def run_load_one(self, lease: Lease, run_id: RunId) -> RunSnapshot | None:
        """One run of an owned DAG, finished or not (for clearing)."""
        ...

    async def past_states(self, dag_id: str, before: datetime, task_ids: Sequence[str]) -> dict[str, InstanceRow]:
        """For each task the instance in the latest run before `before` that has one."""
        ...

    # -- writes on the path
    async def run_create(
        self,
        lease: Lease,
        run: RunRow,
        instances: Sequence[InstanceRow],
        cursor: ScheduleCursor | None = None,
        mail_done: tuple[int, bytes] | None = None,
        consumed: Consumed = NOTHING_CONSUMED,
    ) -> bool:
        """A run with all its instances, the schedule's cursor, the mail that asked for it, and the asset events that
        it takes off the DAG's queue (`consumed`), in one transaction (bulk by COPY). False, and nothing changed, if
        the DAG already has a run of this dag_run_id (the cursor and the mail are applied all the same).
        """
        ...

    async def batch_apply(self, lease: Lease, batch: Batch) -> int:
        """Applies all of the batch in one transaction and returns its sequence number (each batch
        of a lease is one higher). Raises BatchConflict, naming the runs, if any row is not as
        expected: then nothing was applied. A duplicate (run, task) within one segment is a
        programming error and raises BatchConflict too.
        """
        ...

    # -- inbox
    async def mail_send(self, dag_id: str, kind: str, body: bytes, idempotency_key: str) -> int:
        """Asks the DAG's owner. The same key again returns the same id and sends nothing."""
        ...

    async def mail_read(self, lease: Lease, limit: int = 200) -> list[MailRow]:
        """Mail to the DAGs that the caller owns, oldest first, still undone."""
        ...

    async def mail_reply(self, mail_id: int) -> bytes | None:
        """The reply, once the owner has committed it."""
        ...

    # -- outbox
    async def outbox_read(self, lease: Lease, limit: int = 100) -> list[OutboxItem]:
        """What must still be carried out for owned DAGs, oldest first."""
        ...

    async def deadline_miss(self, lease: Lease, miss: DeadlineMiss, outbox: Sequence[OutboxRow]) -> bool:
        """Records a missed deadline, with what must be carried out because of it, in one transaction. False, and
        nothing changed, where the run's miss of this name is recorded already.
        """
        ...

    # -- large values
    @property
    def blob_limit(self) -> int | None:
        """Bytes above which values should go through `blob_put` before a batch names them; None: no need."""
        ...

    async def blob_put(self, values: Sequence[bytes]) -> None:
        """Puts values aside, outside the database. A batch that names one of them then says only where it lies;
        one that was never put goes along with its batch. Raises StoreUnavailable, ConfigError, OSError and whatever
        the place's library raises.
        """
        ...

    async def blob_sweep(self, age: float) -> int:
        """Deletes large values that nothing names and that were stored more than `age` seconds ago; returns how
        many. Any process may, at any time.
        """
        ...

    async def blob_count(self) -> tuple[int, int]:
        """How many large values lie outside the rows that name them, and their bytes in all."""
        ...

    async def outbox_done(self, lease: Lease, outbox_ids: Sequence[int], *, failed: bool = False) -> None:
        """Carried out (rows go), or failed once more (tries + 1; gone after five)."""
        ...

    async def secrets_rotate(self, batch: int = 200) -> Rotation:
        """Encrypts every variable and connection that is under an old key with the first key, `batch` in
        one transaction. It can be broken off and begun again at any point.
        """
        ...

    # -- shared limits (engine.md 13): permits of a limit that this runtime may use
    async def grant_take(self, lease: Lease, limit: str, size: int, want: int, in_use: int = 0) -> int:
        """Asks for up to `want` permits of `limit` (in all); returns how many may be used from now on. Where the limit
        has become smaller that can be less than are `in_use`: what was granted of these stays granted all the same,
        until it is asked again, so that nobody else gets them meanwhile.
        """
        ...

    async def grant_return(self, lease: Lease, limit: str, count: int) -> None:
        """Gives permits back to the others."""
        ...
