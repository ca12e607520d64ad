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
from tradewind.composition import Ground, Services, compose
from tradewind.config import Config, load_config
from tradewind.control_ports import Health, TriggerRequest
from tradewind.database import open_store
from tradewind.executor_ports import Executor
from tradewind.model.assets import AssetEvent
from tradewind.model.errors import Fenced, StoreUnavailable
from tradewind.model.rows import Lease, PoolRow
from tradewind.model.specs import DEFAULT_POOL, DagSpec, Json
from tradewind.ports import Clock, Store
from tradewind.rules.admission import PARALLELISM
from tradewind.services.blob_sweeper import sweep_blobs
from tradewind.services.bundle_watcher import BundleWatcher
from tradewind.services.clock import SystemClock
from tradewind.services.control import RuntimeControl
from tradewind.services.default_connections import make_default_connections
from tradewind.services.executor_loading import executor_settings, load_executors
from tradewind.services.garbage import collect_when_idle, settle
from tradewind.services.given_dags import GivenDag, GivenDags
from tradewind.services.live import LiveHub
from tradewind.services.look_up_server import serve_look_ups
from tradewind.services.runtime_names import runtime_name
from tradewind.services.secrets import SecretLookups, StoredValues, look_ups_of
from tradewind.services.started_run import RunStarter
from tradewind.services.started_run import StartedRun as StartedRun
from tradewind.store.enqueuing import SqlConnection
from tradewind.version import VERSION
from tradewind.worker.client_watch import clients_of_loop

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
    files_elsewhere: bool = False
    """Whether executors load the files of DAGs that were handed over as objects, in processes that may then ask for
    variables and connections. Those that load watched files always may.
    """
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
        self.parts = parts or Parts()
        self._given = GivenDags(dags, self.parts.adapt)
        if config is not None and database:
            config = replace(config, database=replace(config.database, url=database))
        self.config = self._given.configured(config or load_config(overrides=overrides))
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
        self._services: Services | None = None
        self.watcher: BundleWatcher | None = None
        self._lease: Lease | None = None

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
            await self._load_plugins()
            look_ups = look_ups_of(self.config, store, self.parts.stored)
            if self._watches or self.parts.files_elsewhere:
                address = await self._exit.enter_async_context(serve_look_ups(look_ups))
                self.config = replace(self.config, look_ups=address)
            await self._exit.enter_async_context(clients_of_loop())
            self._services = services = self._composed(store, executors, look_ups)
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

    async def _load_plugins(self) -> None:
        """Listeners of plug-ins hear of runs and assets in this process. One that hangs holds nothing up."""
        folder = self.config.dags.plugins_folder
        if not await asyncio.to_thread(folder.is_dir):
            return
        from tradewind.bundles.loader import prepare_imports  # a start is quicker without it

        try:
            async with asyncio.timeout(self.config.dags.import_timeout):
                await asyncio.to_thread(prepare_imports, str(folder))
        except TimeoutError:
            log.error(
                "plug-ins in %s did not load within %g s; listeners hear nothing",
                folder,
                self.config.dags.import_timeout,
            )

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
    def services(self) -> Services:
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
        """Starts a run and returns its result: see `trigger` and `StartedRun.result`. Where it would have none, nothing
        is started.
        """
        await self._starter.check_task(dag.dag_id if isinstance(dag, DAG) else dag, task_id)
        run = await self.trigger(dag, conf, key=key)
        return await run.result(task_id, timeout=timeout)

    async def event(
        self,
        name: str,
        payload: Mapping[str, Json] | None = None,
        *,
        key: str | None = None,
        connection: SqlConnection | None = None,
    ) -> AssetEvent:
        """Takes in an event for the DAGs that wait for it by `EventSchedule(name)`. Durable when it returns; the same
        key again is the same event of that name. With `connection`, as in `trigger`, it is there when your transaction
        commits and never was if it does not.

        Raises NotFoundError where no DAG waits for it; ConflictError where no transaction is open on `connection`.
        """
        if connection is not None:
            return await self._starter.event(name, payload or {}, key=key, connection=connection)
        return (await self.control.event_take_in(name, payload or {}, key))[0]

    async def pool_set(self, pool: PoolRow) -> None:
        """Makes or changes a pool; it counts from now on."""
        await self.services.store.pool_set(pool)
        await self.services.permits.hold_pools(self.services.scheduler.lease)

    async def refresh(self, dag_ids: Sequence[str]) -> None:
        """Takes in what has changed about these DAGs, or tells their owner."""
        await self.services.owner.refresh(dag_ids)

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

    def _composed(self, store: Store, executors: Mapping[str, Executor], look_ups: SecretLookups) -> Services:
        own, more = self.parts.own_process, dict(self.parts.executor_settings)
        ground = Ground(
            config=self.config,
            clock=self.clock,
            store=store,
            executors=executors,
            executor_settings={k: executor_settings(self.config, k, own_process=own) | more for k in executors},
            look_ups=look_ups,
            given=self._given,
            live=self.live,
            control=self.control,
        )
        return compose(ground)

    async def _live_on(self, services: Services) -> None:
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
            services.forget()
            await asyncio.sleep(pause)

    async def _reign(self, services: Services) -> None:
        store, scheduler = services.store, services.scheduler
        lease = self._lease = await store.runtime_join(await asyncio.to_thread(runtime_name))
        store.watch(lease, services.inbox.wake, services.mailed.on_reply, services.permits.pools_changed)
        await services.rescuer.bury_the_gone(lease)
        await scheduler.start(lease)
        await services.owner.take_over()
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
                watcher = BundleWatcher(store, lambda: lease, self.config, services.owner.published)
                self.watcher = watcher
                services.meter.follow(watcher)
                tasks.start_soon(watcher.run)
                tasks.start_soon(services.owner.run)
            if self.parts.own_process:
                settle()
                tasks.start_soon(collect_when_idle, lambda: services.scheduler.turns)
            self._started.set()

    async def _size_limits(self, services: Services, lease: Lease) -> None:
        pools = await services.store.pool_list()
        if not any(pool.name == DEFAULT_POOL for pool in pools):
            default = PoolRow(DEFAULT_POOL, self.config.core.default_pool_slots, "Default pool")
            await services.store.pool_set(default)
        if self.config.database.load_default_connections:
            await make_default_connections(services.store)
        await services.permits.hold(lease, PARALLELISM, self.config.core.parallelism)
        await services.permits.hold_pools(lease)
