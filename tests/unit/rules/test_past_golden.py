"""Three runs at once with `depends_on_past` and `wait_for_downstream` end as a real Airflow 2.11 ended them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.machine_driver import Driver, outcome_of, spec_of
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.model.outcomes import Outcome
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.rules.past import StateOf, past_is_settled, past_of, tasks_asked_of_past
from tradewind.rules.run_machine import RunMachine

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "depends_on_past.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def final(case: dict[str, Any], *, last_first: bool) -> tuple[list[dict[str, str | None]], list[str]]:
    """States of all tasks and runs when nothing moves any more."""
    driver = Driver(spec_of(case), runs=3)
    graph, machines = driver.graph, driver.machines

    def state_in(machine: RunMachine | None, task_id: str) -> TaskState | None:
        return None if machine is None else machine.state[graph.index[task_id]]

    def past(k: int) -> StateOf:
        return partial(state_in, machines[k - 1] if k else None)

    def release() -> Iterable[None]:
        """What the scheduler does after each end: it tells the next run what its past lets start."""
        moved = True
        while moved:
            moved = False
            for k, machine in enumerate(machines):
                for n in graph.past_nodes:
                    settled = past_is_settled(graph, n, past(k))
                    if machine.is_held_by_past(n) and settled:
                        driver.settle_past(machine, graph.tasks[n].task_id)
                        moved = True
                    elif settled:
                        machine.past[n] = True
        return ()

    for k, machine in enumerate(machines):
        driver.activate(machine, past_of(graph, past(k)))
        release()

    def wish(machine: RunMachine, n: int) -> Any:
        task = case["tasks"][n]
        return outcome_of(task, task["outcomes"][machines.index(machine)])

    def pick(live: Sequence[tuple[RunMachine, int]]) -> int:
        order = sorted(range(len(live)), key=lambda i: (machines.index(live[i][0]), live[i][1]))
        return order[-1] if last_first else order[0]

    driver.run_all(wish, pick, release)
    states = [
        {task_id: None if state == "none" else state for task_id, state in driver.states(machine).items()}
        for machine in machines
    ]
    return states, [machine.run.state.value for machine in machines]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_three_runs_at_once(case: dict[str, Any]) -> None:
    """A run that waits for ever stays running. Where the order counts, any recorded end is right."""
    right = [(outcome["states"], outcome["run_states"]) for outcome in case["outcomes"]]
    assert final(case, last_first=False) in right
    if not case["order_dependent"]:
        assert final(case, last_first=True) in right


def test_what_is_asked_of_the_past() -> None:
    """A task that waits for downstream asks for the tasks right below it, too."""
    case = {
        "tasks": [
            {"id": "a", "wait_for_downstream": True},
            {"id": "b"},
            {"id": "c", "depends_on_past": True},
            {"id": "d"},
        ],
        "edges": [["a", "b"], ["b", "d"]],
    }
    graph = Driver(spec_of(case)).graph
    assert tasks_asked_of_past(graph) == ("a", "b", "c")
    states = {"a": TaskState.SUCCESS, "b": TaskState.RUNNING, "c": TaskState.SKIPPED}
    assert past_of(graph, states.get) == {"a": False, "c": True}
    assert past_of(graph, lambda task_id: None) == {"a": True, "c": True}


@pytest.mark.parametrize("waits", [True, False])
def test_a_skip_may_wait_for_the_past(waits: bool) -> None:
    """With `wait_for_past_depends_before_skipping` a task whose trigger rule skips it waits for its past like one that
    would start; what the past says has no part in a failure upstream.
    """
    dag = DAG("d", schedule=None)
    first = BaseOperator(task_id="a", dag=dag)
    then = BaseOperator(task_id="b", dag=dag, depends_on_past=True, wait_for_past_depends_before_skipping=waits)
    first.set_downstream(then)
    driver = Driver(dag.to_spec(), runs=2)
    skipping, failing = driver.machines
    for machine, kind in ((skipping, OutcomeKind.SKIPPED), (failing, OutcomeKind.FAILED)):
        driver.activate(machine, {"b": False})
        driver.end(next(iter(driver.attempts)), Outcome(kind))
    held = driver.graph.index["b"]
    assert driver.states(skipping) == {"a": "skipped", "b": "none" if waits else "skipped"}
    assert skipping.is_held_by_past(held) is waits
    assert driver.states(failing) == {"a": "failed", "b": "upstream_failed"}
    driver.settle_past(skipping, "b")
    assert driver.states(skipping) == {"a": "skipped", "b": "skipped"}
    assert skipping.run.state is RunState.SUCCESS
