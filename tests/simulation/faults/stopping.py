"""Faults about DAGs that stop at the first failure, and the runtimes that die meanwhile."""

from __future__ import annotations

from typing import Any

from tests.simulation import stop_stories, wait_stories
from tests.simulation.faults.planting import Faults, Patch, giving, wrap
from tradewind.model.rows import as_given
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.taking_over import TakingOver

fault = Faults()


def _forgotten(patch: Patch) -> None:
    def make(restore: Any) -> Any:
        def forgetful(self: Any, *rest: Any) -> None:
            restore(self, *rest)
            for n, count in enumerate(self.max_tries):
                self.max_tries[n] = as_given(count)

        return forgetful

    wrap(patch, TakingOver, "restore", make)


@fault(story=stop_stories.lost_with_its_runtime)
def stop_forgotten_at_a_takeover(patch: Patch) -> None:
    _forgotten(patch)


@fault(story=stop_stories.fails_after_a_crash)
def retries_count_again_after_a_takeover(patch: Patch) -> None:
    _forgotten(patch)


@fault(story=stop_stories.waits_for_a_trigger)
def trigger_of_what_was_stopped_begun_again(patch: Patch) -> None:
    _forgotten(patch)


@fault(story=stop_stories.told_again_to_end)
def stopped_and_not_told_again(patch: Patch) -> None:
    patch.setattr(RunMachine, "unwanted", giving([]))


@fault(story=stop_stories.lost_with_something_to_undo)
def stop_over_before_all_is_undone(patch: Patch) -> None:
    def make(undo_again: Any) -> Any:
        def hasty(self: Any, n: int, *rest: Any) -> bool:
            self.no_longer_stopped(n)
            return bool(undo_again(self, n, *rest))

        return hasty

    wrap(patch, RunMachine, "_undo_again", make)


@fault(disturbed=False)
def others_go_on_after_a_failure(patch: Patch) -> None:
    patch.setattr(RunMachine, "_stop_the_others", giving([]))


@fault(story=wait_stories.cancelled_while_it_waits_and_cleared_in_part)
def cancelled_wait_goes_on_after_a_takeover(patch: Patch) -> None:
    _forgotten(patch)
