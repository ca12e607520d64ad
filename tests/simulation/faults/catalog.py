"""Faults to plant: each breaks one decision, the way a slip of the pen would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.simulation import stories
from tradewind.model.states import RunState, TaskState, TriggerRule
from tradewind.rules import run_ledger, trigger_rules
from tradewind.rules.admission import Admission, Lane
from tradewind.rules.run_machine import RunMachine
from tradewind.services import rescuer, run_book
from tradewind.services.committer import Committer
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.inbox import InboxReader
from tradewind.services.intake import Intake
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.permit_keeper import PermitKeeper
from tradewind.services.planner import RunPlanner
from tradewind.services.resumer import Resumer
from tradewind.services.scheduler import Scheduler
from tradewind.services.timers import Timers
from tradewind.store import memory, memory_tables

Patch = pytest.MonkeyPatch
Any_ = Any


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault, and the stories in which it soon shows."""

    name: str
    plant: Callable[[Patch], None]
    processes: int = 1
    disturbed: bool = True
    """Whether the stories are ones in which processes die and connections break."""
    first_seed: int = 0
    story: Callable[[], None] | None = None
    """A story of its own instead, for what chance brings about too seldom."""
    mapped: bool = False
    """Whether the stories have mapped tasks."""


FAULTS: Final[list[Fault]] = []


def fault(
    processes: int = 1,
    *,
    disturbed: bool = True,
    seed: int = 0,
    story: Callable[[], None] | None = None,
    mapped: bool = False,
) -> Callable[[Callable[[Patch], None]], None]:
    """Registers a function that plants a fault."""

    def register(plant: Callable[[Patch], None]) -> None:
        FAULTS.append(Fault(plant.__name__, plant, processes, disturbed, seed, story, mapped))

    return register


def giving(result: object) -> Callable[..., Any_]:
    """A function or method that does nothing but give this."""

    def give(*_args: object, **_named: object) -> object:
        return result

    return give


def _wrap(patch: Patch, owner: object, name: str, make: Callable[[Any_], Any_]) -> None:
    patch.setattr(owner, name, make(getattr(owner, name)))


# ------------------------------------------------------------------ store, fence, commits


@fault()
def fence_dropped(patch: Patch) -> None:
    def make(apply: Any_) -> Any_:
        def unfenced(db: Any_, lease: Any_, batch: Any_) -> Any_:
            record = db.runtimes[lease.runtime_id]
            before = record.alive, record.epoch
            record.alive, record.epoch = True, lease.epoch
            try:
                return apply(db, lease, batch)
            finally:
                record.alive, record.epoch = before

        return unfenced

    _wrap(patch, memory, "apply_batch", make)
    _wrap(patch, memory_tables, "apply_batch", make)


@fault(disturbed=False)
def batch_half_applied(patch: Patch) -> None:
    def make(write: Any_) -> Any_:
        def half(db: Any_, segment: Any_) -> None:
            tasks = segment.tasks
            segment.tasks = tasks[:1]
            write(db, segment)
            segment.tasks = tasks

        return half

    _wrap(patch, memory_tables, "_write_segment", make)


@fault()
def refused_batch_taken_for_committed(patch: Patch) -> None:
    def make(commit: Any_) -> Any_:
        async def trusting(self: Any_, lease: Any_, batch: Any_) -> Any_:
            await commit(self, lease, batch)
            return set[Any_]()

        return trusting

    _wrap(patch, Committer, "commit", make)


@fault()
def unknown_outcome_sent_again_blindly(patch: Patch) -> None:
    def make(landed: Any_) -> Any_:
        async def blind(self: Any_, lease: Any_, lost: Any_) -> bool:
            await landed(self, lease, lost)
            return False

        return blind

    _wrap(patch, Committer, "_landed", make)


@fault()
def unknown_outcome_taken_for_committed(patch: Patch) -> None:
    def make(landed: Any_) -> Any_:
        async def hopeful(self: Any_, lease: Any_, lost: Any_) -> bool:
            await landed(self, lease, lost)
            return True

        return hopeful

    _wrap(patch, Committer, "_landed", make)


