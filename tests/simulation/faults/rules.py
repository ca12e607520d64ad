"""Faults about what follows from an event."""

from __future__ import annotations

from typing import Any

from tests.simulation import stories
from tests.simulation.faults.planting import Faults, Patch, giving, handle_by, wrap, wrap_handler
from tradewind.model.states import TaskState, TriggerRule
from tradewind.rules import run_ledger, trigger_rules
from tradewind.rules.run_machine import RunMachine
from tradewind.services import run_book

fault = Faults()


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
    def all_of_them(self: Any, n: int, outcome: Any) -> Any:
        return self.graph.down[n]

    patch.setattr(RunMachine, "skips_of", all_of_them)


@fault(disturbed=False)
def retry_not_counted(patch: Patch) -> None:
    def make(wait: Any) -> Any:
        def free_of_charge(self: Any, n: int, state: Any, due: Any, stamp: Any, decision: Any) -> None:
            if state is TaskState.UP_FOR_RETRY:
                self.tries[n] -= 1
            wait(self, n, state, due, stamp, decision)

        return free_of_charge

    wrap(patch, RunMachine, "_wait_until", make)


@fault(disturbed=False)
def lost_counted_as_a_retry(patch: Patch) -> None:
    def make(lost: Any) -> Any:
        def costly(self: Any, n: int, event: Any, decision: Any) -> None:
            lost(self, n, event, decision)
            self.tries[n] += 1

        return costly

    wrap(patch, RunMachine, "_on_lost", make)


@fault(story=stories.lost_again_and_again)
def lost_for_ever(patch: Patch) -> None:
    def make(lost: Any) -> Any:
        def patient(self: Any, n: int, event: Any, decision: Any, **named: Any) -> None:
            self.lost[n] = 0
            lost(self, n, event, decision, **named)

        return patient

    wrap(patch, RunMachine, "_on_lost", make)


@fault(disturbed=False)
def past_ignored(patch: Patch) -> None:
    patch.setattr(run_book, "past_of", giving({}))


@fault(disturbed=False)
def past_never_settled(patch: Patch) -> None:
    handle_by(patch, "PastSettled", giving(None))


@fault(disturbed=False)
def counters_off_by_one(patch: Patch) -> None:
    def make(reopen: Any) -> Any:
        def careless(self: Any, n: int, stamp: Any) -> None:
            reopen(self, n, stamp)
            self.unfinished -= 1

        return careless

    wrap(patch, run_ledger.RunLedger, "reopen", make)


@fault(disturbed=False)
def second_end_accepted(patch: Patch) -> None:
    def make(ended: Any) -> Any:
        def again(self: Any, event: Any, decision: Any) -> None:
            n = self.live.get(event.attempt)
            ended(self, event, decision)
            if n is not None:
                self.live[event.attempt] = n

        return again

    wrap_handler(patch, "AttemptEnded", make)


@fault(disturbed=False)
def cleared_while_running_does_not_restart(patch: Patch) -> None:
    def make(cleared: Any) -> Any:
        def only_finished(self: Any, event: Any, decision: Any) -> None:
            idle = tuple(n for n in event.nodes if self.state[n] not in (TaskState.RUNNING, TaskState.QUEUED))
            busy = tuple(n for n in event.nodes if n not in idle)
            cleared(self, event._replace(nodes=idle), decision)
            for n in busy:
                self.cancel_attempt(n, decision)

        return only_finished

    wrap_handler(patch, "TasksCleared", make)
