"""Makes the parts of a runtime and joins them: which part hears of what."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.config import Config
from tradewind.control_ports import LiveEvent
from tradewind.executor_ports import Executor
from tradewind.model.specs import Json
from tradewind.ports import Clock, Store
from tradewind.services.asset_router import AssetRouter
from tradewind.services.callbacks import Callbacks, OutboxCarrier
from tradewind.services.control import RuntimeControl
from tradewind.services.custom_schedules import TIME_LIMIT, Ask, CustomSchedules, ask_in_process
from tradewind.services.dag_owner import DagOwner
from tradewind.services.deadline_keeper import DeadlineKeeper
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.given_dags import GivenDags
from tradewind.services.inbox import InboxReader
from tradewind.services.live import LiveHub
from tradewind.services.mailed_wishes import MailedWishes
from tradewind.services.mailer import OfTry, SayInLog
from tradewind.services.meter import Meter, Metered
from tradewind.services.permit_keeper import PermitKeeper
from tradewind.services.planner import RunPlanner
from tradewind.services.rescuer import BeatTimes, Rescuer
from tradewind.services.run_listeners import RunListeners
from tradewind.services.scheduler import Scheduler
from tradewind.services.secrets import SecretLookups
from tradewind.services.task_services import RuntimeServices
from tradewind.services.watch_keeper import WatchKeeper
from tradewind.services.wishes import OwnerWishes
from tradewind.worker.log import LogRef, append_afterwards
from tradewind.worker.timetable import answer_for


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parts of a runtime stand on."""

    config: Config
    clock: Clock
    store: Store
    executors: Mapping[str, Executor]
    executor_settings: Mapping[str, Mapping[str, Json]]
    """What each executor is told."""
    look_ups: SecretLookups
    given: GivenDags
    live: LiveHub
    control: RuntimeControl

    @property
    def log_root(self) -> str:
        """The folder of the attempts' logs."""
        return str(self.config.logging.folder)


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one runtime."""

    store: Store
    scheduler: Scheduler
    planner: RunPlanner
    owner: DagOwner
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
    meter: Meter

    def forget(self) -> None:
        """The lease is lost: another runtime decides now."""
        self.scheduler.drop()
        self.watches.settle()
        self.control.runs_dropped()
        self.permits.forget()
        self.deadlines.forget()
        self.meter.commits.forget()


def compose(ground: Ground) -> Services:
    """Makes the parts; nothing runs yet."""
    config, clock, store, control = ground.config, ground.clock, ground.store, ground.control
    mailed = MailedWishes(store, clock)
    control.connect(store, mailed, ground.look_ups)
    task_services = RuntimeServices(store, control, ground.look_ups)
    _register(ground.executors, ground.given)
    dispatcher = Dispatcher(ground.executors, task_services, clock, ground.log_root, ground.executor_settings)
    dispatcher.spiller = task_services.spiller
    dispatcher.hear_offences(lambda _: ground.live.hint(LiveEvent("loop")))
    control.asks_loop = dispatcher.loop_report
    scheduler = Scheduler(store, clock, dispatcher, ground.live)
    scheduler.on_committed.append(task_services.cache.learn)
    task_services.attach(scheduler.intake)
    load_with = {"authoring_defaults": defaults_to_json(config.authoring_defaults())}
    ask = _ask_code(ground.given)
    control.asks_code = lambda request: ask({**load_with, **request})
    planner = RunPlanner(store, clock, scheduler, CustomSchedules(clock, load_with, ask))
    owner = DagOwner(store, scheduler, planner, mailed, ground.live, ground.given, ground.executors.keys())
    wishes = OwnerWishes(store, scheduler, planner, ground.live)
    control.attach(wishes, scheduler)
    inbox = InboxReader(store, wishes, owner.refresh)
    callbacks = Callbacks(store, OutboxCarrier(store, config, task_services, _say_in_logs(ground.log_root)))
    scheduler.on_outbox = callbacks.wake
    deadlines = DeadlineKeeper(store, clock, scheduler.book)
    deadlines.on_missed += [callbacks.wake, partial(ground.live.hint, LiveEvent("deadlines"))]
    listeners = RunListeners(scheduler.book)
    router = AssetRouter(store)
    scheduler.on_committed += [listeners.learn, router.learn]
    inbox.on_unrouted.append(router.wake)
    watches = WatchKeeper(
        store, clock, scheduler.book.dags, dispatcher.watches_carrier, partial(control.event_came, "watcher")
    )
    watches.on_changed.append(partial(ground.live.hint, LiveEvent("watchers")))
    control.asks_watches = watches.facts
    owner.on_arrived += [inbox.wake, callbacks.wake, router.wake, deadlines.look_back]
    owner.on_changed.append(watches.settle)
    permits = PermitKeeper(store, scheduler, owner.claiming)
    owner.on_arrived.append(permits.inherited)
    rescuer = Rescuer(
        store,
        clock,
        times=BeatTimes(config.scheduler.lease, config.scheduler.beat, config.scheduler.beat_alone),
        take_over=owner.take_over,
        on_mail=inbox.wake,
        on_peers=permits.peers_changed,
    )
    metered = Metered(scheduler, dispatcher, permits, rescuer, watches.facts, control.events_taken)
    return Services(
        store=store,
        scheduler=scheduler,
        planner=planner,
        owner=owner,
        dispatcher=dispatcher,
        rescuer=rescuer,
        inbox=inbox,
        mailed=mailed,
        callbacks=callbacks,
        deadlines=deadlines,
        listeners=listeners,
        permits=permits,
        control=control,
        router=router,
        watches=watches,
        meter=_metered(ground, metered),
    )


def _metered(ground: Ground, of: Metered) -> Meter:
    """Has what happens counted, and the control know who tells of it."""
    meter = Meter(ground.config.metrics.series, of.scheduler.book.runs)
    of.scheduler.on_committed.append(meter.commits.learn)
    of.scheduler.book.on_added.append(meter.commits.run_added)
    of.dispatcher.hear_offences(meter.offended)
    ground.control.asks_metrics = partial(meter.collect, of)
    return meter


def _register(executors: Mapping[str, Executor], given: GivenDags) -> None:
    """Executors that carry functions of this process are told of the DAGs that have them."""
    for executor in executors.values():
        register = getattr(executor, "register_dag", None)
        if register is not None:
            for dag in given.dags.values():
                register(dag)


def _ask_code(given: GivenDags) -> Ask:
    """Asks an author's timetable class, mapper or template: in a process that loads the DAG file, or, of a DAG that was
    handed over as an object, in a thread.
    """

    async def ask(request: Mapping[str, Json]) -> Json:
        dag = given.dags.get(str(request["dag_id"]))
        if dag is None:
            return await ask_in_process(request)
        try:
            async with asyncio.timeout(TIME_LIMIT):
                return await asyncio.to_thread(answer_for, dag, request)
        except TimeoutError:
            return {"error": f"it took longer than {TIME_LIMIT:g} s to say when the next run is"}

    return ask


def _say_in_logs(log_root: str) -> SayInLog:
    def say(told: OfTry, text: str) -> None:
        append_afterwards(log_root, LogRef(*told), text)

    return say