@fault()
def run_created_with_its_reply_lost(patch: Patch) -> None:
    async def no(self: Any_, lease: Any_, run: Any_) -> None:
        return None

    patch.setattr(RunPlanner, "_landed", no)


@fault(disturbed=False)
def effect_before_commit(patch: Patch) -> None:
    def make(decide: Any_) -> Any_:
        async def hasty(self: Any_, turn: Any_) -> None:
            await decide(self, turn)
            start, turn.decision.start = turn.decision.start, []
            await self._dispatcher.submit(start)

        return hasty

    _wrap(patch, Scheduler, "_decide", make)


@fault()
def acknowledged_before_commit(patch: Patch) -> None:
    def make(handle: Any_) -> Any_:
        def hasty(self: Any_, turn: Any_, run_id: Any_, event: Any_, answer: Any_ = None) -> None:
            handle(self, turn, run_id, event, None)
            if answer is not None:
                answer(True)

        return hasty

    _wrap(patch, Scheduler, "handle", make)


@fault()
def memory_kept_after_the_lease(patch: Patch) -> None:
    def keep(self: Any_) -> None:
        self._lease = None
        self.intake.refuse()

    patch.setattr(Scheduler, "drop", keep)


@fault()
def schedule_not_moved_with_the_run(patch: Patch) -> None:
    def make(create: Any_) -> Any_:
        async def without(self: Any_, lease: Any_, run: Any_, rows: Any_, cursor: Any_, mail: Any_) -> bool:
            return bool(await create(self, lease, run, rows, None, mail))

        return without

    _wrap(patch, memory.MemoryStore, "run_create", make)


@fault(disturbed=False)
def same_mail_taken_twice(patch: Patch) -> None:
    def make(send: Any_) -> Any_:
        async def forgetful(self: Any_, dag_id: Any_, kind: Any_, body: Any_, key: Any_) -> int:
            self.database.mail_keys.pop(key, None)
            return int(await send(self, dag_id, kind, body, key))

        return forgetful

    _wrap(patch, memory.MemoryStore, "mail_send", make)


@fault(disturbed=False)
def mail_overlooked(patch: Patch) -> None:
    patch.setattr(InboxReader, "wake", giving(None))


# ------------------------------------------------------------------ dispatch, events, timers


@fault(disturbed=False)
def attempt_dispatched_twice(patch: Patch) -> None:
    def make(submit: Any_) -> Any_:
        async def twice(self: Any_, attempts: Any_) -> None:
            await submit(self, attempts)
            await submit(self, attempts)

        return twice

    _wrap(patch, Dispatcher, "submit", make)


@fault(disturbed=False)
def cancel_swallowed(patch: Patch) -> None:
    async def nothing(self: Any_, keys: Iterable[Any_]) -> None:
        return

    patch.setattr(Dispatcher, "cancel", nothing)


@fault(story=stories.killed_while_an_attempt_is_being_ended)
def cancel_forgotten_at_takeover(patch: Patch) -> None:
    patch.setattr(Resumer, "_adopted", giving(None))


@fault(disturbed=False)
def wake_up_lost(patch: Patch) -> None:
    def silent(self: Any_, run_id: Any_, event: Any_, on_committed: Any_ = None) -> None:
        self._posted.append((run_id, event, on_committed))

    patch.setattr(Intake, "post", silent)


@fault(disturbed=False)
def timer_lost(patch: Patch) -> None:
    def make(arm: Any_) -> Any_:
        def deaf(self: Any_, at: Any_, item: Any_) -> None:
            if not isinstance(item, tuple):
                arm(self, at, item)

        return deaf

    _wrap(patch, Timers, "arm", make)


@fault()
def timers_dead_after_the_lease(patch: Patch) -> None:
    def make(stop: Any_) -> Any_:
        def half(self: Any_) -> None:
            armed = self._armed_for
            stop(self)
            self._armed_for = armed

        return half

    _wrap(patch, Timers, "stop", make)


