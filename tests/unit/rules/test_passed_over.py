"""What a branch or short circuit has skipped stays skipped when it is cleared without it."""

from __future__ import annotations

import pytest

from tests.unit.rules.mapped_driver import FAILED, SUCCESS, MappedRun
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, TriggerRule

ONLY_Z = Outcome(OutcomeKind.SUCCESS, branch=("z",))
ONLY_Y = Outcome(OutcomeKind.SUCCESS, branch=("y",))
STOP = Outcome(OutcomeKind.SUCCESS, short_circuit=True, ignore_downstream_trigger_rules=True)
SPEC = DagSpec(
    "d",
    tasks=(
        TaskSpec("b"),
        TaskSpec("other"),
        TaskSpec("x"),
        TaskSpec("y", upstream=("b", "other", "x")),
        TaskSpec("z", upstream=("b",)),
        TaskSpec("below", upstream=("y",), trigger_rule=TriggerRule.ALL_DONE),
    ),
)


def ended(b: Outcome, other: Outcome = SUCCESS) -> MappedRun:
    run = MappedRun(SPEC)
    run.end("b", outcome=b)
    run.end("other", outcome=other)
    run.end("x", outcome=FAILED)
    run.run_all(lambda _: SUCCESS)
    return run


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("b", [ONLY_Z, STOP])
def test_it_stays_skipped_while_the_choice_stands(b: Outcome, restored: bool) -> None:
    """Who clears a failed task with all that follows means to repeat it, not to go the way that was not chosen."""
    run = ended(b)
    if restored:
        run.restore()
    run.clear(("x", -1), ("y", -1), ("below", -1))
    assert sorted(run.running) == [("below", -1), ("x", -1)]
    run.run_all(lambda _: SUCCESS)
    assert run.states()["y", -1] == "skipped"


@pytest.mark.parametrize("restored", [False, True])
def test_a_choice_that_is_cleared_is_made_anew(restored: bool) -> None:
    run = ended(ONLY_Z)
    run.clear(("b", -1), ("x", -1), ("y", -1), ("z", -1))
    if restored:
        run.restore()
    run.end("b", outcome=ONLY_Y)
    if restored:
        run.restore()
    run.run_all(lambda _: SUCCESS)
    assert (run.states()["y", -1], run.states()["z", -1]) == ("success", "skipped")


def test_each_choice_counts_by_itself() -> None:
    """One of two that skipped a task is made anew; the other one stands."""
    run = ended(ONLY_Z, STOP)
    run.clear(("b", -1), ("x", -1), ("y", -1))
    run.end("b", outcome=ONLY_Y)
    run.run_all(lambda _: SUCCESS)
    assert run.states()["y", -1] == "skipped"


def test_further_down_the_rules_decide() -> None:
    """A short circuit skips everything below it once; when that is cleared, only what follows it directly again."""
    run = ended(STOP)
    run.clear(("below", -1))
    assert list(run.running) == [("below", -1)]
