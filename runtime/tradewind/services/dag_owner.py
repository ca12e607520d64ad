"""Owns DAGs: claims those that nobody carries and goes on with their runs, and takes in what changes about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from tradewind.control_ports import LiveEvent
from tradewind.model.errors import Fenced
from tradewind.model.rows import DagRow, Lease
from tradewind.ports import Store
from tradewind.services.given_dags import EMBEDDED_BUNDLE, GivenDags
from tradewind.services.live import LiveHub
from tradewind.services.mailed_wishes import MailedWishes
from tradewind.services.planner import RunPlanner
from tradewind.services.scheduler import Scheduler


class DagOwner:
    """The DAGs of one runtime, as they come and change."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        planner: RunPlanner,
        mailed: MailedWishes,
        live: LiveHub,
        given: GivenDags,
        executors: AbstractSet[str],
    ) -> None:
        """`executors` are the names of those that the runtime has."""
        self._store = store
        self._scheduler = scheduler
        self._planner = planner
        self._mailed = mailed
        self._live = live
        self._given = given
        self._executors = executors
        self._arriving = asyncio.Lock()
        """Held while DAGs are taken in, so that none comes without its runs."""
        self.claiming = asyncio.Lock()
        """Held from a claim until its runs are here: permits come with it, and until then what uses them is unknown."""
        self._changed: dict[str, None] = {}
        self._has_changed = asyncio.Event()
        self.on_arrived: list[Callable[[], None]] = []
        """Called when DAGs have come with their runs."""
        self.on_changed: list[Callable[[], None]] = []
        """Called when DAGs have come, or one is no longer as it was."""

    # ----------------------------------------------------------------------------- take-over

    async def take_over(self) -> None:
        """Claims every DAG that nobody owns and whose code is here, and goes on with its runs. Waits for a database
        that is away: permits that came with a claim must not be used before it is known what uses them already.
        """
        async with self._arriving, self.claiming:
            await self._scheduler.committer.patiently(self._claim_and_go_on)

    async def _claim_and_go_on(self) -> None:
        """Repeated, it goes on with what the time before has claimed."""
        store, scheduler = self._store, self._scheduler
        lease = scheduler.lease
        known = {row.dag_id: row for row in await store.dag_list()}
        free = [row.dag_id for row in known.values() if row.owner is None and self._given.can_carry(row)]
        if free:
            await store.dag_claim(lease, free)
        await self._publish_given(lease, [dag for dag in self._given.dags if self._is_to_come(known.get(dag), dag)])
        mine = [row for row in await store.dag_list() if row.owner == lease.runtime_id]
        rows = [row for row in mine if row.dag_id not in scheduler.book.dags]
        if rows:
            await self._go_on_with(lease, rows)

    def _is_to_come(self, known: DagRow | None, dag_id: str) -> bool:
        """Whether a DAG, as it was known before the claim, is this runtime's from now on."""
        if known is None or known.owner is None:
            return True
        return self._owns(known) and dag_id not in self._scheduler.book.dags

    async def _publish_given(self, lease: Lease, dag_ids: Sequence[str]) -> None:
        """DAGs that are new, or ours from now on, are in force as they were given."""
        if dag_ids:
            files = await asyncio.to_thread(self._given.files, dag_ids, self._executors)
            await self._store.dag_publish(lease, EMBEDDED_BUNDLE, files)

    async def _go_on_with(self, lease: Lease, rows: Sequence[DagRow]) -> None:
        """Takes in DAGs that are ours, with all their unfinished runs."""
        store, scheduler = self._store, self._scheduler
        versions = [await store.dag_version_get(row.dag_id, row.version_hash) for row in rows]
        snapshots = await store.run_load(lease, [row.dag_id for row in rows])
        for row, version in zip(rows, versions, strict=True):
            if version is not None:
                scheduler.own(row, version.spec).is_arriving = True
        arrived = [row.dag_id for row in rows]
        await scheduler.resumer.go_on(snapshots, "the runtime that carried it ended", arrived)
        for row in rows:
            self._planner.plan(row.dag_id)
        _call(self.on_arrived)
        _call(self.on_changed)

    # ------------------------------------------------------------------------------- changes

    def published(self, dag_ids: list[str]) -> None:
        """DAG files were published, and these DAGs have changed: `run` takes them in."""
        self._changed.update(dict.fromkeys(dag_ids))
        self._has_changed.set()
        self._live.publish(LiveEvent("import_errors"))  # files that broke, or are whole again, change no DAG

    async def run(self) -> None:
        """Takes in what was published, as it comes."""
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            changed, self._changed = self._changed, {}
            await self.refresh(list(changed))

    async def refresh(self, dag_ids: Sequence[str]) -> None:
        """Takes in what has changed about these DAGs, or tells their owner."""
        for dag_id in dag_ids:
            async with self._arriving:
                await self._refresh_one(dag_id)
            if self._live.is_watched:
                self._live.publish(LiveEvent("dag", dag_id, dag=await self._store.dag_get(dag_id)))

    def _owns(self, row: DagRow) -> bool:
        """Whether the store has this runtime, under the lease that it holds now, as the DAG's owner."""
        try:
            return row.owner == self._scheduler.lease.runtime_id
        except Fenced:
            return False

    async def _refresh_one(self, dag_id: str) -> None:
        owned = self._scheduler.book.dags
        row = await self._store.dag_get(dag_id)
        if row is None:
            return
        if not self._owns(row):
            await self._mailed.tell_changed(dag_id)
            return
        known = owned.get(dag_id)
        if known is None:
            await self._go_on_with(self._scheduler.lease, [row])
            return
        if dag_id in self._given.dags and row.version_hash != known.row.version_hash:
            return  # another runtime was given another version: it comes into force when that one owns the DAG
        spec = known.spec
        if known.row.version_hash != row.version_hash:
            version = await self._store.dag_version_get(dag_id, row.version_hash)
            if version is None:
                return
            spec = version.spec
        if owned.get(dag_id) is known:
            self._scheduler.own(row, spec)
            self._planner.plan(dag_id)
            _call(self.on_changed)


def _call(told: Sequence[Callable[[], None]]) -> None:
    for tell in told:
        tell()