@fault(story=stories.cleared_while_it_waits_to_be_tried_again)
def stale_timer_accepted(patch: Patch) -> None:
    def any_timer(self: Any_, event: Any_, decision: Any_) -> None:
        waits = self.state[event.node] in (TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)
        if waits and self.run.state is RunState.RUNNING:
            self._offer(event.node, event.stamp, decision)

    _handler(patch, "TimerDue", any_timer)


@fault(2)
def takeover_without_waiting(patch: Patch) -> None:
    async def dead(self: Any_, peer: Any_) -> bool:
        return True

    patch.setattr(memory.MemoryStore, "runtime_is_provably_dead", dead)
    patch.setattr(rescuer, "STANDSTILL", 0.01)


@fault()
def adopted_attempt_given_up(patch: Patch) -> None:
    async def none(self: Any_, keys: Any_) -> set[Any_]:
        return set()

    patch.setattr(Dispatcher, "adopt", none)


@fault()
def adopted_attempt_dispatched_again(patch: Patch) -> None:
    def make(adopt: Any_) -> Any_:
        async def again(self: Any_, keys: Any_) -> Any_:
            found = await adopt(self, keys)
            flights = next(iter(self.executors.values()))._cluster.flights
            await self.submit([flights[key.attempt].attempt for key in found])
            return found

        return again

    _wrap(patch, Dispatcher, "adopt", make)


@fault()
def live_attempts_of_ended_runs_forgotten(patch: Patch) -> None:
    def make(load: Any_) -> Any_:
        async def unfinished(self: Any_, lease: Any_, dag_ids: Any_) -> Any_:
            found = await load(self, lease, dag_ids)
            return [s for s in found if s.run.state in (RunState.QUEUED, RunState.RUNNING)]

        return unfinished

    _wrap(patch, memory.MemoryStore, "run_load", make)


# ------------------------------------------------------------------ limits


@fault(disturbed=False)
def limits_forgotten(patch: Patch) -> None:
    patch.setattr(Lane, "blocked_by", giving(None))


@fault(disturbed=False)
def limit_off_by_one(patch: Patch) -> None:
    def one_more(self: Any_) -> int | None:
        for k, limit in enumerate(self.limits):
            if 0 <= limit.size < limit.used + self.costs[k] - 1:
                return k
        return None

    patch.setattr(Lane, "blocked_by", one_more)


@fault(disturbed=False)
def limit_not_released(patch: Patch) -> None:
    def make(free: Any_) -> Any_:
        def greedy(self: Any_, place: Any_) -> None:
            lane = self._holding.get(place)
            free(self, place)
            if lane is not None:
                lane.limits[0].used += lane.costs[0]

        return greedy

    _wrap(patch, Admission, "free", make)


@fault(disturbed=False)
def parked_lane_forgotten(patch: Patch) -> None:
    def make(free: Any_) -> Any_:
        def quiet(self: Any_, place: Any_) -> None:
            free(self, place)
            self._roomier.clear()

        return quiet

    _wrap(patch, Admission, "free", make)


@fault()
def adopted_attempts_not_counted(patch: Patch) -> None:
    patch.setattr(Admission, "adopt", giving(None))


@fault(2)
def limits_not_shared(patch: Patch) -> None:
    async def all_of_it(self: Any_, lease: Any_, name: Any_, size: int) -> None:
        self._sizes[name] = self._granted[name] = size
        self._scheduler.resize(name, size)

    async def nothing(self: Any_, lease: Any_, name: Any_, size: int) -> None:
        return

    patch.setattr(PermitKeeper, "hold", all_of_it)
    patch.setattr(PermitKeeper, "_follow", nothing)


@fault(disturbed=False)
def pause_ignored(patch: Patch) -> None:
    def as_if_on(self: Any_) -> Any_:
        return self.spec.max_active_tasks

    patch.setattr(OwnedDag, "limit_size", property(as_if_on))


@fault(disturbed=False)
def max_active_runs_ignored(patch: Patch) -> None:
    def any_run(self: Any_) -> Any_:
        if self.row.is_paused or not self.queued:
            return None
        _, run_id = self.queued.pop(0)
        self.running.add(run_id)
        return self.machines[run_id]

    patch.setattr(OwnedDag, "next_to_activate", any_run)


# ------------------------------------------------------------------ rules


