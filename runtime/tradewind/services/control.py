"""What CLI, web and embedding services ask of the system, whichever runtime owns the DAG."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import orjson

from tradewind.authoring.connection import Connection
from tradewind.authoring.params import values_for_run
from tradewind.control_ports import Health, LiveEvent, TriggerRequest
from tradewind.model.assets import AssetEvent
from tradewind.model.errors import ConflictError, NotFoundError, TradewindError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.loop import LoopReport
from tradewind.model.metrics import Metric
from tradewind.model.rows import DagRow, InstanceRow, RunRow
from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RUN_FINISHED
from tradewind.model.waits import Signal
from tradewind.model.watches import WatchFacts
from tradewind.ports import NamedWrites, Store, StoreReads
from tradewind.rules.due import keyed_run_id
from tradewind.rules.run_machine import RunMachine
from tradewind.services.custom_schedules import Ask, ask_in_process
from tradewind.services.dependent_dags import dependents
from tradewind.services.event_runs import take_in_event
from tradewind.services.instances_chosen import Cleared
from tradewind.services.live import LiveHub
from tradewind.services.mailed_wishes import MailedWishes
from tradewind.services.scheduler import Scheduler
from tradewind.services.secrets import SecretLookups
from tradewind.services.wish_mail import mail_key_of, trigger_mail
from tradewind.services.wishes import OwnerWishes

FIRST_LOOK: Final = 0.02
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
        self._look_ups: SecretLookups | None = None
        self._closed = False
        self._own: OwnerWishes | None = None
        self._scheduler: Scheduler | None = None
        self._waiting: dict[RunId, list[asyncio.Future[None]]] = {}
        self.asks_loop: Callable[[], LoopReport] = LoopReport
        """Who knows how coroutines share the loop."""
        self.asks_code: Ask = ask_in_process
        """Who has code of DAG files answer."""
        self.asks_watches: Callable[[], Sequence[WatchFacts]] = tuple
        """Who knows how the watchers of assets get on."""
        self.asks_metrics: Callable[[], Awaitable[Sequence[Metric]]] = _no_metrics
        """Who knows the figures of the runtime."""
        self.events_taken: Counter[str] = Counter()
        """Events from outside: posted by name, events of an asset, fired by a watcher."""

    def connect(self, store: Store, mailed: MailedWishes, look_ups: SecretLookups | None = None) -> None:
        """Gives it the database, the way to other runtimes, and where secrets come from (the database alone)."""
        self._look_ups = look_ups
        self._way = store, mailed
        self._closed = False

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

    def _connected(self) -> tuple[Store, MailedWishes]:
        if self._way is None:
            what = "has stopped" if self._closed else "has not started"
            raise RuntimeError(f"the runtime {what}: use `async with Runtime(...)`, or `tradewind_ctx`")
        return self._way

    def _owner(self, dag_id: str) -> OwnerWishes | None:
        return self._own if self._own is not None and self._own.owns(dag_id) else None

    async def run_trigger(self, request: TriggerRequest) -> RunRow:
        """See `Control`."""
        own = self._owner(request.dag_id)
        if own is not None:
            return await own.trigger(request)
        return await self.mailed.trigger(request)

    async def run_request(self, request: TriggerRequest, key: str) -> str:
        """See `Control`."""
        row, spec = await self.dag_with_spec(request.dag_id)
        await asyncio.to_thread(values_for_run, spec.params, request.conf)
        request = replace(request, dag_run_id=keyed_run_id(request.run_type, key), while_paused=True)
        dag_run_id, body = trigger_mail(request, datetime.now(UTC))
        mail_key = mail_key_of(row.dag_id, dag_run_id)
        await self.store.mail_send(row.dag_id, "trigger", orjson.dumps(body), mail_key)
        return dag_run_id

    async def dag_with_spec(self, dag_id: str) -> tuple[DagRow, DagSpec]:
        """An active DAG with the version in force. Raises NotFoundError, ConflictError for one that is gone."""
        known = self.dag_in_memory(dag_id)
        if known is None:
            row = await self.reads.dag_get(dag_id)
            version = None if row is None else await self.reads.dag_version_get(dag_id)
            if row is None or version is None:
                raise NotFoundError(f"there is no DAG {dag_id!r}")
            known = row, version.spec
        if not known[0].is_active:
            raise ConflictError(f"DAG {dag_id!r} is gone: nothing defines it any more")
        return known

    async def event_take_in(
        self, name: str, payload: Mapping[str, Json], key: str | None = None
    ) -> tuple[AssetEvent, bool]:
        """See `Control`."""
        taken = await take_in_event(self.store, name, payload, key)
        self.event_came("posted")
        return taken

    def assets_changed(self) -> None:
        """See `Control`."""
        self.event_came("asset")

    def event_came(self, way: str) -> None:
        """An event from outside was taken in."""
        self.events_taken[way] += 1
        self._live.publish_assets()

    async def secret(self, place: str) -> str | None:
        """See `Control`."""
        kind, _, name = place.partition(":")
        look_ups = self._look_ups or SecretLookups(self.store)
        if kind == "variable":
            return await look_ups.variable(name)
        found = await look_ups.connection(name)
        return None if found is None else Connection.from_text(name, found).password

    async def dag_pause(self, dag_id: str, *, paused: bool) -> DagRow:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.pause(dag_id, paused=paused)
        return await self.mailed.pause(dag_id, paused=paused)

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
        further = await dependents(self.reads, self.asks_code, dag_id, dag_run_id, task_ids, downstream=downstream)
        rows = await self._clear(dag_id, dag_run_id, Cleared(tuple(task_ids), downstream, map_indexes or {}))
        for other in further:
            await self._clear(other.dag_id, other.dag_run_id, Cleared((other.task_id,), True, {}))
        return rows

    async def _clear(self, dag_id: str, dag_run_id: str, which: Cleared) -> list[InstanceRow]:
        own = self._owner(dag_id)
        if own is not None:
            return await own.clear(dag_id, dag_run_id, which)
        return await self.mailed.clear(dag_id, dag_run_id, which)

    async def run_cancel(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.cancel(dag_id, dag_run_id)
        return await self.mailed.cancel(dag_id, dag_run_id)

    async def signal_send(self, dag_id: str, dag_run_id: str, signal: Signal) -> bool:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.signal(dag_id, dag_run_id, signal)
        return await self.mailed.signal(dag_id, dag_run_id, signal)

    async def why_waiting(
        self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = UNMAPPED
    ) -> tuple[str, ...]:
        """See `Control`."""
        own = self._owner(dag_id)
        if own is not None:
            return await own.why_waiting(dag_id, dag_run_id, (task_id, map_index))
        return await self.mailed.why_waiting(dag_id, dag_run_id, (task_id, map_index))

    async def run_wait(self, run_id: RunId, timeout: float | None = None) -> RunRow:
        """See `Control`."""
        async with asyncio.timeout(timeout):
            pause = FIRST_LOOK
            while True:
                if await self._ends_here(run_id):
                    pause = FIRST_LOOK
                run = await self.store.run_by_id(run_id)
                if run is None:
                    raise NotFoundError(f"there is no run {run_id}")
                if run.state in RUN_FINISHED:
                    return run
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_AGAIN)

    async def _ends_here(self, run_id: RunId) -> bool:
        """Returns when the run has ended, or is no longer this runtime's own; False at once if it never was."""
        machine = self._scheduler.book.runs.get(run_id) if self._scheduler is not None else None
        if machine is None or machine.run.state in RUN_FINISHED:
            return False
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(run_id, [])
        waiting.append(ended)
        try:
            await ended
        finally:  # whoever gives up and asks again must not pile up
            waiting.remove(ended)
        return True

    def runs_dropped(self) -> None:
        """Has those who wait look at the store: this runtime has given up its runs and may not hear of their ends."""
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for ended in futures:
                if not ended.done():
                    ended.set_result(None)

    def close(self) -> None:
        """The runtime has stopped: who still waits is told, and nothing more can be asked."""
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for ended in futures:
                if not ended.done():
                    why = "the runtime has stopped; the run goes on when one runs that has its DAG"
                    ended.set_exception(TradewindError(why))
        self._way = self._own = self._scheduler = None
        self._closed = True

    def dag_in_memory(self, dag_id: str) -> tuple[DagRow, DagSpec] | None:
        """A DAG of this runtime with the version in force."""
        dag = self._scheduler.book.dags.get(dag_id) if self._scheduler is not None else None
        return None if dag is None else (dag.row, dag.spec)

    @property
    def mailed(self) -> MailedWishes:
        """The way to other runtimes."""
        return self._connected()[1]

    def live_events(self, dag_id: str | None = None) -> AsyncIterator[LiveEvent]:
        """See `Control`."""
        return self._live.subscribe(dag_id)

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See `Control`."""
        if dag_id and self._owner(dag_id) is None:
            seconds = min(seconds, LOOK_AGAIN)
        return await self._live.changes(what, dag_id, since, seconds)

    def health(self) -> Health:
        """See `Control`."""
        return self._health()

    def loop_report(self) -> LoopReport:
        """See `Control`."""
        return self.asks_loop()

    async def metrics(self) -> Sequence[Metric]:
        """See `Control`."""
        return await self.asks_metrics()

    def watches(self) -> Sequence[WatchFacts]:
        """See `Control`."""
        return self.asks_watches()

    def _run_ended(self, machine: RunMachine) -> None:
        for ended in self._waiting.pop(machine.run.run_id, ()):
            if not ended.done():
                ended.set_result(None)


async def _no_metrics() -> Sequence[Metric]:
    return ()
