"""Faults about waits: what attempts deferred for, who carries it, and what becomes of the answer."""

from __future__ import annotations

from typing import Any

from tests.simulation import wait_stories
from tests.simulation.faults.planting import Faults, Patch, giving, handle_by, wrap, wrap_handler
from tradewind.model.commands import Decision, Ready
from tradewind.model.outcomes import Wait
from tradewind.model.states import TaskState
from tradewind.model.waits import WaitAnswer, WaitGone
from tradewind.rules import waiting as waits
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.taking_over import TakingOver
from tradewind.rules.waiting import Pending, Waiting
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.scheduler import Scheduler
from tradewind.store import memory

fault = Faults()


@fault(waiting=True, disturbed=False)
def answer_dropped(patch: Patch) -> None:
    handle_by(patch, "WaitAnswered", giving(None))


@fault(waiting=True, disturbed=False)
def payload_forgotten_at_resume(patch: Patch) -> None:
    def make(resume_of: Any) -> Any:
        def forgetful(self: Any, n: int) -> Any:
            resume = resume_of(self, n)
            return None if resume is None else resume._replace(answer=WaitAnswer())

        return forgetful

    wrap(patch, Waiting, "resume_of", make)


@fault(waiting=True, disturbed=False)
def answers_of_other_waits_forgotten_at_resume(patch: Patch) -> None:
    def make(resume_of: Any) -> Any:
        def forgetful(self: Any, n: int) -> Any:
            resume = resume_of(self, n)
            return None if resume is None else resume._replace(answers=resume.answers[:1])

        return forgetful

    wrap(patch, Waiting, "resume_of", make)


@fault(waiting=True, disturbed=False)
def row_of_a_wait_not_stored(patch: Patch) -> None:
    def make(store: Any) -> Any:
        def forgetful(self: Any, n: int, pending: Pending) -> None:
            if pending.answer is not None:
                store(self, n, pending)

        return forgetful

    wrap(patch, Waiting, "_store", make)


@fault(waiting=True, disturbed=False)
def answer_not_stored(patch: Patch) -> None:
    def make(store: Any) -> Any:
        def forgetful(self: Any, n: int, pending: Pending) -> None:
            if pending.answer is None:
                store(self, n, pending)

        return forgetful

    wrap(patch, Waiting, "_store", make)


@fault(waiting=True)
def waits_not_carried_on_after_a_takeover(patch: Patch) -> None:
    patch.setattr(RunMachine, "_wait_on", giving(None))


@fault(waiting=True)
def waits_not_loaded_at_a_takeover(patch: Patch) -> None:
    patch.setattr(TakingOver, "_restore_waits", giving(None))


@fault(story=wait_stories.cancelled_while_it_waits_and_nobody_is_there)
def ended_runs_whose_triggers_go_not_loaded(patch: Patch) -> None:
    def make(load: Any) -> Any:
        async def unfinished(self: Any, lease: Any, dag_ids: Any) -> Any:
            found = await load(self, lease, dag_ids)
            return [s for s in found if s.live or s.run.ended_at is None]

        return unfinished

    wrap(patch, memory.MemoryStore, "run_load", make)


@fault(waiting=True, disturbed=False)
def deadline_forgotten(patch: Patch) -> None:
    def without_deadline(wait: Wait) -> list[Any]:
        return [wait.due] if wait.due is not None else []

    patch.setattr(waits, "_moments", without_deadline)


@fault(waiting=True)
def deadline_begins_anew_at_a_takeover(patch: Patch) -> None:
    def make(restore: Any) -> Any:
        def careless(self: Any, rows: Any) -> None:
            restore(self, [row._replace(wait=row.wait._replace(deadline=None)) for row in rows])

        return careless

    wrap(patch, TakingOver, "_restore_waits", make)


@fault(waiting=True)
def timer_forgotten_at_a_takeover(patch: Patch) -> None:
    def make(resume: Any) -> Any:
        def careless(self: Any, past: Any, stamp: Any, decision: Decision) -> None:
            resume(self, past, stamp, decision)
            waiting = {n for n, state in enumerate(self.state) if state is TaskState.DEFERRED}
            decision.timers = [timer for timer in decision.timers if timer.node not in waiting]

        return careless

    wrap(patch, RunMachine, "resume", make)


