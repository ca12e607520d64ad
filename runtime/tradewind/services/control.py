"""What CLI, web and embedding services ask of the system, whichever runtime owns the DAG."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from tradewind.control_ports import Health, LiveEvent, TriggerRequest
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.rows import DagRow, InstanceRow, RunRow
from tradewind.model.states import RUN_FINISHED
from tradewind.ports import NamedWrites, Store, StoreReads
from tradewind.rules.run_machine import RunMachine
from tradewind.services.dependent_dags import dependents
from tradewind.services.inbox import MailedWishes
from tradewind.services.instances_chosen import Cleared
from tradewind.services.live import LiveHub
from tradewind.services.scheduler import Scheduler
from tradewind.services.wishes import OwnerWishes

LOOK_AGAIN: Final = 1.0
"""Longest pause, in seconds, between two looks at a run that another runtime owns."""


class RuntimeControl:
    """`control_ports.Control`: our own DAGs directly, those of other runtimes by mail.

    It can be handed out before there is a database; what is asked of it then raises RuntimeError.
    """

    def __init__(self, live: LiveHub, log_root: str, health: Callable[[], Health]) -> None:
        self._way: tuple[Store, MailedWishes] | None = None
        self._live = live
        self._health = health
        self.log_root = log_root
        self._own: OwnerWishes | None = None
        self._scheduler: Scheduler | None = None
        self._waiting: dict[RunId, list[asyncio.Future[None]]] = {}

    def connect(self, store: Store, mailed: MailedWishes) -> None:
        """Gives it the database and the way to other runtimes."""
        self._way = store, mailed

    def attach(self, wishes: OwnerWishes, scheduler: Scheduler) -> None:
        """Gives it the DAGs of this runtime. Without them every wish goes by mail."""
        self._own, self._scheduler = wishes, scheduler
        scheduler.on_run_ended.append(self._run_ended)

    @property
    def store(self) -> Store:
        """The store itself, for what is no wish of a DAG (logins, pools, variables)."""
        return self._connected()[0]

    @property
    def reads(self) -> StoreReads:
        """What views read."""
        return self.store

    @property
    def named(self) -> NamedWrites:
        """Changes pools, variables and connections."""
        return self.store

    @property
    def _mailed(self) -> MailedWishes:
        return self._connected()[1]

    def _connected(self) -> tuple[Store, MailedWishes]:
        if self._way is None:
            raise RuntimeError("the runtime has not started: use `async with Runtime(...)`, or `tradewind_ctx`")
        return self._way

    def _owner(self, dag_id: str) -> OwnerWishes | None:
        return self._own if self._own is not None and self._own.owns(dag_id) else None

    async def run_trigger(self, request: TriggerRequest) -> RunRow:
        """See `Control`."""
        own = self._owner(request.dag_id)
        if own is not None:
            return await own.trigger(request)
        return await self._mailed.trigger(request)

    async def dag_pause(self, dag_id: str, *, paused: bool) -> DagRow:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.pause(dag_id, paused=paused)
        return await self._mailed.pause(dag_id, paused=paused)

    async def instances_clear(
        self,
        dag_id: str,
        dag_run_id: str,
        task_ids: Sequence[str],
        *,
        downstream: bool = True,
        map_indexes: Mapping[str, Sequence[int]] | None = None,
    ) -> list[InstanceRow]:
        """See `Control`."""
        further = await dependents(self.reads, dag_id, dag_run_id, task_ids, downstream=downstream)
        rows = await self._clear(dag_id, dag_run_id, Cleared(tuple(task_ids), downstream, map_indexes or {}))
        for other in further:
            await self._clear(other.dag_id, other.dag_run_id, Cleared((other.task_id,), True, {}))
        return rows

    async def _clear(self, dag_id: str, dag_run_id: str, which: Cleared) -> list[InstanceRow]:
        own = self._owner(dag_id)
        if own is not None:
            return await own.clear(dag_id, dag_run_id, which)
        return await self._mailed.clear(dag_id, dag_run_id, which)

    async def run_cancel(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.cancel(dag_id, dag_run_id)
        return await self._mailed.cancel(dag_id, dag_run_id)

    async def why_waiting(
        self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = UNMAPPED
    ) -> tuple[str, ...]:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.why_waiting(dag_id, dag_run_id, (task_id, map_index))
        return await self._mailed.why_waiting(dag_id, dag_run_id, (task_id, map_index))

    async def run_wait(self, run_id: RunId, timeout: float | None = None) -> RunRow:
        """See `Control`."""
        async with asyncio.timeout(timeout):
            machine = self._scheduler.book.runs.get(run_id) if self._scheduler is not None else None
            if machine is not None and machine.run.state not in RUN_FINISHED:
                ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                waiting = self._waiting.setdefault(run_id, [])
                waiting.append(ended)
                try:
                    await ended
                finally:  # whoever gives up and asks again must not pile up
                    waiting.remove(ended)
            pause = 0.02
            while True:
                run = await self.store.run_by_id(run_id)
                if run is None:
                    raise NotFoundError(f"there is no run {run_id}")
                if run.state in RUN_FINISHED:
                    return run
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_AGAIN)

    def live_events(self, dag_id: str | None = None) -> AsyncIterator[LiveEvent]:
        """See `Control`."""
        return self._live.subscribe(dag_id)

    def health(self) -> Health:
        """See `Control`."""
        return self._health()

    def _run_ended(self, machine: RunMachine) -> None:
        for ended in self._waiting.pop(machine.run.run_id, ()):
            if not ended.done():
                ended.set_result(None)
