"""Commits what a turn has decided, whatever the database is doing.

Losing PostgreSQL is a pause: the batch is kept, the connection is tried again with jittered
back-off, and the runtime's own sequence number tells whether the last batch had landed. A batch
that the database refuses names the runs to blame; the rest is committed without them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from tradewind.failpoints import failpoint
from tradewind.model.batch import Batch, Segment
from tradewind.model.errors import BatchConflict, StoreUnavailable
from tradewind.model.keys import RunId
from tradewind.model.rows import Lease
from tradewind.model.states import RunState
from tradewind.ports import Clock, Store
from tradewind.services.counting import Buckets

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0

COMMIT_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Committer:
    """The one writer of a runtime's batches, one at a time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seq = 0
        self.outages = 0
        """How often the database was lost while a batch was on its way."""
        self.took = Buckets(COMMIT_BOUNDS)
        """How long commits took."""

    async def start(self, lease: Lease) -> None:
        """Learns where the lease's sequence stands."""
        self._seq = await self._store.runtime_seq(lease)

    async def commit(self, lease: Lease, batch: Batch) -> set[RunId]:
        """Commits the batch. Returns the runs that were left out because the database holds
        something else than expected: their machines must be dropped and loaded anew. Raises Fenced.
        """
        refused: set[RunId] = set()
        while batch:
            try:
                failpoint("scheduler.before_commit")
                began = self._clock.monotonic()
                self._seq = await self._store.batch_apply(lease, batch)
                self.took.observe(self._clock.monotonic() - began)
                failpoint("scheduler.after_commit")
                break
            except BatchConflict as conflict:
                log.error("%s", conflict)
                refused |= _leave_out(batch, conflict)
            except StoreUnavailable as lost:
                if await self._landed(lease, lost):
                    break
        return refused

    async def patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, once the database is there. Raises what else it raises."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await read()
            except StoreUnavailable as lost:
                log.warning("the database is away (%s)", lost)
            await asyncio.sleep(pause * (0.5 + self._clock.draw()))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _landed(self, lease: Lease, lost: StoreUnavailable) -> bool:
        """Waits until the database is back, then says whether the last batch was committed."""
        self.outages += 1
        log.warning("the database is away (%s): running tasks go on, nothing new starts", lost)
        await asyncio.sleep(FIRST_PAUSE * (0.5 + self._clock.draw()))
        seq = await self.patiently(partial(self._store.runtime_seq, lease))
        log.warning("the database is back")
        landed = seq > self._seq
        self._seq = seq
        return landed


def _leave_out(batch: Batch, conflict: BatchConflict) -> set[RunId]:
    """Takes out of the batch what the database refused. Returns the runs that this leaves out.

    What starts in this batch may start on permits that a refused run gave back in it, so it goes too. So do the
    other runs of its DAG: their tasks may have begun, or ended, because of what it did in this batch.
    A wish whose mail was done already was carried out already: the runs that it may have changed
    here (any of the batch) go as well. So does everything where a run goes that a mail of this batch may have
    changed: the mail is kept, and carried out anew. Where nobody is named, everything goes.
    """
    blamed = {RunId(run_id) for run_id in conflict.run_ids}
    if conflict.mail_ids or not (blamed or conflict.dag_ids) or (blamed and batch.mail_done):
        blamed = {segment.run_id for segment in batch.segments}
    if blamed:
        dags = {s.dag_id for s in batch.segments if s.run_id in blamed}
        blamed |= {s.run_id for s in batch.segments if s.dag_id in dags or _starts_something(s)}
    batch.segments = [s for s in batch.segments if s.run_id not in blamed]
    named = bool(conflict.run_ids or conflict.dag_ids or conflict.mail_ids)
    batch.dags = [d for d in batch.dags if named and d.dag_id not in conflict.dag_ids]
    kept = named and not conflict.run_ids
    batch.mail_done = [m for m in batch.mail_done if kept and m.mail_id not in conflict.mail_ids]
    return blamed


def _starts_something(segment: Segment) -> bool:
    return bool(segment.opened) or (segment.run is not None and segment.run.state is RunState.RUNNING)
