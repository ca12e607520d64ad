"""Faults about the store, the fence and commits."""

from __future__ import annotations

from typing import Any

from tests.simulation.faults.planting import Faults, Patch, giving, wrap
from tradewind.services.committer import Committer
from tradewind.services.inbox import InboxReader
from tradewind.services.planner import RunPlanner
from tradewind.services.scheduler import Scheduler
from tradewind.store import memory, memory_tables

fault = Faults()


@fault()
def fence_dropped(patch: Patch) -> None:
    def make(apply: Any) -> Any:
        def unfenced(db: Any, lease: Any, batch: Any) -> Any:
            record = db.runtimes[lease.runtime_id]
            before = record.alive, record.epoch
            record.alive, record.epoch = True, lease.epoch
            try:
                return apply(db, lease, batch)
            finally:
                record.alive, record.epoch = before

        return unfenced

    wrap(patch, memory, "apply_batch", make)
    wrap(patch, memory_tables, "apply_batch", make)


@fault(disturbed=False)
def batch_half_applied(patch: Patch) -> None:
    def make(write: Any) -> Any:
        def half(db: Any, segment: Any) -> None:
            tasks = segment.tasks
            segment.tasks = tasks[:1]
            write(db, segment)
            segment.tasks = tasks

        return half

    wrap(patch, memory_tables, "_write_segment", make)


@fault()
def refused_batch_taken_for_committed(patch: Patch) -> None:
    def make(commit: Any) -> Any:
        async def trusting(self: Any, lease: Any, batch: Any) -> Any:
            await commit(self, lease, batch)
            return set[Any]()

        return trusting

    wrap(patch, Committer, "commit", make)


@fault()
def unknown_outcome_sent_again_blindly(patch: Patch) -> None:
    def make(landed: Any) -> Any:
        async def blind(self: Any, lease: Any, lost: Any) -> bool:
            await landed(self, lease, lost)
            return False

        return blind

    wrap(patch, Committer, "_landed", make)


@fault()
def unknown_outcome_taken_for_committed(patch: Patch) -> None:
    def make(landed: Any) -> Any:
        async def hopeful(self: Any, lease: Any, lost: Any) -> bool:
            await landed(self, lease, lost)
            return True

        return hopeful

    wrap(patch, Committer, "_landed", make)


@fault()
def run_created_with_its_reply_lost(patch: Patch) -> None:
    async def no(self: Any, lease: Any, run: Any) -> None:
        return None

    patch.setattr(RunPlanner, "_landed", no)


@fault(disturbed=False)
def effect_before_commit(patch: Patch) -> None:
    def make(decide: Any) -> Any:
        async def hasty(self: Any, turn: Any) -> None:
            await decide(self, turn)
            start, turn.decision.start = turn.decision.start, []
            await self._dispatcher.submit(start)

        return hasty

    wrap(patch, Scheduler, "_decide", make)


@fault()
def acknowledged_before_commit(patch: Patch) -> None:
    def make(handle: Any) -> Any:
        def hasty(self: Any, turn: Any, run_id: Any, event: Any, answer: Any = None) -> None:
            handle(self, turn, run_id, event, None)
            if answer is not None:
                answer(True)

        return hasty

    wrap(patch, Scheduler, "handle", make)


@fault()
def memory_kept_after_the_lease(patch: Patch) -> None:
    def keep(self: Any) -> None:
        self._lease = None
        self.intake.refuse()

    patch.setattr(Scheduler, "drop", keep)


@fault()
def schedule_not_moved_with_the_run(patch: Patch) -> None:
    def make(create: Any) -> Any:
        async def without(self: Any, lease: Any, run: Any, rows: Any, cursor: Any, mail: Any) -> bool:
            return bool(await create(self, lease, run, rows, None, mail))

        return without

    wrap(patch, memory.MemoryStore, "run_create", make)


@fault(disturbed=False)
def same_mail_taken_twice(patch: Patch) -> None:
    def make(send: Any) -> Any:
        async def forgetful(self: Any, dag_id: Any, kind: Any, body: Any, key: Any) -> int:
            self.database.mail_keys.pop(key, None)
            return int(await send(self, dag_id, kind, body, key))

        return forgetful

    wrap(patch, memory.MemoryStore, "mail_send", make)


@fault(disturbed=False)
def mail_overlooked(patch: Patch) -> None:
    patch.setattr(InboxReader, "wake", giving(None))
