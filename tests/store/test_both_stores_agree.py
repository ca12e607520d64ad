"""Random stories told to both stores: they must answer alike, and hold the same at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.conftest import KEY, emptied
from tradewind.model.batch import Batch, DagChange, HistoryRow, MailDone, OutboxRow, RunChange, Segment
from tradewind.model.errors import BatchConflict, Fenced, NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, Lease, ScheduleCursor
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.ports import RunFilter, Store
from tradewind.store.memory import MemoryStore, new_database
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.testing.store_world import (
    NOON,
    attempt_id,
    closed,
    file_of,
    instances_of,
    moved,
    opened,
    run_row,
    spec_of,
    xcom,
)

DAGS = {"x": [spec_of("x"), spec_of("x", "a", "b", "c")], "y": [spec_of("y")]}
RUNS = {1: "x", 2: "x", 3: "y"}

processes = st.integers(0, 1)
task_states = st.sampled_from([TaskState.NONE, TaskState.RUNNING, TaskState.SUCCESS])
change = st.tuples(st.sampled_from(["a", "b", "z"]), st.integers(0, 9), task_states, st.booleans(), st.integers(0, 3))
segment = st.tuples(
    st.sampled_from(sorted(RUNS)),
    st.lists(change, max_size=2),
    st.lists(st.sampled_from(["k", "l", ""]), max_size=2),
    st.sampled_from([None, RunState.RUNNING, RunState.SUCCESS]),
)
file_names = st.sampled_from(["f.py", "g.py"])
operations = st.one_of(
    st.tuples(st.just("publish"), processes, file_names, st.lists(st.integers(0, 3), max_size=2)),
    st.tuples(st.just("create"), processes, st.sampled_from(sorted(RUNS)), st.booleans()),
    st.tuples(st.just("batch"), processes, st.lists(segment, max_size=3), st.integers(0, 3)),
    st.tuples(st.just("batch"), processes, st.lists(segment, max_size=3), st.integers(0, 3)),
    st.tuples(st.just("bury"), processes, st.just(None), st.just(None)),
    st.tuples(st.just("claim"), processes, st.just(None), st.just(None)),
    st.tuples(st.just("rejoin"), processes, st.just(None), st.just(None)),
    st.tuples(st.just("retire"), processes, file_names, st.just(None)),
    st.tuples(st.just("mail"), processes, st.sampled_from(["x", "y", "ghost"]), st.integers(0, 3)),
    st.tuples(st.just("done"), processes, st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("take"), processes, st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.just("return"), processes, st.integers(1, 6), st.just(None)),
)
Operation = tuple[str, int, Any, Any]


@dataclass(slots=True)
class Telling:
    """One store, in which a story is told by two processes. Ids become places in the order of their making."""

    stores: Sequence[Store]
    leases: list[Lease] = field(default_factory=list[Lease])
    runtimes: list[int] = field(default_factory=list[int])
    mail: list[int] = field(default_factory=list[int])
    attempts: int = 0

    async def begin(self) -> None:
        for number, store in enumerate(self.stores):
            self.leases.append(await store.runtime_join(f"p{number}"))
            self.runtimes.append(self.leases[-1].runtime_id)

    async def tell(self, operation: Operation) -> object:
        verb, process, first, second = operation
        call: Callable[[int, Any, Any], Awaitable[object]] = getattr(self, f"do_{verb}")
        try:
            return await call(process, first, second)
        except BatchConflict as error:
            known = [self.mail.index(number) if number in self.mail else number for number in error.mail_ids]
            return ("conflict", sorted(error.run_ids), sorted(error.dag_ids), sorted(known))
        except (Fenced, NotFoundError) as error:
            return type(error)

    async def do_publish(self, process: int, file: str, picks: list[int]) -> object:
        specs = [DAGS["y"][0] if pick == 2 else DAGS["x"][pick] for pick in picks if pick < 3]
        error = "broken" if 3 in picks else None
        parsed = file_of(file, *{spec.dag_id: spec for spec in specs}.values(), error=error, code=f"{file} {picks}")
        return await self.stores[process].dag_publish(self.leases[process], "main", [parsed])

    async def do_retire(self, process: int, file: str, _: object) -> object:
        return await self.stores[process].dag_retire(self.leases[process], "main", [file])

    async def do_create(self, process: int, number: int, with_cursor: bool) -> object:
        spec = DAGS[RUNS[number]][0]
        row = run_row(number, spec)
        cursor = ScheduleCursor(NOON, None, None, None, None, None) if with_cursor else None
        return await self.stores[process].run_create(self.leases[process], row, instances_of(row, spec), cursor)

    async def do_batch(self, process: int, segments: list[Any], extra: int) -> object:
        built = [await self._segment(*parts) for parts in segments]
        dags = [DagChange("x", is_paused=bool(extra % 2))] if extra > 1 else []
        return await self.stores[process].batch_apply(self.leases[process], Batch(built, dags))

    async def _segment(self, number: int, changes: list[Any], keys: list[str], run_state: RunState | None) -> Segment:
        """Mostly what fits the store's rows as they are; now and then not."""
        store, made = self.stores[0], Segment(RunId(number), RUNS[number])
        live = {a.task_id: a.attempt for a in await store.attempt_list(made.run_id) if a.kind is None}
        for task_id, luck, state, opens, closes in changes:
            row = await store.instance_get(made.run_id, task_id)
            right = TaskState.NONE if row is None else row.state
            made.tasks.append(moved(task_id, TaskState.DEFERRED if luck == 0 else right, state))
            if closes == 1 and task_id in live:
                made.closed.append(closed(live[task_id], OutcomeKind.FAILED))
            if opens:
                self.attempts += 1
                made.opened.append(opened(task_id, attempt_id(f"{self.attempts}")))
            if opens and closes == 2:
                made.closed.append(closed(made.opened[-1].attempt))
            made.history.append(HistoryRow(task_id, -1, luck, b"[]"))
        made.xcoms += [xcom("a", key, None if key == "" else f"{len(changes)}") for key in keys]
        run = await store.run_by_id(made.run_id)
        if run_state is not None and run is not None:
            made.run = RunChange(run.state, run_state, NOON, None, b"{}")
        if keys:
            made.outbox.append(OutboxRow("callback", b"{}"))
        return made

    async def do_bury(self, process: int, _first: object, _second: object) -> object:
        report = await self.stores[process].runtime_beat(self.leases[process])
        return [await self.stores[process].runtime_bury(peer.runtime_id, peer.beat) for peer in report.peers]

    async def do_claim(self, process: int, _first: object, _second: object) -> object:
        return [self._dag(dag) for dag in await self.stores[process].dag_claim(self.leases[process])]

    async def do_rejoin(self, process: int, _first: object, _second: object) -> None:
        await self.stores[process].runtime_leave(self.leases[process])
        self.leases[process] = await self.stores[process].runtime_join("again")
        self.runtimes.append(self.leases[process].runtime_id)

    async def do_mail(self, process: int, dag_id: str, key: int) -> object:
        mail_id = await self.stores[process].mail_send(dag_id, "trigger", b"{}", f"key {key}")
        if mail_id not in self.mail:
            self.mail.append(mail_id)
        return self.mail.index(mail_id)

    async def do_done(self, process: int, failed: bool, which: int) -> object:
        store, lease = self.stores[process], self.leases[process]
        items = await store.outbox_read(lease)
        await store.outbox_done(lease, [item.outbox_id for item in items[:which]], failed=failed)
        if which >= len(self.mail):
            return None
        done = MailDone(self.mail[which], b"r")
        return await store.batch_apply(lease, Batch(mail_done=[done]))

    async def do_take(self, process: int, size: int, want: int) -> object:
        return await self.stores[process].grant_take(self.leases[process], "pool", size, want)

    async def do_return(self, process: int, count: int, _: object) -> None:
        await self.stores[process].grant_return(self.leases[process], "pool", count)

    async def all(self) -> dict[str, object]:
        """Everything that can be read."""
        store = self.stores[0]
        rows, total = await store.run_list(RunFilter(order_by="run_id"))
        found: dict[str, object] = {"runs": rows, "total": total}
        found["dags"] = [self._dag(dag) for dag in await store.dag_list()]
        found["errors"] = [(e.relative_fileloc, e.stack_trace) for e in await store.import_error_list()]
        found["codes"] = [await store.dag_code_get(dag_id) for dag_id in DAGS]
        for run in rows:
            tasks = [("a", -1), ("b", -1)]
            found[f"run {run.run_id}"] = (
                await store.instance_list(run.run_id),
                sorted(await store.attempt_list(run.run_id), key=lambda row: row.attempt),
                [await store.history_list(run.run_id, *task) for task in tasks],
                [replace(entry, at=None) for entry in await store.xcom_list(run.run_id)],
            )
        for process, lease in enumerate(self.leases):
            found[f"outbox {process}"] = [replace(i, outbox_id=0) for i in await store.outbox_read(lease)]
            found[f"mail {process}"] = [self.mail.index(m.mail_id) for m in await store.mail_read(lease)]
            snapshots = await self.tell(("load", process, None, None))
            found[f"load {process}"] = snapshots
        return found

    async def do_load(self, process: int, _first: object, _second: object) -> object:
        return [
            (s.run, s.spec, s.instances, {a.attempt for a in s.live})
            for s in await self.stores[process].run_load(self.leases[process], list(DAGS))
        ]

    def _dag(self, dag: DagRow) -> DagRow:
        owner = None if dag.owner is None else self.runtimes.index(dag.owner)
        return replace(dag, owner=owner, last_parsed_at=NOON)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(operations, min_size=5, max_size=40))
async def test_both_stores_agree(shared_database: str, story: list[Operation]) -> None:
    await emptied(shared_database)
    options = StoreOptions(readers=1)
    postgres = [PostgresStore(shared_database, secret_key=KEY, options=options) for _ in range(2)]
    database = new_database()
    tellings = (Telling(postgres), Telling([MemoryStore(database) for _ in range(2)]))
    try:
        for telling in tellings:
            await telling.begin()
        # A story begins with the DAGs that most of it is about.
        start: list[Operation] = [("publish", 0, "f.py", [0]), ("publish", 1, "g.py", [2]), ("create", 0, 1, False)]
        for operation in [*start, *story]:
            answers = [await telling.tell(operation) for telling in tellings]
            assert answers[0] == answers[1], operation
        held = [await telling.all() for telling in tellings]
        assert held[0] == held[1]
    finally:
        for store in postgres:
            await store.close()
