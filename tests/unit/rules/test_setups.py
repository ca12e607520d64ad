"""What tasks need of set-ups that are not directly upstream of them, and where their own rule says it before."""

from __future__ import annotations

import pytest

from tests.unit.rules.machine_driver import Driver
from tests.unit.rules.mapped_driver import FAILED, SKIPPED, SUCCESS, MappedRun, pushed
from tradewind.model.outcomes import RETURN_KEY, Outcome
from tradewind.model.specs import DagSpec, GroupSpec, TaskSpec
from tradewind.model.states import RunState, TriggerRule

OF_A = {"of": "a", "key": RETURN_KEY}


def scoped(rule: TriggerRule) -> DagSpec:
    """`setup >> near >> far >> teardown`, and `beside >> far`: `far` lies within the scope of the set-up."""
    return DagSpec(
        "d",
        tasks=(
            TaskSpec("setup", is_setup=True),
            TaskSpec("beside"),
            TaskSpec("near", upstream=("setup",)),
            TaskSpec("far", upstream=("beside", "near"), trigger_rule=rule),
            TaskSpec(
                "teardown",
                upstream=("far", "near", "setup"),
                trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS,
                is_teardown=True,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("rule", "beside", "state"),
    [
        (TriggerRule.ALL_SUCCESS, FAILED, "upstream_failed"),
        (TriggerRule.ALL_SUCCESS, SKIPPED, "skipped"),
        (TriggerRule.NONE_FAILED, FAILED, "upstream_failed"),
        (TriggerRule.ONE_SUCCESS, SUCCESS, "none"),
        (TriggerRule.ONE_FAILED, FAILED, "none"),
        (TriggerRule.ALWAYS, SUCCESS, "running"),
    ],
)
def test_while_a_setup_runs(rule: TriggerRule, beside: Outcome, state: str) -> None:
    """It holds up only what would start; with `always` not even that."""
    driver = Driver(scoped(rule))
    machine = driver.machines[0]
    driver.activate(machine)
    attempts = {driver.graph.tasks[n].task_id: attempt for attempt, (_, n) in driver.attempts.items()}
    assert ("far" in attempts) is (rule is TriggerRule.ALWAYS)
    driver.end(attempts["beside"], beside)
    assert driver.states(machine)["far"] == state
    driver.end(attempts["setup"], SUCCESS)
    driver.run_all(lambda _machine, _n: SUCCESS, lambda _: 0)
    assert machine.run.state in (RunState.SUCCESS, RunState.FAILED)


GROUP = DagSpec(
    "d",
    tasks=(
        TaskSpec("a", measured=(RETURN_KEY,)),
        TaskSpec("setup", upstream=("a",), group="g", is_setup=True),
        TaskSpec("near", upstream=("setup",), group="g"),
        TaskSpec("far", upstream=("near",), group="g"),
        TaskSpec(
            "teardown",
            upstream=("far", "near", "setup"),
            group="g",
            trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS,
            is_teardown=True,
        ),
    ),
    groups=(GroupSpec("g", children=("setup", "near", "far", "teardown"), expands=OF_A),),
)


@pytest.mark.parametrize("restored", [False, True])
def test_each_instance_of_a_group_has_its_own_setup(restored: bool) -> None:
    """What becomes of one set-up decides neither about the other instances nor about whether there are any."""
    run = MappedRun(GROUP)
    run.end("a", outcome=pushed(3))
    for index, outcome in ((0, FAILED), (1, SUCCESS), (2, SKIPPED)):
        if restored:
            run.restore()
        run.end("setup", index, outcome)
    run.run_all(lambda _: SUCCESS)
    states = run.states()
    assert {task: [states[task, i] for i in range(3)] for task in ("near", "far", "teardown")} == {
        "near": ["upstream_failed", "success", "skipped"],
        "far": ["upstream_failed", "success", "skipped"],
        "teardown": ["upstream_failed", "success", "skipped"],
    }
