"""Faults about steps and signals of durable tasks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation import wait_stories
from tests.simulation.faults.planting import Faults, Patch, giving, handle_by, wrap, wrap_handler
from tradewind.model.commands import Decision
from tradewind.model.durable import StepRow
from tradewind.model.states import TaskState
from tradewind.rules.run_ledger import RunLedger
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.waiting import Pending, Waiting
from tradewind.services.resumer import Resumer
from tradewind.services.turn import Turn

fault = Faults()


@fault(durable=True, disturbed=False)
def step_not_stored(patch: Patch) -> None:
    handle_by(patch, "StepStored", giving(None))


@fault(durable=True, disturbed=False)
def steps_forgotten_when_tried_again(patch: Patch) -> None:
    def make(wait: Any) -> Any:
        def forgetful(self: Any, n: int, state: TaskState, *rest: Any) -> None:
            wait(self, n, state, *rest)
            if state is TaskState.UP_FOR_RETRY:
                self.segment.steps.append(StepRow(self.tasks[n].task_id, self.maps[n], None))

        return forgetful

    wrap(patch, RunMachine, "_wait_until", make)


@fault(durable=True, disturbed=False)
def steps_kept_when_cleared(patch: Patch) -> None:
    def make(forget: Any) -> Any:
        def thorough(self: Any, n: int) -> None:
            steps = list(self.segment.steps)
            forget(self, n)
            self.segment.steps = steps

        return thorough

    wrap(patch, RunLedger, "forget", make)


@fault(durable=True, disturbed=False)
def signal_dropped_that_came_early(patch: Patch) -> None:
    def make(take: Any) -> Any:
        def strict(self: Any, n: int, kind: str, name: str, value: Any) -> bool:
            if all(p.answer is not None for p in self.waits.get(n, ())):
                return False
            return bool(take(self, n, kind, name, value))

        return strict

    wrap(patch, Waiting, "take_signal", make)


@fault(durable=True, disturbed=False)
def signal_taken_twice(patch: Patch) -> None:
    def make(signal: Any) -> Any:
        def again(self: Any, event: Any, decision: Decision) -> None:
            signal(self, event, decision)
            signal(self, event, decision)

        return again

    wrap_handler(patch, "SignalSent", make)


@fault(durable=True, seed=40)
def signal_stored_without_its_instance(patch: Patch) -> None:
    patch.setattr(RunLedger, "write", giving(None))


@fault(durable=True)
def acknowledged_although_refused(patch: Patch) -> None:
    def make(without: Any) -> Any:
        def hasty(self: Any, refused: Any) -> None:
            answers = self.answers
            without(self, refused)
            self.answers = answers

        return hasty

    wrap(patch, Turn, "without", make)


@fault(story=wait_stories.cleared_with_something_to_undo)
def lost_undoing_given_up(patch: Patch) -> None:
    patch.setattr(RunMachine, "_undo_again", giving(False))


@fault(durable=True, disturbed=False)
def signals_forgotten_when_tried_again(patch: Patch) -> None:
    def make(drop: Any) -> Any:
        def thorough(self: Any, n: int, decision: Decision, *, keep_answers: bool = False) -> None:
            drop(self, n, decision)

        return thorough

    wrap(patch, Waiting, "drop_waits", make)


@fault(story=wait_stories.cancelled_with_something_to_undo)
def what_is_undone_forgotten_with_its_trigger(patch: Patch) -> None:
    def forget(self: Any, n: int, pending: Pending) -> bool:
        self._forget_row(n, pending)
        self.waits[n] = tuple(p for p in self.waits[n] if p is not pending)
        return not any(p.has_trigger for p in self.waits[n])

    patch.setattr(Waiting, "trigger_gone", forget)


@fault(story=wait_stories.adopted_while_it_undoes)
def adopted_undoing_takes_limits(patch: Patch) -> None:
    def make(resume_one: Any) -> Any:
        def strict(self: Any, turn: Any, machine: Any, *rest: Any, **named: Any) -> None:
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(RunMachine, "is_undoing", giving(False))
                resume_one(self, turn, machine, *rest, **named)

        return strict

    wrap(patch, Resumer, "_resume_one", make)


@fault(story=wait_stories.adopted_while_it_undoes)
def adopted_undoing_ended(patch: Patch) -> None:
    def make(unwanted: Any) -> Any:
        def strict(self: Any) -> Any:
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(RunMachine, "is_undoing", giving(False))
                return unwanted(self)

        return strict

    wrap(patch, RunMachine, "unwanted", make)
