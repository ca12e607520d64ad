"""The store in memory: for `dag.test()`, unit tests and the simulation.

Passes the same suite as PostgreSQL. Several stores on one `MemoryDatabase` are several processes on
one database. Nothing here waits, so each method is atomic; a test can make any of them fail:

- `on_call`: awaited before and after each write; what it raises comes out of the method, before it
  has done anything or after it has done all (a lost connection is either).
- `crash`: the process is gone: its lock is free, all its further calls raise StoreUnavailable.
- `fence`: its lease is taken away, as by a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tradewind.failpoints import failpoint
from tradewind.model.assets import NOTHING_CONSUMED, Consumed
from tradewind.model.batch import Batch, DagChange, MailDone
from tradewind.model.errors import BatchConflict, StoreError
from tradewind.model.keys import RunId, RuntimeId
from tradewind.model.rows import (
    Beat,
    BeatReport,
    DagRow,
    DagVersionRow,
    ImportErrorRow,
    InstanceRow,
    Lease,
    ParsedFile,
    PeerRow,
    PoolRow,
    RunRow,
    RunSnapshot,
    ScheduleCursor,
)
from tradewind.model.specs import DEFAULT_POOL
from tradewind.model.states import RUN_FINISHED, TaskState
from tradewind.store.beating import beat_for_ever
from tradewind.store.memory_assets import publish_uses
from tradewind.store.memory_states import MemoryStates
from tradewind.store.memory_tables import (
    MemoryDatabase,
    RunTables,
    RuntimeRecord,
    apply_batch,
    check_rest,
    write_rest,
)
from tradewind.store.publication import Publication, parsed_dags, plan_publication

DEFAULT_POOL_SLOTS: Final = 128


def new_database(clock: Callable[[], datetime] | None = None) -> MemoryDatabase:
    """An empty database with the default pool. `clock` gives the times that PostgreSQL would set."""
    database = MemoryDatabase(clock or _utc_now)
    database.pools[DEFAULT_POOL] = PoolRow(DEFAULT_POOL, DEFAULT_POOL_SLOTS, "Default pool")
    return database


class MemoryStore(MemoryStates):
    """`ports.Store` in memory."""

    def __init__(self, database: MemoryDatabase | None = None, *, clock: Callable[[], datetime] | None = None) -> None:
        """A process of its own on `database` (default: a new one)."""
        super().__init__(database or new_database(clock))

    # -- runtimes
    async def runtime_join(self, name: str) -> Lease:
        """As `Store.runtime_join`."""
        await self._call("runtime_join")
        await self.close()
        runtime_id = RuntimeId(self.database.next_id())
        self.database.runtimes[runtime_id] = RuntimeRecord(name)
        self.database.watchers[runtime_id] = self._mail_arrived
        self.database.lookouts[runtime_id] = self._hurry.set
        self._joined = runtime_id
        self._tell_peers(runtime_id)
        await self._called("runtime_join")
        return Lease(runtime_id, 1)

    async def runtime_beat(self, lease: Lease) -> BeatReport:
        """As `Store.runtime_beat`."""
        await self._call("runtime_beat")
        db = self.database
        record = db.fence(lease)
        peers = tuple(
            PeerRow(number, peer.epoch, peer.beat, True, peer.name)
            for number, peer in db.runtimes.items()
            if peer.alive and number != lease.runtime_id
        )
        unowned = tuple(sorted(dag.dag_id for dag in db.dags.values() if dag.owner is None))
        await self._called("runtime_beat")
        return BeatReport(record.seq, peers, len(self._mail_of(lease)), unowned)

    async def runtime_beats(
        self, lease: Lease, pace: Callable[[BeatReport | None], float], tell: Callable[[Beat], None]
    ) -> None:
        """As `Store.runtime_beats`, on the caller's loop."""
        await beat_for_ever(partial(self.runtime_beat, lease), pace, tell, self._hurry)

    async def runtime_seq(self, lease: Lease) -> int:
        """As `Store.runtime_seq`."""
        self._live()
        return self._valid(lease).seq

    async def runtime_leave(self, lease: Lease) -> None:
        """As `Store.runtime_leave`."""
        await self._call("runtime_leave")
        record = self.database.runtimes.get(lease.runtime_id)
        if record is not None and record.alive and record.epoch == lease.epoch:
            self.database.free(lease.runtime_id, is_dead=False)
        if self._joined == lease.runtime_id:
            await self.close()
        self._tell_peers(lease.runtime_id)
        await self._called("runtime_leave")

    async def runtime_bury(self, dead: RuntimeId, seen_beat: int) -> bool:
        """As `Store.runtime_bury`."""
        await self._call("runtime_bury")
        record = self.database.runtimes.get(dead)
        if record is None or not record.alive or record.beat != seen_beat:
            return False
        self.database.free(dead, is_dead=True)
        await self._called("runtime_bury")
        return True

    async def runtime_is_provably_dead(self, peer: RuntimeId) -> bool:
        """As `Store.runtime_is_provably_dead`."""
        self._live()
        record = self.database.runtimes.get(peer)
        return record is None or not record.locked

    # -- DAGs
    async def dag_publish(self, lease: Lease, bundle: str, files: Sequence[ParsedFile]) -> list[str]:
        """As `Store.dag_publish`."""
        await self._call("dag_publish")
        db = self.database
        db.fence(lease)
        parsed = parsed_dags(files)
        ids = {dag.spec.dag_id for dag in parsed}
        names = {file.source.relative_fileloc for file in files}
        known = {
            dag_id: dag
            for dag_id, dag in db.dags.items()
            if dag_id in ids or (dag.source.bundle == bundle and dag.source.relative_fileloc in names)
        }
        versions = [(dag_id, h, row.number) for (dag_id, h), row in db.versions.items() if dag_id in ids]
        plan = plan_publication(files, parsed, known, versions)
        self._publish(lease, plan)
        for file in files:
            key = (bundle, file.source.relative_fileloc)
            before = db.import_errors.pop(key, None)
            if file.error is not None:
                number = db.next_id() if before is None else before.import_error_id
                db.import_errors[key] = ImportErrorRow(*key, file.source.fileloc, db.clock(), file.error, number)
        await self._called("dag_publish")
        return plan.changed

    async def dag_retire(self, lease: Lease, bundle: str, relative_filelocs: Sequence[str]) -> list[str]:
        """As `Store.dag_retire`."""
        await self._call("dag_retire")
        db = self.database
        db.fence(lease)
        gone = set(relative_filelocs)
        retired: list[str] = []
        for dag in list(db.dags.values()):
            if dag.is_active and dag.source.bundle == bundle and dag.source.relative_fileloc in gone:
                db.dags[dag.dag_id] = replace(dag, is_active=False)
                retired.append(dag.dag_id)
        for name in gone:
            db.import_errors.pop((bundle, name), None)
        await self._called("dag_retire")
        return sorted(retired)

    async def dag_claim(self, lease: Lease, dag_ids: Sequence[str] | None = None) -> list[DagRow]:
        """As `Store.dag_claim`."""
        await self._call("dag_claim")
        db = self.database
        db.fence(lease)
        claimed: list[DagRow] = []
        for dag_id in sorted(db.dags):
            dag = db.dags[dag_id]
            if dag.owner is None and (dag_ids is None or dag_id in dag_ids):
                db.dags[dag_id] = replace(dag, owner=lease.runtime_id)
                claimed.append(self._with_errors(db.dags[dag_id]))
        if claimed:
            self._inherit_grants(lease)
        await self._called("dag_claim")
        return claimed

    async def run_load(self, lease: Lease, dag_ids: Sequence[str]) -> list[RunSnapshot]:
        """As `Store.run_load`."""
        self._live()
        self._valid(lease)
        wanted = {dag_id for dag_id in dag_ids if self._owns(lease, dag_id)}
        found = [
            tables
            for _, tables in sorted(self.database.runs.items())
            if tables.row.dag_id in wanted and (tables.live or tables.waits or tables.run().state not in RUN_FINISHED)
        ]
        return [self._snapshot(tables) for tables in found]

    async def run_load_one(self, lease: Lease, run_id: RunId) -> RunSnapshot | None:
        """As `Store.run_load_one`."""
        self._live()
        self._valid(lease)
        tables = self.database.runs.get(run_id)
        return None if tables is None or not self._owns(lease, tables.row.dag_id) else self._snapshot(tables)

    async def past_states(self, dag_id: str, before: datetime, task_ids: Sequence[str]) -> dict[str, InstanceRow]:
        """As `Store.past_states`."""
        self._live()
        found: dict[str, InstanceRow] = {}
        wanted = set(task_ids)
        for tables in self._earlier(dag_id, before):
            if not wanted:
                break
            for row in sorted(tables.instance_rows(), key=_good_last):
                if row.task_id in wanted:
                    found[row.task_id] = row
                    wanted.discard(row.task_id)
        return found

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
        """As `Store.run_create`."""
        failpoint("store.run_create.before_commit")
        await self._call("run_create")
        db = self.database
        self._valid(lease)
        made = (run.dag_id, run.dag_run_id) not in db.run_names
        if made and run.run_id in db.runs:
            raise BatchConflict((run.run_id,), f"run id {run.run_id} is in use")
        if "\0" in run.dag_run_id:
            raise StoreError(f"dag_run_id {run.dag_run_id!r} holds a character that PostgreSQL cannot store")
        rest = Batch(
            dags=[] if cursor is None else [DagChange(run.dag_id, cursor=cursor)],
            mail_done=[] if mail_done is None else [MailDone(*mail_done)],
        )
        try:
            check_rest(db, lease, rest)
        except BatchConflict as error:
            raise BatchConflict((run.run_id,), error.detail, dag_ids=error.dag_ids, mail_ids=error.mail_ids) from None
        if made and not db.assets.has_queued(run, consumed):
            raise BatchConflict((run.run_id,), f"{consumed} are no longer all in the queue of DAG {run.dag_id}")
        db.fence(lease)
        if made and consumed:
            db.assets.consume(run, consumed)
        if made:
            tables = RunTables(run)
            for row in instances:
                tables.instances[row.task_id, row.map_index] = row
            db.runs[run.run_id] = tables
            db.run_names[run.dag_id, run.dag_run_id] = run.run_id
        write_rest(db, rest)
        await self._called("run_create")
        failpoint("store.run_create.after_commit")
        return made

    async def batch_apply(self, lease: Lease, batch: Batch) -> int:
        """As `Store.batch_apply`."""
        failpoint("store.batch.before_commit")
        if self._crashed or self.on_call is not None:
            await self._call("batch_apply")
        seq = apply_batch(self.database, lease, batch)
        if self.on_call is not None:
            await self._called("batch_apply")
        failpoint("store.batch.after_commit")
        return seq

    def _publish(self, lease: Lease, plan: Publication) -> None:
        db = self.database
        now = db.clock()
        for item in plan.dags:
            spec, _, version_hash, source, code = item.dag
            before = db.dags.get(spec.dag_id)
            if item.is_new_version:
                row = DagVersionRow(spec.dag_id, version_hash, item.number, spec, source, now)
                db.versions[spec.dag_id, version_hash] = row
            else:  # equal but for the order of its params
                stored = db.versions[spec.dag_id, version_hash]
                db.versions[spec.dag_id, version_hash] = replace(stored, spec=spec)
            if code is None:
                db.codes.pop((spec.dag_id, version_hash), None)
            else:
                db.codes[spec.dag_id, version_hash] = code
            db.dags[spec.dag_id] = DagRow(
                dag_id=spec.dag_id,
                is_paused=item.is_paused if before is None else before.is_paused,
                is_active=True,
                version_hash=version_hash,
                version_number=item.number,
                source=source,
                owner=lease.runtime_id if before is None else before.owner,
                cursor=None if before is None else before.cursor,
                last_parsed_at=now,
            )
        publish_uses(db, plan)
        for dag_id in plan.deactivated:
            db.dags[dag_id] = replace(db.dags[dag_id], is_active=False)

    def _snapshot(self, tables: RunTables) -> RunSnapshot:
        version = self.database.versions[tables.row.dag_id, tables.row.version_hash]
        return RunSnapshot(
            run=tables.run(),
            spec=version.spec,
            source=version.source,
            instances=tuple(tables.instance_rows()),
            live=tuple(tables.live_rows()),
            lengths=tuple(tables.lengths.values()),
            waits=tuple(tables.waits.values()),
        )


def _good_last(row: InstanceRow) -> tuple[bool, bool]:
    good = row.state in (TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED)
    return good, row.state is TaskState.REMOVED


def _utc_now() -> datetime:
    return datetime.now(UTC)
