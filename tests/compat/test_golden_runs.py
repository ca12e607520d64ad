"""The recorded cases as users' DAGs: Airflow's operators, run to their end by the whole engine."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.test_trigger_rules_golden import PASSES_DECIDE
from tradewind.compat import install
from tradewind.model.errors import SkipTask
from tradewind.trial import try_dag

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CASES = [
    json.loads(line)
    for name in ("trigger_rules.jsonl", "setup_teardown.jsonl")
    for line in (GOLDEN / name).read_text().splitlines()
]
OPERATORS = {"branch": "BranchPythonOperator", "short_circuit": "ShortCircuitOperator"}


def does(task: Mapping[str, Any]) -> Any:
    """What the task of a case does if it runs."""
    if task["outcome"] == "fail":
        raise ValueError("as the case says")
    if task["outcome"] == "skip":
        raise SkipTask("as the case says")
    return task.get("returns", task.get("condition"))


def dag_of(case: Mapping[str, Any]) -> Any:
    """The case's DAG, made with Airflow's names in the order that the cases were made in."""
    install()
    operators = importlib.import_module("airflow.operators.python")
    dag = importlib.import_module("airflow").DAG("d", start_date=datetime(2024, 1, 1, tzinfo=UTC), schedule=None)
    made: dict[str, Any] = {}
    for task in case["tasks"]:
        given = {name: task[name] for name in ("trigger_rule", "ignore_downstream_trigger_rules") if name in task}
        operator = getattr(operators, OPERATORS.get(task["kind"], "PythonOperator"))
        made[task["id"]] = operator(task_id=task["id"], python_callable=does, op_args=[task], dag=dag, **given)
        if task["kind"] == "setup":
            made[task["id"]].as_setup()
    for above, below in case["edges"]:
        made[above].set_downstream(made[below])
    for task in case["tasks"]:
        if task["kind"] == "teardown":
            given = {"setups": [made[setup] for setup in task["setups"]]} if task.get("setups") else {}
            if task.get("on_failure_fail_dagrun") is not None:
                given["on_failure_fail_dagrun"] = task["on_failure_fail_dagrun"]
            made[task["id"]].as_teardown(**given)
    return dag


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
async def test_a_recorded_run(case: Mapping[str, Any]) -> None:
    """The end is one of the recorded ones. What `docs/differences.md` names is left to the tests of the rules."""
    if case["id"] in PASSES_DECIDE or any(outcome.get("finished_then_skipped") for outcome in case["outcomes"]):
        return
    report = await try_dag(dag_of(case))
    ended = ({row.task_id: row.state.value for row in report.instances}, report.run.state.value)
    assert ended in [(outcome["states"], outcome["run_state"]) for outcome in case["outcomes"]]
