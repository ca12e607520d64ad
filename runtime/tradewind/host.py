"""The runtime: one event loop that composes the services. Start-up is recovery; there is no other.

::

    async with Runtime(database="postgresql://…", dags=[onboarding]) as runtime:
        print(await runtime.run("onboarding", {"user": 7}))

The daemon is this plus signals and the web server. Leaving the block drains: nothing new starts,
running attempts get `scheduler.drain_timeout` to end, what is left goes on at the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.abc

from tradewind.authoring.dag import DAG
from tradewind.authoring.listeners import tell
from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.config import Config, load_config
from tradewind.control_ports import Health, LiveEvent, TriggerRequest
from tradewind.database import open_store
from tradewind.executor_ports import Executor
from tradewind.model.assets import AssetEvent
from tradewind.model.errors import Fenced, StoreUnavailable
from tradewind.model.rows import DagRow, Lease, PoolRow
from tradewind.model.specs import DEFAULT_POOL, DagSpec, Json
from tradewind.ports import Clock, Store
from tradewind.rules.admission import PARALLELISM
from tradewind.services.asset_router import AssetRouter
from tradewind.services.blob_sweeper import sweep_blobs
from tradewind.services.bundle_watcher import BundleWatcher
from tradewind.services.callbacks import Callbacks, OutboxCarrier
from tradewind.services.clock import SystemClock
from tradewind.services.control import RuntimeControl
from tradewind.services.custom_schedules import TIME_LIMIT, CustomSchedules, ask_in_process
from tradewind.services.deadline_keeper import DeadlineKeeper
from tradewind.services.default_connections import make_default_connections
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.executor_loading import executor_settings, load_executors
from tradewind.services.garbage import collect_when_idle, settle
from tradewind.services.given_dags import EMBEDDED_BUNDLE, GivenDag, GivenDags
from tradewind.services.inbox import InboxReader, MailedWishes
from tradewind.services.live import LiveHub
from tradewind.services.look_up_server import serve_look_ups
from tradewind.services.mailer import OfTry, SayInLog
from tradewind.services.permit_keeper import PermitKeeper
from tradewind.services.planner import RunPlanner
from tradewind.services.rescuer import BeatTimes, Rescuer
from tradewind.services.run_listeners import RunListeners
from tradewind.services.runtime_names import runtime_name
from tradewind.services.scheduler import Scheduler
from tradewind.services.secrets import SecretLookups, StoredValues, look_ups_of
from tradewind.services.started_run import RunStarter
from tradewind.services.started_run import StartedRun as StartedRun
from tradewind.services.task_services import RuntimeServices
from tradewind.services.watch_keeper import WatchKeeper
from tradewind.services.wishes import OwnerWishes
from tradewind.store.enqueuing import SqlConnection
from tradewind.version import VERSION
from tradewind.worker.client_watch import clients_of_loop
from tradewind.worker.log import LogRef, append_afterwards
from tradewind.worker.timetable import answer_for

log = logging.getLogger(__name__)

BEGIN_ANEW_AFTER: Final = 1.0
"""Seconds between two tries to join while the database is away."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Replacements for parts of a runtime (tests, simulation, embedding). None: the usual one."""

    store: Store | None = None
    clock: Clock | None = None
    executors: Mapping[str, Executor] | None = None
    watch_files: bool | None = None
    """Whether DAG files are loaded and watched. None: unless the runtime is given DAGs, and no folder among them."""
    own_process: bool = False
    """Whether the process is the runtime's own. In another's, nothing is changed that belongs to the whole process:
    no signal handler, no settings of logging and of the garbage collector, no standard streams.
    """
    executor_settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What every executor is told over its section of the configuration."""
    adapt: Callable[[DagSpec], DagSpec] | None = None
    """Changes the specs of DAGs that are handed over as objects."""
    stored: StoredValues | None = None
    """Variables and connections that the store does not have."""


class Runtime:
    """Everything that runs workflows, on the running loop, for the time of an `async with`."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        database: str | None = None,
        dags: Sequence[GivenDag] | None = None,
        create_tables: bool = False,
        parts: Parts | None = None,
    ) -> None:
        """Reads the configuration, so make it before the loop runs, or in a thread.

        Args:
            config: as `load_config` gives it; by default what the command line would read.
            database: URL of the database, in the place of the configured one; PostgreSQL of its own if neither is set.
            dags: DAGs, functions that make DAGs, folders of DAG files. None: what the configuration names.
            create_tables: makes the tables in a database that has none; an older schema is left as it is.
            parts: replacements, for tests and special cases.

        Raises:
            ConfigError, AuthoringError: a setting, or something in `dags`, is not what it has to be.
        """
        overrides: dict[str, Json] = {"database.url": database} if database else {}
        self._given = GivenDags(dags)
        if config is not None and database:
            config = replace(config, database=replace(config.database, url=database))
        self.config = self._given.configured(config or load_config(overrides=overrides))
        self.parts = parts or Parts()
        files = self.parts.watch_files
        self._watches = files if files is not None else self._given.says_nothing or bool(self._given.folders)
        self._create_tables = create_tables
        self.clock: Clock = self.parts.clock or SystemClock()
        self.live = LiveHub()
        self.control = RuntimeControl(self.live, str(self.config.logging.folder), self.health)
        """What people ask of the system. It can be handed on before the start."""
        self._starter = RunStarter(self.control, self.clock)
        self._exit = AsyncExitStack()
        self._started = asyncio.Event()
        self._services: _Services | None = None
        self.watcher: BundleWatcher | None = None
        self._lease: Lease | None = None
        self._arriving = asyncio.Lock()
        """Held while DAGs are taken in, so that none comes without its runs."""
        self._changed: dict[str, None] = {}
        self._has_changed = asyncio.Event()

    # ---------------------------------------------------------------------------- lifecycle

    async def __aenter__(self) -> Self:
        if self._services is not None:
            raise RuntimeError("a runtime lives once: make another one")
        try:
            store = self.parts.store
            if store is None:
                store = await self._exit.enter_async_context(open_store(self.config, make_tables=self._create_tables))
            executors = self.parts.executors
            if executors is None:
                executors = await asyncio.to_thread(load_executors)
            look_ups = look_ups_of(self.config, store, self.parts.stored)
            if self._watches:
                address = await self._exit.enter_async_context(serve_look_ups(look_ups))
                self.config = replace(self.config, look_ups=address)
            await self._exit.enter_async_context(clients_of_loop())
            self._services = services = self._compose(store, executors, look_ups)
            tasks = await self._exit.enter_async_context(anyio.create_task_group())
            self._exit.push_async_callback(self._stop, tasks)
            await services.dispatcher.start(services.scheduler.intake)
            tasks.start_soon(self._live_on, services)
            await self._started.wait()
            await asyncio.to_thread(tell, "on_starting", component=self)
        except BaseException as error:
            await self._exit.__aexit__(type(error), error, error.__traceback__)
            self.control.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._exit.__aexit__(kind, error, trace)
        finally:
            self._started.clear()
            self.control.close()

    async def _stop(self, tasks: anyio.abc.TaskGroup) -> None:
        """Drains, then ends the services. What attempts report while draining is committed."""
        services = self.services
        drain = timedelta(seconds=self.config.scheduler.drain_timeout)
        with anyio.CancelScope(shield=True):
            await asyncio.to_thread(tell, "before_stopping", component=self)
            services.planner.stop()
            services.scheduler.close_admission()
            await services.dispatcher.stop(drain)
            await services.scheduler.settled()
            tasks.cancel_scope.cancel()
            if self._lease is not None:
                try:
                    await services.store.runtime_leave(self._lease)
                except (StoreUnavailable, Fenced) as gone:
                    log.info("left without saying good-bye: %s", gone)

    # ------------------------------------------------------------------------------- faces

    @property
    def services(self) -> _Services:
        """The running parts. Raises RuntimeError outside `async with`."""
        if self._services is None:
            raise RuntimeError("the runtime has not started: use `async with Runtime(...)`")
        return self._services

    async def trigger(
        self,
        dag: str | DAG,
        conf: Mapping[str, Json] | None = None,
        *,
        key: str | None = None,
        run_id: str | None = None,
        note: str | None = None,
        connection: SqlConnection | None = None,
    ) -> StartedRun:
        """Starts a run and returns at once; await its `result()`, or keep its `id`.

        Args:
            dag: the DAG or its id; any DAG of the database, whichever runtime owns it.
            conf: what the run is to know, JSON; it has to fit the DAG's params.
            key: there is one run for a key, however often it is asked for. The id is made of it.
            run_id: the run's id, by default made of the moment.
            note: shown with the run.
            connection: an asyncpg connection to the same database with a transaction open: the run begins when that
                commits and never was if it does not. While the DAG is paused, the run waits.

        Raises:
            NotFoundError: there is no such DAG. DagPausedError: it is paused. ParamValidationError: the conf does
            not fit. ConflictError: there is a run of this id, or no transaction is open on `connection`.
        """
        dag_id = dag.dag_id if isinstance(dag, DAG) else dag
        request = TriggerRequest(dag_id, conf, dag_run_id=run_id, note=note)
        return await self._starter.start(request, key=key, connection=connection)

    async def run(
        self,
        dag: str | DAG,
        conf: Mapping[str, Json] | None = None,
        *,
        key: str | None = None,
        task_id: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Starts a run and returns its result: see `trigger` and `StartedRun.result`."""
        run = await self.trigger(dag, conf, key=key)
        return await run.result(task_id, timeout=timeout)

    async def event(
        self, name: str, payload: Mapping[str, Json] | None = None, *, key: str | None = None
    ) -> AssetEvent:
        """Takes in an event for the DAGs that wait for it by `EventSchedule(name)`. Durable when it returns; the same
        key again is the same event of that name. Raises NotFoundError where no DAG waits for it.
        """
        return (await self.control.event_take_in(name, payload or {}, key))[0]

    async def files_loaded(self) -> None:
        """Returns when every DAG file that was there at the start has been published."""
        if self.watcher is not None:
            await self.watcher.ready.wait()

    def health(self) -> Health:
        """Whether the parts work. The database counts as gone after two beats without answer."""
        services = self._services
        seen = services.rescuer.last_beat if services is not None else None
        now = self.clock.monotonic()
        fresh = seen is not None and now - seen <= 2 * self.config.scheduler.beat_alone + 5
        beat = self.clock.now() - timedelta(seconds=now - seen) if seen is not None else None
        return Health(fresh, self._started.is_set(), beat, VERSION)

    # ------------------------------------------------------------------------------ within

    def _compose(self, store: Store, executors: Mapping[str, Executor], look_ups: SecretLookups) -> _Services:
        config, clock = self.config, self.clock
        log_root = str(config.logging.folder)
        mailed = MailedWishes(store, clock)
        control = self.control
        control.connect(store, mailed, look_ups)
        task_services = RuntimeServices(store, control, look_ups)
        for executor in executors.values():
            for dag in self._given.dags.values():
                register = getattr(executor, "register_dag", None)
                if register is not None:
                    register(dag)
        own, more = self.parts.own_process, dict(self.parts.executor_settings)
        settings = {kind: executor_settings(config, kind, own_process=own) | more for kind in executors}
        dispatcher = Dispatcher(executors, task_services, clock, log_root, settings)
        control.asks_loop = dispatcher.loop_report
        scheduler = Scheduler(store, clock, dispatcher, self.live)
        scheduler.on_committed.append(task_services.cache.learn)
        task_services.attach(scheduler.intake)
        load_with = {"authoring_defaults": defaults_to_json(config.authoring_defaults())}
        planner = RunPlanner(store, clock, scheduler, CustomSchedules(clock, load_with, self._ask_timetable))
        wishes = OwnerWishes(store, scheduler, planner, self.live)
        control.attach(wishes, scheduler)
        inbox = InboxReader(store, wishes, self.refresh)
        callbacks = Callbacks(store, OutboxCarrier(store, config, task_services, _say_in_logs(log_root)))
        scheduler.on_outbox = callbacks.wake
        deadlines = DeadlineKeeper(store, clock, scheduler.book)
        deadlines.on_missed.append(callbacks.wake)
        listeners = RunListeners(scheduler.book)
        scheduler.on_committed.append(listeners.learn)
        router = AssetRouter(store)
        scheduler.on_committed.append(router.learn)
        watches = WatchKeeper(
            store, clock, scheduler.book.dags, dispatcher.watches_carrier, on_event=control.assets_changed
        )
        control.asks_watches = watches.facts
        permits = PermitKeeper(store, scheduler)
        rescuer = Rescuer(
            store,
            clock,
            times=BeatTimes(config.scheduler.lease, config.scheduler.beat, config.scheduler.beat_alone),
            take_over=self.take_over,
            on_mail=inbox.wake,
            on_peers=permits.peers_changed,
        )
        return _Services(
            store,
            scheduler,
            planner,
            dispatcher,
            rescuer,
            inbox,
            mailed,
            callbacks,
            deadlines,
            listeners,
            permits,
            control,
            router,
            watches,
        )

    async def _live_on(self, services: _Services) -> None:
        """One reign after another: a runtime that is fenced forgets all and joins anew."""
        while True:
            pause = 0.0
            try:
                await self._reign(services)
            except* Fenced as fenced:
                log.error("another runtime has taken over: %s", fenced.exceptions[0])
            except* StoreUnavailable as lost:
                if not self._started.is_set():
                    raise
                log.warning("begins anew when the database is back: %s", lost.exceptions[0])
                pause = BEGIN_ANEW_AFTER
            services.scheduler.drop()
            services.watches.settle()
            services.control.runs_dropped()
            services.permits.forget()
            services.deadlines.forget()
            await asyncio.sleep(pause)

    async def _reign(self, services: _Services) -> None:
        store, scheduler = services.store, services.scheduler
        lease = self._lease = await store.runtime_join(await asyncio.to_thread(runtime_name))
        store.watch(lease, services.inbox.wake, services.mailed.on_reply, services.permits.pools_changed)
        await services.rescuer.bury_the_gone(lease)
        await scheduler.start(lease)
        await self.take_over()
        await self._size_limits(services, lease)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run)
            tasks.start_soon(services.planner.run)
            tasks.start_soon(services.rescuer.beat, lease)
            tasks.start_soon(services.rescuer.run, lease)
            tasks.start_soon(services.inbox.run, lease)
            tasks.start_soon(services.callbacks.run, lease)
            tasks.start_soon(services.deadlines.run, lease)
            tasks.start_soon(services.listeners.run)
            tasks.start_soon(sweep_blobs, store)
            tasks.start_soon(services.permits.run, lease)
            tasks.start_soon(services.router.run)
            tasks.start_soon(services.permits.follow_pools, lease)
            if self._watches:
                watcher = BundleWatcher(store, lambda: lease, self.config, self._published)
                self.watcher = watcher
                tasks.start_soon(watcher.run)
                tasks.start_soon(self._take_in_published)
            if self.parts.own_process:
                settle()
                tasks.start_soon(collect_when_idle, lambda: services.scheduler.turns)
            self._started.set()

    async def _size_limits(self, services: _Services, lease: Lease) -> None:
        pools = await services.store.pool_list()
        if not any(pool.name == DEFAULT_POOL for pool in pools):
            default = PoolRow(DEFAULT_POOL, self.config.core.default_pool_slots, "Default pool")
            await services.store.pool_set(default)
        if self.config.database.load_default_connections:
            await make_default_connections(services.store)
        await services.permits.hold(lease, PARALLELISM, self.config.core.parallelism)
        await services.permits.hold_pools(lease)

    async def pool_set(self, pool: PoolRow) -> None:
        """Makes or changes a pool; it counts from now on."""
        await self.services.store.pool_set(pool)
        await self.services.permits.hold_pools(self.services.scheduler.lease)

    async def take_over(self) -> None:
        """Claims every DAG that nobody owns and whose code is here, and goes on with its runs."""
        store, scheduler = self.services.store, self.services.scheduler
        async with self._arriving:
            lease = scheduler.lease
            known = {row.dag_id: row for row in await store.dag_list()}
            free = [row.dag_id for row in known.values() if row.owner is None and self._given.can_carry(row)]
            if free:
                await store.dag_claim(lease, free)
            await self._publish_given(lease, [dag for dag in self._given.dags if dag in free or dag not in known])
            mine = [row for row in await store.dag_list() if row.owner == lease.runtime_id]
            rows = [row for row in mine if row.dag_id not in scheduler.book.dags]
            if rows:
                await self._go_on_with(lease, rows)

    async def _go_on_with(self, lease: Lease, rows: Sequence[DagRow]) -> None:
        """Takes in DAGs that are ours, with all their unfinished runs."""
        services = self.services
        store, scheduler = services.store, services.scheduler
        versions = [await store.dag_version_get(row.dag_id, row.version_hash) for row in rows]
        snapshots = await store.run_load(lease, [row.dag_id for row in rows])
        for row, version in zip(rows, versions, strict=True):
            if version is not None:
                scheduler.own(row, version.spec).is_arriving = True
        arrived = [row.dag_id for row in rows]
        await scheduler.resumer.go_on(snapshots, "the runtime that carried it ended", arrived)
        for row in rows:
            services.planner.plan(row.dag_id)
        services.inbox.wake()  # what was sent to them, and what their last owner had still to carry out
        services.callbacks.wake()
        services.router.wake()
        services.watches.settle()

    async def _ask_timetable(self, request: Mapping[str, Json]) -> Json:
        """Asks an author's timetable class: in a process that loads the DAG file, or, of a DAG that was handed over
        as an object, in a thread.
        """
        given = self._given.dags.get(str(request["dag_id"]))
        if given is None:
            return await ask_in_process(request)
        try:
            async with asyncio.timeout(TIME_LIMIT):
                return await asyncio.to_thread(answer_for, given, request)
        except TimeoutError:
            return {"error": f"it took longer than {TIME_LIMIT:g} s to say when the next run is"}

    def _published(self, dag_ids: list[str]) -> None:
        self._changed.update(dict.fromkeys(dag_ids))
        self._has_changed.set()
        self.live.publish(LiveEvent("import_errors"))  # files that broke, or are whole again, change no DAG

    async def _take_in_published(self) -> None:
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
            if self.live.is_watched:
                self.live.publish(LiveEvent("dag", dag_id, dag=await self.services.store.dag_get(dag_id)))

    async def _refresh_one(self, dag_id: str) -> None:
        services = self.services
        row = await services.store.dag_get(dag_id)
        if row is None:
            return
        if self._lease is None or row.owner != self._lease.runtime_id:
            await services.mailed.tell_changed(dag_id)
            return
        known = services.scheduler.book.dags.get(dag_id)
        if known is None:
            await self._go_on_with(self._lease, [row])
            return
        if dag_id in self._given.dags and row.version_hash != known.row.version_hash:
            return  # another runtime was given another version: it comes into force when that one owns the DAG
        spec = known.spec
        if known.row.version_hash != row.version_hash:
            version = await services.store.dag_version_get(dag_id, row.version_hash)
            if version is None:
                return
            spec = version.spec
        if services.scheduler.book.dags.get(dag_id) is known:
            services.scheduler.own(row, spec)
            services.planner.plan(dag_id)
            services.watches.settle()

    async def _publish_given(self, lease: Lease, dag_ids: Sequence[str]) -> None:
        """DAGs that are new, or ours from now on, are in force as they were given."""
        if not dag_ids:
            return
        kinds = frozenset(self.services.dispatcher.executors)
        adapt = self.parts.adapt
        files = await asyncio.to_thread(self._given.files, dag_ids, kinds if adapt is None else frozenset[str]())
        if adapt is not None:
            files = [replace(file, dags=tuple(adapt(spec) for spec in file.dags)) for file in files]
        await self.services.store.dag_publish(lease, EMBEDDED_BUNDLE, files)


@dataclass(frozen=True, slots=True)
class _Services:
    """The parts of one runtime."""

    store: Store
    scheduler: Scheduler
    planner: RunPlanner
    dispatcher: Dispatcher
    rescuer: Rescuer
    inbox: InboxReader
    mailed: MailedWishes
    callbacks: Callbacks
    deadlines: DeadlineKeeper
    listeners: RunListeners
    permits: PermitKeeper
    control: RuntimeControl
    router: AssetRouter
    watches: WatchKeeper


def _say_in_logs(log_root: str) -> SayInLog:
    def say(told: OfTry, text: str) -> None:
        append_afterwards(log_root, LogRef(*told), text)

    return say
