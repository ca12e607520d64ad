"""Plans runs: creates those that are due by schedule and those that people ask for.

A run, its task instances and the schedule's new place are created in one transaction; only then
does the scheduler hear of it. Each DAG is planned by one coroutine at a time, so two wishes for
the same run cannot cross, and a DAG of a hundred thousand tasks holds up nobody else.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio

from tradewind.authoring.params import values_for_run
from tradewind.control_ports import TriggerRequest
from tradewind.model.assets import NOTHING_CONSUMED, Consumed
from tradewind.model.batch import DagChange
from tradewind.model.errors import (
    AuthoringError,
    ConflictError,
    DagPausedError,
    Fenced,
    NotFoundError,
    StoreUnavailable,
    TradewindError,
    TryAgain,
)
from tradewind.model.outcomes import CODEC_JSON, EncodedValue, kept_json
from tradewind.model.rows import Lease, ParsedFile, RunRow, RunSnapshot, ScheduleCursor
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunState, RunType
from tradewind.ports import Clock, Store
from tradewind.rules.due import DueRuns, dag_run_id_of, due_runs, manual_run
from tradewind.rules.partitions import asks_code, date_of_key, partition_of
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.timetables import DataInterval, RunInfo
from tradewind.rules.timetables.custom import is_custom
from tradewind.services.asset_runs import asset_run, is_on_assets
from tradewind.services.custom_schedules import CustomSchedules
from tradewind.services.event_runs import EventRun, EventsWait, event_runs, is_on_events, renamed
from tradewind.services.failing_dags import fails_too_often, failures_allowed
from tradewind.services.fresh_instances import FreshInstances
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.scheduler import Scheduler
from tradewind.services.timers import Timers
from tradewind.services.turn import Turn

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 2.0
"""Seconds until a plan that the database refused is tried again."""

ASK_AGAIN_AFTER: Final = 60.0
"""Seconds until a timetable of an author's own class that raised an error is asked again."""


