"""In a given order of ends every state is that of Airflow, if it decides after each end until nothing changes.

`tests/data/orders.jsonl`: random DAGs of the two kinds of the golden cases about states, with `edges` as they are in
the DAG, and for the tasks' ends in order of definition (`def`) and from the last one (`rev`) what a real Airflow
2.11.2 came to, where `DagRun.update_state` was called after each end as often as it changed anything. There is one
answer for each order, for what passes have seen plays no part.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.machine_driver import Driver, outcome_of, spec_of

RECORDED = Path(__file__).parents[2] / "data" / "orders.jsonl"
CASES = [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("order", ["def", "rev"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_states_in_a_given_order(case: dict[str, Any], order: str) -> None:
    driver = Driver(spec_of(case))
    machine, tasks, ended = driver.machines[0], case["tasks"], list[str]()
    driver.activate(machine)
    while driver.attempts:
        choose = min if order == "def" else max
        attempt, (_, n) = choose(driver.attempts.items(), key=lambda item: item[1][1])
        ended.append(tasks[n]["id"])
        driver.end(attempt, outcome_of(tasks[n], tasks[n]["outcome"]))
    recorded = case["ends"][order]
    assert (driver.states(machine), machine.run.state.value) == (recorded["states"], recorded["run_state"])
    assert ended == recorded["order"]
