"""Faults about dispatch, events, timers and take-overs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.simulation import stories
from tests.simulation.faults.planting import Faults, Patch, giving, handle_by, wrap
from tradewind.model.states import RunState, TaskState
from tradewind.services import rescuer
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.intake import Intake
from tradewind.services.resumer import Resumer
from tradewind.services.timers import Timers
from tradewind.store import memory

fault = Faults()


@fault(disturbed=False)
def attempt_dispatched_twice(patch: Patch) -> None:
    def make(submit: Any) -> Any:
        async def twice(self: Any, attempts: Any) -> None:
            await submit(self, attempts)
            await submit(self, attempts)

        return twice

    wrap(patch, Dispatcher, "submit", make)


@fault(disturbed=False)
def cancel_swallowed(patch: Patch) -> None:
    async def nothing(self: Any, keys: Iterable[Any]) -> None:
        return

    patch.setattr(Dispatcher, "cancel", nothing)


@fault(story=stories.killed_while_an_attempt_is_being_ended)
def cancel_forgotten_at_takeover(patch: Patch) -> None:
    patch.setattr(Resumer, "_adopted", giving(None))


@fault(disturbed=False)
def wake_up_lost(patch: Patch) -> None:
    def silent(self: Any, run_id: Any, event: Any, on_committed: Any = None) -> None:
        self._posted.append((run_id, event, on_committed))

    patch.setattr(Intake, "post", silent)


@fault(disturbed=False)
def timer_lost(patch: Patch) -> None:
    def make(arm: Any) -> Any:
        def deaf(self: Any, at: Any, item: Any) -> None:
            if not isinstance(item, tuple):
                arm(self, at, item)

        return deaf

    wrap(patch, Timers, "arm", make)


@fault()
def timers_dead_after_the_lease(patch: Patch) -> None:
    def make(stop: Any) -> Any:
        def half(self: Any) -> None:
            armed = self._armed_for
            stop(self)
            self._armed_for = armed

        return half

    wrap(patch, Timers, "stop", make)


@fault(story=stories.cleared_while_it_waits_to_be_tried_again)
def stale_timer_accepted(patch: Patch) -> None:
    def any_timer(self: Any, event: Any, decision: Any) -> None:
        waits = self.state[event.node] in (TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)
        if waits and self.run.state is RunState.RUNNING:
            self._offer(event.node, event.stamp, decision)

    handle_by(patch, "TimerDue", any_timer)


@fault(2)
def takeover_without_waiting(patch: Patch) -> None:
    async def dead(self: Any, peer: Any) -> bool:
        return True

    patch.setattr(memory.MemoryStore, "runtime_is_provably_dead", dead)
    patch.setattr(rescuer, "STANDSTILL", 0.01)


@fault()
def adopted_attempt_given_up(patch: Patch) -> None:
    async def none(self: Any, keys: Any) -> set[Any]:
        return set()

    patch.setattr(Dispatcher, "adopt", none)


@fault()
def adopted_attempt_dispatched_again(patch: Patch) -> None:
    def make(adopt: Any) -> Any:
        async def again(self: Any, keys: Any) -> Any:
            found = await adopt(self, keys)
            flights = next(iter(self.executors.values()))._cluster.flights
            await self.submit([flights[key.attempt].attempt for key in found])
            return found

        return again

    wrap(patch, Dispatcher, "adopt", make)


@fault()
def live_attempts_of_ended_runs_forgotten(patch: Patch) -> None:
    def make(load: Any) -> Any:
        async def unfinished(self: Any, lease: Any, dag_ids: Any) -> Any:
            found = await load(self, lease, dag_ids)
            return [s for s in found if s.run.state in (RunState.QUEUED, RunState.RUNNING)]

        return unfinished

    wrap(patch, memory.MemoryStore, "run_load", make)