class RunPlanner:
    """Creates runs of the DAGs that the scheduler owns."""

    def __init__(self, store: Store, clock: Clock, scheduler: Scheduler, custom: CustomSchedules | None = None) -> None:
        self._custom = custom or CustomSchedules(clock, {})
        self._store = store
        self._clock = clock
        self._scheduler = scheduler
        self._locks: dict[str, asyncio.Lock] = {}
        self._due: dict[str, None] = {}
        self._asking: dict[str, bool] = {}
        """DAGs that are being planned aside, and whether to look at them again then."""
        self._wake = asyncio.Event()
        self._timers: Timers[str] = Timers(clock, lambda _, dag_id: self.plan(dag_id))
        self._planned_for: dict[str, datetime] = {}
        self._events_wait: dict[str, tuple[str, datetime]] = {}
        """Until when the events of a DAG wait, whatever comes, by which of its versions: they need not be counted."""
        self._failing: set[str] = set()
        """DAGs of which a run has just failed."""
        self.pause: Callable[[str], Awaitable[object]] | None = None
        """Pauses a DAG whose runs fail one after another."""
        scheduler.on_run_ended.append(self._on_run_ended)

    def plan(self, dag_id: str) -> None:
        """Looks at the DAG's schedule soon: it is new, changed, unpaused, due, or a run ended."""
        self._due[dag_id] = None
        self._wake.set()

    async def run(self) -> None:
        """Plans for ever."""
        async with anyio.create_task_group() as aside:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._due:
                    dag_id = next(iter(self._due))
                    del self._due[dag_id]
                    dag = self._scheduler.book.dags.get(dag_id)
                    if dag is None or not _asks_code(dag.spec):
                        await self._plan_one(dag_id)
                    elif dag_id not in self._asking:
                        self._asking[dag_id] = False
                        aside.start_soon(self._plan_aside, dag_id)
                    else:
                        self._asking[dag_id] = True

    async def _plan_aside(self, dag_id: str) -> None:
        """Plans a DAG whose schedule a process has to be asked for, while the others go on."""
        try:
            await self._plan_one(dag_id)
        finally:
            if self._asking.pop(dag_id):
                self.plan(dag_id)

    def stop(self) -> None:
        """Forgets the moments at which schedules are due."""
        self._timers.stop()
        self._planned_for.clear()
        self._events_wait.clear()

    def _on_run_ended(self, machine: RunMachine) -> None:
        if machine.run.state is RunState.FAILED and failures_allowed(machine.graph.spec):
            self._failing.add(machine.run.dag_id)
        self.plan(machine.run.dag_id)

    async def _pause_if_failing(self, dag: OwnedDag) -> None:
        """Only where a run has just failed: whoever unpauses the DAG later is not answered with another pause."""
        if dag.dag_id not in self._failing:
            return
        if self.pause is not None and not dag.row.is_paused and await fails_too_often(self._store, dag.spec):
            log.warning("DAG %s is paused: its last %d runs have failed", dag.dag_id, failures_allowed(dag.spec))
            await self.pause(dag.dag_id)
        self._failing.discard(dag.dag_id)

    async def _plan_one(self, dag_id: str) -> None:
        dag = self._scheduler.book.dags.get(dag_id)
        if dag is None:
            return
        try:
            async with self._lock(dag_id):
                await self._pause_if_failing(dag)
                await self._create_due(dag)
                if is_on_assets(dag.spec):
                    await self._create_on_assets(dag)
                elif is_on_events(dag.spec):
                    await self._create_on_events(dag)
        except AuthoringError as error:
            log.error("the schedule of DAG %s cannot be followed: %s", dag_id, error)
            if _asks_code(dag.spec):
                await self._show_error(dag, error)
                asyncio.get_running_loop().call_later(ASK_AGAIN_AFTER, self.plan, dag_id)
        except Fenced:
            raise
        except TradewindError as error:
            log.warning("the schedule of DAG %s is looked at again in %s s: %s", dag_id, RETRY_AFTER, error)
            asyncio.get_running_loop().call_later(RETRY_AFTER, self.plan, dag_id)
        except Exception:  # whatever a schedule does, it concerns its DAG alone
            log.exception("the schedule of DAG %s cannot be followed", dag_id)

    async def _show_error(self, dag: OwnedDag, error: AuthoringError) -> None:
        """Puts what a timetable's code raised beside the errors of DAG files, until its file is parsed again."""
        source = dag.row.source
        shown = ParsedFile(source, error=f"DAG {dag.dag_id!r}: {error.message}")
        try:
            await self._store.dag_publish(self._scheduler.lease, source.bundle, [shown])
        except StoreUnavailable as lost:
            log.warning("that cannot be shown, the database is away: %s", lost)

    async def _create_on_assets(self, dag: OwnedDag) -> None:
        """The run that the events in the DAG's queue cause. While `max_active_runs` are unfinished they wait, and
        go into one run together.
        """
        while not dag.row.is_paused and dag.row.is_active and dag.unfinished < dag.spec.max_active_runs:
            found = await asset_run(self._store, self._clock, dag.spec, partial(self._custom.partitions, dag))
            if found is None:
                return
            run = self._row(dag, found.info, RunType.ASSET_TRIGGERED)
            key, date = found.partition_key, found.partition_date
            run = dataclasses.replace(run, dag_run_id=found.dag_run_id, run_key=key, partition_date=date)
            await self._create(dag, run, consumed=found.consumed)

    async def _create_on_events(self, dag: OwnedDag) -> None:
        """The runs that events cause by the DAG's policy. Until it says so they wait, with a timer for its moment."""
        waits = self._events_wait.get(dag.dag_id)
        if waits is not None and waits[0] == dag.row.version_hash and waits[1] > self._clock.now():
            return  # whatever has come meanwhile, it does not make that moment an earlier one
        while not dag.row.is_paused and dag.row.is_active:
            room = dag.spec.max_active_runs - dag.unfinished
            found = await event_runs(self._store, self._clock, dag.spec, room) if room > 0 else None
            if found is None:
                return
            if isinstance(found, EventsWait):
                if found.firm:
                    self._events_wait[dag.dag_id] = (dag.row.version_hash, found.at)
                self._wake_at(dag.dag_id, found.at)
                return
            for one in found:
                if dag.row.is_paused:
                    return
                if not await self._create_of_events(dag, one):
                    await self._create_of_events(dag, await renamed(self._store, self._clock, dag.dag_id, one))

    async def _create_of_events(self, dag: OwnedDag, found: EventRun) -> bool:
        run = self._row(dag, found.info, RunType.ASSET_TRIGGERED)
        run = dataclasses.replace(run, dag_run_id=found.dag_run_id, conf=found.conf, run_key=found.key)
        return await self._create(dag, run, consumed=Consumed(tuple(found.event_ids)))

    async def _create_due(self, dag: OwnedDag) -> None:
        while not dag.row.is_paused and dag.row.is_active:
            room = dag.spec.max_active_runs + 1 - dag.unfinished
            due = await self._due_of(dag, min(room, 1))
            if not due.runs:
                if due.cursor != dag.row.cursor:
                    dag.row = dataclasses.replace(dag.row, cursor=due.cursor)
                    change = DagChange(dag.dag_id, cursor=due.cursor)
                    await self._scheduler.intake.ask(partial(_note_dag, change=change))
                self._wake_at(dag.dag_id, due.wake_at)
                return
            info = due.runs[0]
            run = self._row(dag, info, RunType.SCHEDULED)
            if dag.spec.timetable.kind == "cron_partition":
                key, date = partition_of(dag.spec.timetable.args, info)
                run = dataclasses.replace(run, run_key=key, partition_date=date)
            await self._create(dag, run, due.cursor)

    async def _due_of(self, dag: OwnedDag, room: int) -> DueRuns:
        if is_custom(dag.spec.timetable):
            return await self._custom.due(dag, room)
        return due_runs(dag.spec, dag.row.cursor, self._clock.now(), room, dag.unfinished)

    def _wake_at(self, dag_id: str, at: datetime | None) -> None:
        if at is None or self._planned_for.get(dag_id) == at:
            return
        self._planned_for[dag_id] = at
        self._timers.arm(at, dag_id)

    async def trigger(self, request: TriggerRequest, mail_done: tuple[int, bytes] | None = None) -> RunRow:
        """Creates the run that somebody asks for.

        Raises NotFoundError (no such DAG here), DagPausedError, ConflictError (the DAG has a run
        of that id), ParamValidationError (conf does not fit the params).
        """
        async with self._lock(request.dag_id):
            dag = self._scheduler.book.dags.get(request.dag_id)
            if dag is None:
                raise NotFoundError(f"there is no DAG {request.dag_id!r}")
            if not dag.row.is_active:
                raise ConflictError(f"DAG {dag.dag_id!r} is gone: its file no longer defines it")
            if dag.row.is_paused and not (request.unpause or request.while_paused):
                raise DagPausedError(f"DAG {dag.dag_id!r} is paused: unpause it, or trigger it with `unpause`")
            await asyncio.to_thread(values_for_run, dag.spec.params, request.conf)
            at = request.logical_date or self._clock.now()
            custom = is_custom(dag.spec.timetable)
            info = await self._custom.manual(dag, at) if custom else manual_run(dag.spec, at)
            if request.data_interval is not None:
                info = info._replace(interval=DataInterval(*request.data_interval))
            if request.run_after is not None:
                info = info._replace(run_after=request.run_after)
            # Looked up first: `run_create` answers the mail that asked even where the run exists.
            name = request.dag_run_id or dag_run_id_of(request.run_type, info.logical_date)
            known = await self._store.run_get(dag.dag_id, name) is not None
            run = self._row(dag, info, request.run_type, request)
            if request.partition_key is not None:
                run = self._about_partition(dag, run, request.partition_key)
            if known or not await self._create(dag, run, mail_done=mail_done):
                raise ConflictError(
                    f"DAG {dag.dag_id!r} already has a run {run.dag_run_id!r}: choose another run id or logical date"
                )
            return run

    def _about_partition(self, dag: OwnedDag, run: RunRow, key: str) -> RunRow:
        """A run that somebody asks for, about a part of the data."""
        spec, date = dag.spec.timetable, None
        if spec.kind == "cron_partition":
            date = date_of_key(spec.args, key)
        return dataclasses.replace(run, run_key=key, partition_date=date)

    async def _create(
        self,
        dag: OwnedDag,
        run: RunRow,
        cursor: ScheduleCursor | None = None,
        mail_done: tuple[int, bytes] | None = None,
        consumed: Consumed = NOTHING_CONSUMED,
    ) -> bool:
        if self._scheduler.book.dags.get(dag.dag_id) is not dag:
            raise TryAgain(f"DAG {dag.dag_id!r} has just changed hands: ask once more")
        instances = FreshInstances(run.run_id, dag.spec)
        row, spec = dag.row, dag.spec
        lease = self._scheduler.lease
        try:
            fresh = await self._store.run_create(lease, run, instances, cursor, mail_done, consumed)
        except StoreUnavailable:
            found = await self._landed(lease, run)
            if found is None:
                raise
            fresh = True
        else:
            found = None
        if cursor is not None:
            dag.row = dataclasses.replace(dag.row, cursor=cursor)
        book = self._scheduler.book
        if found is not None:
            self._scheduler.take_in(found)
        elif fresh and book.dags.get(dag.dag_id) is dag and run.run_id not in book.runs:  # else it was found already
            graph = dag.graph(run.version_hash, spec)
            self._scheduler.add_run(RunMachine(run, graph, row.source))
        return fresh

    async def _landed(self, lease: Lease, run: RunRow) -> RunSnapshot | None:
        """Waits until the database is back, then gives the run if it was created before it went away."""
        while True:
            await asyncio.sleep(RETRY_AFTER * (0.5 + self._clock.draw()))
            with suppress(StoreUnavailable):
                return await self._store.run_load_one(lease, run.run_id)

    def _row(self, dag: OwnedDag, info: RunInfo, run_type: RunType, asked: TriggerRequest | None = None) -> RunRow:
        conf = None
        if asked is not None and asked.conf is not None:
            conf = EncodedValue(CODEC_JSON, kept_json(asked.conf))
        now = self._clock.now()
        logical = info.logical_date.astimezone(UTC)
        chosen = asked.dag_run_id if asked is not None else None
        return RunRow(
            run_id=self._clock.run_id(),
            dag_id=dag.dag_id,
            dag_run_id=chosen or dag_run_id_of(run_type, logical),
            version_hash=dag.row.version_hash,
            run_type=run_type,
            state=RunState.QUEUED,
            logical_date=logical,
            interval_start=info.interval.start.astimezone(UTC),
            interval_end=info.interval.end.astimezone(UTC),
            queued_at=now,
            run_after=info.run_after.astimezone(UTC),
            conf=conf,
            external_trigger=asked is not None and asked.external,
            note=asked.note if asked is not None else None,
        )

    def _lock(self, dag_id: str) -> asyncio.Lock:
        return self._locks.setdefault(dag_id, asyncio.Lock())


def _note_dag(turn: Turn, change: DagChange) -> None:
    turn.change_dag(change)


def _asks_code(spec: DagSpec) -> bool:
    """Whether a process has to be asked for the DAG's schedule: for a timetable or partition mapper of one's own."""
    return is_custom(spec.timetable) or asks_code(spec.timetable.args)
