"""Faults about mapped tasks."""

from __future__ import annotations

from typing import Any

from tests.simulation import stories
from tests.simulation.faults.planting import Faults, Patch, giving
from tradewind.rules.expanding import Expanding
from tradewind.rules.mapping_plan import MappingPlan
from tradewind.rules.run_ledger import RunLedger
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.run_mapping import RunMapping
from tradewind.rules.taking_over import TakingOver
from tradewind.services import fresh_instances

fault = Faults()


@fault(mapped=True)
def expanded_again_after_a_restart(patch: Patch) -> None:
    patch.setattr(TakingOver, "_restore_expansions", giving(None))


@fault(mapped=True)
def length_forgotten_at_a_restart(patch: Patch) -> None:
    patch.setattr(TakingOver, "_restore_lengths", giving(None))


@fault(mapped=True)
def length_not_committed(patch: Patch) -> None:
    note: Any = getattr(RunMachine, "_note_lengths")  # noqa: B009  # what stands for a slip of the pen

    def forgetful(self: Any, n: int, outcome: Any) -> None:
        note(self, n, outcome)
        self.segment.lengths.clear()

    patch.setattr(RunMachine, "_note_lengths", forgetful)


@fault(story=stories.cleared_and_fewer_instances_than_before)
def instances_beyond_the_new_length_stay(patch: Patch) -> None:
    patch.setattr(Expanding, "_remove", giving(True))


@fault(mapped=True, disturbed=False)
def own_row_counted_among_the_instances(patch: Patch) -> None:
    grow: Any = RunMapping.grow

    def one_too_many(self: Any, task: int, count: int) -> range:
        is_new = task not in self.expanded
        nodes: range = grow(self, task, count)
        for d in self.plan.outer_down[task] if is_new else ():
            self.total[d] += 1
        return nodes

    patch.setattr(RunMapping, "grow", one_too_many)


@fault(mapped=True, disturbed=False)
def own_row_stays(patch: Patch) -> None:
    patch.setattr(RunLedger, "drop_own_row", giving(None))


@fault(mapped=True, disturbed=False)
def instances_of_a_group_look_at_all(patch: Patch) -> None:
    patch.setattr(MappingPlan, "same_scope", giving(False))


@fault(mapped=True, disturbed=False)
def ends_of_instances_taken_for_no_news(patch: Patch) -> None:
    patch.setattr(RunMapping, "_is_news", giving(False))


@fault(mapped=True, disturbed=False)
def next_part_never_made(patch: Patch) -> None:
    patch.setattr(Expanding, "_next_part", giving([]))


@fault(mapped=True, disturbed=False)
def literal_instances_not_created(patch: Patch) -> None:
    patch.setattr(fresh_instances, "literal_lengths", giving({}))
