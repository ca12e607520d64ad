"""Trigger rules, branches and short circuits end as a real Airflow 2.11 ended them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.machine_driver import Driver, outcome_of, spec_of
from tradewind.model.states import FINISHED, TaskState
from tradewind.rules.run_machine import RunMachine

GOLDEN = Path(__file__).parents[2] / "data" / "golden"

PASSES_DECIDE = frozenset({"tr_p0029", "tr_p0098", "tr_p0179", "tr_p0214", "tr_p0488"})
"""Cases in which a skip and another end race for a task, so that it counts how far the skip has come. Airflow takes
it one level further in each pass; here it spreads at once (`docs/differences.md`)."""

RESULTS = FINISHED - {TaskState.UPSTREAM_FAILED}


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


def finals(case: dict[str, Any], seed: int) -> tuple[dict[str, str], str]:
    """States of the tasks and the run when ends come in definition order (seed 0), in reverse
    (1), or in a random order."""
    driver = Driver(spec_of(case))
    machine = driver.machines[0]
    tasks = case["tasks"]
    dice = random.Random(seed)

    def pick(live: Sequence[tuple[RunMachine, int]]) -> int:
        order = sorted(range(len(live)), key=lambda k: live[k][1])
        return order[0] if seed == 0 else order[-1] if seed == 1 else dice.choice(order)

    driver.activate(machine)
    driver.run_all(lambda _, n: outcome_of(tasks[n], tasks[n]["outcome"]), pick)
    return driver.states(machine), machine.run.state.value


@pytest.mark.parametrize("case", cases("trigger_rules.jsonl"), ids=lambda c: c["id"])
def test_trigger_rules(case: dict[str, Any]) -> None:
    """Any recorded outcome is right for its order; a case with one outcome has it in any order.

    Cases in which Airflow put `skipped` over a result that was already there are left to
    `test_a_branch_never_takes_back_a_result`: we keep the result.
    """
    if any(o.get("finished_then_skipped") for o in case["outcomes"]):
        return
    right = [(o["states"], o["run_state"]) for o in case["outcomes"]]
    if case["id"] in PASSES_DECIDE:
        assert any(finals(case, seed) not in right for seed in range(5)), "take it off the list"
        return
    for seed in range(5):
        got = finals(case, seed)
        if case["order_dependent"] and seed > 1:
            continue
        assert got in right, f"order {seed}"


@pytest.mark.parametrize("case", cases("setup_teardown.jsonl"), ids=lambda c: c["id"])
def test_setup_teardown(case: dict[str, Any]) -> None:
    if any(o.get("finished_then_skipped") for o in case["outcomes"]):
        return
    right = [(o["states"], o["run_state"]) for o in case["outcomes"]]
    assert finals(case, 0) in right


@pytest.mark.parametrize(
    "case",
    [c for c in cases("trigger_rules.jsonl") if any(o.get("finished_then_skipped") for o in c["outcomes"])],
    ids=lambda c: c["id"],
)
def test_a_branch_never_takes_back_a_result(case: dict[str, Any]) -> None:
    """Where Airflow puts `skipped` over tasks that have ended, they keep what they have come to. That something
    upstream has failed is no result.
    """
    driver = Driver(spec_of(case))
    machine = driver.machines[0]
    tasks = case["tasks"]
    ended: dict[str, str] = {}

    def keep() -> list[None]:
        states = driver.states(machine)
        assert all(states[task_id] == state for task_id, state in ended.items())
        ended.update({task_id: state for task_id, state in states.items() if TaskState(state) in RESULTS})
        return []

    driver.activate(machine)
    driver.run_all(lambda _, n: outcome_of(tasks[n], tasks[n]["outcome"]), lambda live: len(live) - 1, keep)
    assert all(TaskState(state) in FINISHED for state in driver.states(machine).values())
