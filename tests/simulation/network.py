"""The store as a simulated process sees it: calls take time, connections break, replies get lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

from tradewind.model.assets import NOTHING_CONSUMED, AssetEvent, Consumed, ExternalEvent
from tradewind.model.batch import Batch
from tradewind.model.errors import BatchConflict, StoreError, StoreUnavailable, TradewindError
from tradewind.model.keys import RunId, RuntimeId
from tradewind.model.rows import DagRow, DagVersionRow, InstanceRow, Lease, PoolRow, RunRow, RunSnapshot, ScheduleCursor
from tradewind.model.states import RunState
from tradewind.store import memory, memory_tables
from tradewind.store.memory_tables import MemoryDatabase

OnBatch = Callable[[Lease, Batch], None]
OnRun = Callable[[RunRow], None]


class SimulatedStore(memory.MemoryStore):
    """A memory store behind a network. What is committed is told to `on_batch` and `on_run`, even where the
    process that asked for it never hears of it.
    """

    def __init__(self, database: MemoryDatabase, dice: random.Random) -> None:
        super().__init__(database)
        self._dice = dice
        self.is_cut = False
        """Whether every call fails, before or after it was carried out."""
        self.breaks: list[bool] = []
        """Coming breaks of the connection: while a request (False) or its reply (True) is under way."""
        self.refuses = 0
        """How many coming batches are refused: rows are not as expected."""
        self.latency = 0.0
        """Longest time, in virtual seconds, that each half of a write takes."""
        self.in_flight = 0
        self.troubled_at: datetime | None = None
        """When a call failed last because of the connection."""
        self.owes: set[object] = set()
        """What the process does not know the outcome of yet: creations, its last batch, questions."""
        self.on_batch: OnBatch = lambda lease, batch: None
        self.on_run: OnRun = lambda run: None
        self.on_conflict: Callable[[BatchConflict], None] = lambda conflict: None
        self.on_bury: Callable[[RuntimeId], None] = lambda dead: None
        self.on_pool: Callable[[PoolRow], None] = lambda pool: None
        self.on_call = self._travel
        self._creating: dict[asyncio.Task[object] | None, RunRow] = {}
        self._under_way: tuple[Lease, Batch] | None = None

    async def batch_apply(self, lease: Lease, batch: Batch) -> int:
        """As `Store.batch_apply`."""
        self._under_way = (lease, batch)
        with self._owing("batch"):
            if self.refuses and batch.segments:
                self.refuses -= 1
                raise BatchConflict([batch.segments[0].run_id], "so the simulation wants it")
            try:
                return await super().batch_apply(lease, batch)
            except BatchConflict as conflict:
                self.on_conflict(conflict)
                raise

    async def runtime_bury(self, dead: RuntimeId, seen_beat: int) -> bool:
        """As `Store.runtime_bury`."""
        record = self.database.runtimes.get(dead)
        if record is not None and record.alive and record.beat == seen_beat:
            self.on_bury(dead)
        return await super().runtime_bury(dead, seen_beat)

    async def runtime_seq(self, lease: Lease) -> int:
        """As `Store.runtime_seq`."""
        with self._owing("runtime_seq"):
            seq = await super().runtime_seq(lease)
        self.owes.discard("batch")
        return seq

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
        self._creating[asyncio.current_task()] = run
        with self._owing(("create", run.run_id, asyncio.current_task())):
            return await super().run_create(lease, run, instances, cursor, mail_done, consumed)

    async def asset_event_add(self, event: ExternalEvent) -> tuple[AssetEvent, bool]:
        """As `AssetWrites.asset_event_add`."""
        await self._travel("asset_event_add", False)
        added = await super().asset_event_add(event)
        await self._travel("asset_event_add", True)
        self._live()
        return added

    @contextmanager
    def _owing(self, what: object) -> Generator[None]:
        self.owes.add(what)
        try:
            yield
        except StoreUnavailable:
            raise
        except StoreError:
            self.owes.discard(what)
            raise
        self.owes.discard(what)

    def deliver_late(self) -> None:
        """The batch that a killed process had sent off arrives at the database only now."""
        late, self._under_way = self._under_way, None
        if late is None:
            return
        try:
            memory_tables.apply_batch(self.database, *late)
        except TradewindError:
            return
        self.on_batch(*late)

    async def pool_set(self, pool: PoolRow) -> None:
        """As `Store.pool_set`."""
        await super().pool_set(pool)
        self.on_pool(pool)

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """As `StoreReads.run_before`."""
        with self._owing(("before", dag_id, logical_date, asyncio.current_task())):
            await self._read()
        return await super().run_before(dag_id, logical_date, state)

    async def past_states(self, dag_id: str, before: datetime, task_ids: Sequence[str]) -> dict[str, InstanceRow]:
        """As `Store.past_states`."""
        with self._owing(("past", dag_id, before, asyncio.current_task())):
            await self._read()
        return await super().past_states(dag_id, before, task_ids)

    async def run_load(self, lease: Lease, dag_ids: Sequence[str]) -> list[RunSnapshot]:
        """As `Store.run_load`."""
        await self._read()
        found = await super().run_load(lease, dag_ids)
        await self._read()
        return found

    async def run_load_one(self, lease: Lease, run_id: RunId) -> RunSnapshot | None:
        """As `Store.run_load_one`."""
        with self._owing(("load", run_id, asyncio.current_task())):
            found = await super().run_load_one(lease, run_id)
            await self._read()
        self.owes.discard(("create", run_id, asyncio.current_task()))
        return found

    async def run_get(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """As `StoreReads.run_get`."""
        await self._read()
        return await super().run_get(dag_id, dag_run_id)

    async def dag_get(self, dag_id: str) -> DagRow | None:
        """As `StoreReads.dag_get`."""
        found = await super().dag_get(dag_id)
        await self._read()
        return found

    async def dag_version_get(self, dag_id: str, version_hash: str | None = None) -> DagVersionRow | None:
        """As `StoreReads.dag_version_get`."""
        await self._read()
        return await super().dag_version_get(dag_id, version_hash)

    async def _read(self) -> None:
        """A question or its answer is under way."""
        self._live()
        if self.latency:
            self.in_flight += 1
            try:
                await asyncio.sleep(self._dice.random() * self.latency)
            finally:
                self.in_flight -= 1
        self._live()

    async def _travel(self, name: str, done: bool) -> None:
        if done:
            self._note(name)
        if not self.latency and not self.breaks:
            return
        self.in_flight += 1
        try:
            await asyncio.sleep(self._dice.random() * self.latency)
        finally:
            self.in_flight -= 1
        if self.breaks and self.breaks[0] is done:
            self.breaks.pop(0)
            self.troubled_at = self.database.clock()
            raise StoreUnavailable("the connection broke")

    def _note(self, name: str) -> None:
        if name == "batch_apply" and self._under_way is not None:
            late, self._under_way = self._under_way, None
            self.on_batch(*late)
        elif name == "run_create":
            self.on_run(self._creating.pop(asyncio.current_task()))

    def _live(self) -> None:
        super()._live()
        if self.is_cut:
            self.troubled_at = self.database.clock()
            raise StoreUnavailable("the network is cut")
