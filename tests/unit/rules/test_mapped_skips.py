"""What instances of a mapped task or group skip by a branch or short circuit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.rules.mapped_driver import SUCCESS, MappedRun, pushed
from tradewind.model.outcomes import RETURN_KEY, Outcome
from tradewind.model.specs import DagSpec, GroupSpec, TaskSpec
from tradewind.model.states import OutcomeKind, TriggerRule
from tradewind.rules.expanding import Expanding

OF_A = {"of": "a", "key": RETURN_KEY}
NO_BRANCH = Outcome(OutcomeKind.SUCCESS, branch=())
STOP = Outcome(OutcomeKind.SUCCESS, short_circuit=True, ignore_downstream_trigger_rules=True)
STOP_NEXT = STOP._replace(ignore_downstream_trigger_rules=False)
ALL_DONE = TriggerRule.ALL_DONE

GROUPED = DagSpec(
    "d",
    tasks=(
        TaskSpec("a", measured=(RETURN_KEY,)),
        TaskSpec("slow"),
        TaskSpec("choice", upstream=("a",), group="g"),
        TaskSpec("next", upstream=("choice", "slow"), group="g"),
        TaskSpec("last", upstream=("next",), group="g", trigger_rule=ALL_DONE),
        TaskSpec("outside", upstream=("choice", "last"), trigger_rule=ALL_DONE),
    ),
    groups=(GroupSpec("g", children=("choice", "next", "last"), expands=OF_A),),
)


def states_of(run: MappedRun, task: str) -> list[str]:
    return [state for (task_id, _), state in run.states().items() if task_id == task]


@pytest.mark.parametrize("at_once", [2, 100])
@pytest.mark.parametrize("slow_first", [False, True])
@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("outcome", [NO_BRANCH, STOP, STOP_NEXT])
def test_one_instance_skips_those_of_its_number(
    outcome: Outcome, restored: bool, slow_first: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what follows directly, also what has no instances yet when it decides, and whoever owns the run then. What
    is not mapped goes by its own rule.
    """
    monkeypatch.setattr(Expanding, "at_once", at_once)
    run = MappedRun(GROUPED)
    run.end("a", outcome=pushed(5))
    run.spread()
    if slow_first:
        run.end("slow")
        run.spread_once()
    run.end("choice", 1, outcome)
    if restored:
        run.restore()
    if not slow_first:
        assert states_of(run, "next") == ["none"]
        run.end("slow")
    run.spread()
    run.run_all(lambda _: SUCCESS)
    assert states_of(run, "next") == ["success", "skipped", "success", "success", "success"]
    assert states_of(run, "last") == ["success"] * 5
    assert states_of(run, "outside") == ["success"]


@pytest.mark.parametrize("restored", [False, True])
def test_a_skip_while_what_it_skips_is_being_expanded(restored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Expanding, "at_once", 2)
    tasks = [replace(task, upstream=("choice",)) if task.task_id == "next" else task for task in GROUPED.tasks]
    run = MappedRun(replace(GROUPED, tasks=tuple(tasks)))
    run.end("a", outcome=pushed(5))
    while ("choice", 0) not in run.running:
        run.spread_once()
    assert states_of(run, "next") == ["none"]
    run.end("choice", 0, NO_BRANCH)
    if restored:
        run.restore()
    run.spread()
    run.run_all(lambda _: SUCCESS)
    assert states_of(run, "next") == ["skipped", *["success"] * 4]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("again", [SUCCESS, STOP])
def test_a_choice_that_is_cleared_is_made_anew(again: Outcome, restored: bool) -> None:
    run = MappedRun(GROUPED)
    run.end("a", outcome=pushed(2))
    run.end("choice", 1, STOP)
    run.clear(("choice", 1))
    if restored:
        run.restore()
    run.end("choice", 1, again)
    if restored:
        run.restore()
    run.end("slow")
    run.run_all(lambda _: SUCCESS)
    assert states_of(run, "next") == ["success", "success" if again is SUCCESS else "skipped"]


def test_what_was_skipped_early_and_is_cleared_stays_skipped() -> None:
    run = MappedRun(GROUPED)
    run.end("a", outcome=pushed(2))
    run.end("choice", 1, STOP)
    run.end("slow")
    run.run_all(lambda _: SUCCESS)
    run.clear(("next", 1))
    assert states_of(run, "next") == ["success", "skipped"]
    run.clear(("choice", 1), ("next", 1))
    run.run_all(lambda _: SUCCESS)
    assert states_of(run, "next") == ["success", "success"]


@pytest.mark.parametrize("outcome", [NO_BRANCH, STOP, STOP_NEXT])
def test_a_number_counts_elsewhere_too(outcome: Outcome) -> None:
    """Tasks that are mapped over the same values go together without a group. One of many does not decide for all."""
    tasks = (
        TaskSpec("a", measured=(RETURN_KEY,)),
        TaskSpec("choice", upstream=("a",), expands=OF_A),
        TaskSpec("same", upstream=("a", "choice"), expands=OF_A),
        TaskSpec("many", upstream=("choice",), expands={"n": 3}),
        TaskSpec("few", upstream=("choice",), expands={"n": 1}),
        TaskSpec("after", upstream=("choice",)),
    )
    run = MappedRun(DagSpec("d", tasks=tasks))
    run.end("a", outcome=pushed(2))
    run.end("choice", 0, SUCCESS)
    run.end("choice", 1, outcome)
    assert sorted(run.running) == [("after", -1), ("few", 0), ("many", 0), ("many", 2), ("same", 0)]


@pytest.mark.parametrize("outcome", [NO_BRANCH, STOP, STOP_NEXT])
def test_what_is_not_mapped_skips_all_instances(outcome: Outcome) -> None:
    tasks = (
        TaskSpec("choice"),
        TaskSpec("first", upstream=("choice",), group="g"),
        TaskSpec("second", upstream=("first",), group="g"),
    )
    groups = (GroupSpec("g", children=("first", "second"), expands={"n": 2}),)
    run = MappedRun(DagSpec("d", tasks=tasks, groups=groups))
    run.end("choice", outcome=outcome)
    assert set(run.states().values()) == {"success", "skipped"}
    assert not run.running