@fault(waiting=True, disturbed=False)
def cleared_without_waiting_for_the_trigger(patch: Patch) -> None:
    def make(end: Any) -> Any:
        def hasty(self: Any, n: int, decision: Decision) -> bool:
            end(self, n, decision)
            return False

        return hasty

    wrap(patch, Waiting, "end_triggers", make)
    patch.setattr(Waiting, "_send_away", giving(None))


@fault(waiting=True, disturbed=False)
def answer_taken_for_the_end_of_a_trigger(patch: Patch) -> None:
    def make(answered: Any) -> Any:
        def hasty(self: Any, event: Any, decision: Decision) -> None:
            found = self.find(event.wait)
            answered(self, event, decision)
            if found is not None and found[1].is_ending:
                self._on_wait_ended(event, decision)

        return hasty

    wrap_handler(patch, "WaitAnswered", make)


@fault(waiting=True, disturbed=False)
def trigger_that_leaves_not_waited_for(patch: Patch) -> None:
    def at_once(self: Any, n: int, decision: Decision) -> None:
        decision.ready.append(Ready(self.run.run_id, n))

    patch.setattr(Waiting, "ready", at_once)


@fault(story=wait_stories.loaded_anew_while_a_trigger_goes)
def trigger_that_leaves_forgotten_when_a_batch_is_refused(patch: Patch) -> None:
    patch.setattr(Waiting, "send_strangers_away", giving(None))


@fault(waiting=True, disturbed=False)
def answer_to_an_earlier_wait_accepted(patch: Patch) -> None:
    def any_of_that_key(self: Any, key: Any) -> Any:
        n = self.node_of(key.task_id, key.map_index)
        found: tuple[Pending, ...] = () if n is None else self.waits.get(n, ())
        mine = [p for p in found if p.wait.key == key.key and p.answer is None]
        return (n, mine[0]) if mine else None

    patch.setattr(Waiting, "find", any_of_that_key)


@fault(waiting=True, disturbed=False)
def triggers_of_ended_instances_run_on(patch: Patch) -> None:
    def make(drop: Any) -> Any:
        def quiet(self: Any, n: int, decision: Decision, **named: Any) -> None:
            drop(self, n, Decision(), **named)
            self.leaving.clear()

        return quiet

    wrap(patch, Waiting, "drop_waits", make)


@fault(waiting=True, disturbed=False)
def rows_of_ended_instances_stay(patch: Patch) -> None:
    def make(drop: Any) -> Any:
        def untidy(self: Any, n: int, decision: Decision, **named: Any) -> None:
            drop(self, n, decision, **named)
            self.segment.waits = [w for w in self.segment.waits if not isinstance(w, WaitGone)]

        return untidy

    wrap(patch, Waiting, "drop_waits", make)


@fault(waiting=True, disturbed=False)
def answered_again_in_the_next_try(patch: Patch) -> None:
    def make(drop: Any) -> Any:
        def keep(self: Any, n: int, decision: Decision, *, keep_answers: bool = False) -> None:
            if not keep_answers:
                drop(self, n, decision)

        return keep

    wrap(patch, Waiting, "drop_waits", make)


@fault(waiting=True)
def fenced_and_carried_on(patch: Patch) -> None:
    patch.setattr(Dispatcher, "drop_waits", giving(None))


@fault(waiting=True, disturbed=False)
def begun_before_the_commit(patch: Patch) -> None:
    def make(decide: Any) -> Any:
        async def hasty(self: Any, turn: Any) -> None:
            await decide(self, turn)
            begun, turn.decision.wait = turn.decision.wait, []
            self._dispatcher.begin_waits(begun)

        return hasty

    wrap(patch, Scheduler, "_decide", make)


@fault(story=wait_stories.answered_while_it_is_loaded_anew)
def begun_although_answered_in_the_same_turn(patch: Patch) -> None:
    patch.setattr(Scheduler, "_is_waited_for", giving(True))


@fault(waiting=True, disturbed=False)
def slot_kept_while_waiting(patch: Patch) -> None:
    def make(defer: Any) -> Any:
        def greedy(self: Any, n: int, *rest: Any) -> bool:
            decision: Decision = rest[-1]
            decision.freed = [freed for freed in decision.freed if freed.node != n]
            return bool(defer(self, n, *rest))

        return greedy

    wrap(patch, Waiting, "defer", make)