@fault(disturbed=False)
def wrong_trigger_rule(patch: Patch) -> None:
    rules = trigger_rules.RULES
    patch.setitem(rules, TriggerRule.ONE_SUCCESS, rules[TriggerRule.ALL_SUCCESS])


@fault(disturbed=False)
def skipped_taken_for_failed(patch: Patch) -> None:
    rules = trigger_rules.RULES
    patch.setitem(rules, TriggerRule.ALL_SUCCESS, rules[TriggerRule.NONE_FAILED])


@fault(disturbed=False)
def branch_ignored(patch: Patch) -> None:
    def all_of_them(self: Any_, n: int, outcome: Any_) -> Any_:
        return self.graph.down[n]

    patch.setattr(RunMachine, "skips_of", all_of_them)


@fault(disturbed=False)
def retry_not_counted(patch: Patch) -> None:
    def make(wait: Any_) -> Any_:
        def free_of_charge(self: Any_, n: int, state: Any_, due: Any_, stamp: Any_, decision: Any_) -> None:
            if state is TaskState.UP_FOR_RETRY:
                self.tries[n] -= 1
            wait(self, n, state, due, stamp, decision)

        return free_of_charge

    _wrap(patch, RunMachine, "_wait_until", make)


@fault(disturbed=False)
def lost_counted_as_a_retry(patch: Patch) -> None:
    def make(lost: Any_) -> Any_:
        def costly(self: Any_, n: int, event: Any_, decision: Any_) -> None:
            lost(self, n, event, decision)
            self.tries[n] += 1

        return costly

    _wrap(patch, RunMachine, "_on_lost", make)


@fault(story=stories.lost_again_and_again)
def lost_for_ever(patch: Patch) -> None:
    def make(lost: Any_) -> Any_:
        def patient(self: Any_, n: int, event: Any_, decision: Any_, **named: Any_) -> None:
            self.lost[n] = 0
            lost(self, n, event, decision, **named)

        return patient

    _wrap(patch, RunMachine, "_on_lost", make)


@fault(disturbed=False)
def past_ignored(patch: Patch) -> None:
    patch.setattr(run_book, "past_of", giving({}))


@fault(disturbed=False)
def past_never_settled(patch: Patch) -> None:
    _handler(patch, "PastSettled", giving(None))


@fault(disturbed=False)
def counters_off_by_one(patch: Patch) -> None:
    def make(reopen: Any_) -> Any_:
        def careless(self: Any_, n: int, stamp: Any_) -> None:
            reopen(self, n, stamp)
            self.unfinished -= 1

        return careless

    _wrap(patch, run_ledger.RunLedger, "reopen", make)


@fault(disturbed=False)
def second_end_accepted(patch: Patch) -> None:
    def make(ended: Any_) -> Any_:
        def again(self: Any_, event: Any_, decision: Any_) -> None:
            n = self.live.get(event.attempt)
            ended(self, event, decision)
            if n is not None:
                self.live[event.attempt] = n

        return again

    _handler_wrap(patch, "AttemptEnded", make)


@fault(disturbed=False)
def cleared_while_running_does_not_restart(patch: Patch) -> None:
    def make(cleared: Any_) -> Any_:
        def only_finished(self: Any_, event: Any_, decision: Any_) -> None:
            idle = tuple(n for n in event.nodes if self.state[n] not in (TaskState.RUNNING, TaskState.QUEUED))
            busy = tuple(n for n in event.nodes if n not in idle)
            cleared(self, event._replace(nodes=idle), decision)
            for n in busy:
                self.cancel_attempt(n, decision)

        return only_finished

    _handler_wrap(patch, "TasksCleared", make)


def _handler(patch: Patch, event: str, handler: Any_) -> None:
    _handler_wrap(patch, event, lambda _: handler)


def _handler_wrap(patch: Patch, event: str, make: Callable[[Any_], Any_]) -> None:
    handlers: Any_ = vars(RunMachine)["_handlers"]
    key = next(kind for kind in handlers if kind.__name__ == event)
    patch.setattr(RunMachine, "_handlers", {**handlers, key: make(handlers[key])})
