"""Clearing makes of each task instance what a real Airflow 2.11 makes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.machine_driver import SOURCE, T0, run_row
from tradewind.model.commands import Decision
from tradewind.model.events import Stamp, TasksCleared
from tradewind.model.keys import AttemptId
from tradewind.model.rows import InstanceRow
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import HOLDS_SLOT, RunState, TaskState
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "clear_mark.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
CLEARED = [case for case in CASES if case["op"]["kind"] == "clear"]

OTHERWISE = {"queued", "restarting", "deferred", None}
"""Ours: an attempt that was sent off is ended like one that runs, one that is being ended already goes on being
ended; nothing is deferred yet; what waits for its upstream tasks is left alone."""


def machine_of(case: dict[str, Any], run: int) -> RunMachine:
    """A queued run, so that nothing starts again within the event, in the states that the case has before."""
    upstream: dict[str, list[str]] = {}
    for a, b in case["edges"]:
        upstream.setdefault(b, []).append(a)
    states = case["before"][run]
    retries = {task["id"]: task["retries"] for task in case["tasks"]}
    spec = DagSpec(
        "d",
        tasks=tuple(
            TaskSpec(task_id, upstream=tuple(sorted(upstream.get(task_id, ()))), retries=retries.get(task_id, 0))
            for task_id in states
        ),
    )
    machine = RunMachine(run_row(spec, run + 1, RunState.QUEUED), Graph(spec), SOURCE)
    rows: list[InstanceRow] = []
    for number, (task_id, (state, tries, most)) in enumerate(states.items()):
        now = TaskState(state or "none")
        attempt = AttemptId(number.to_bytes(16, "big")) if now in HOLDS_SLOT else None
        due = T0 + timedelta(days=9) if state in ("up_for_retry", "up_for_reschedule") else None
        row = InstanceRow(machine.run.run_id, task_id, -1, now, tries, most, due_at=due, attempt=attempt)
        rows.append(row)
    machine.restore(rows)
    return machine


@pytest.mark.parametrize("case", CLEARED, ids=lambda case: str(case["id"]))
def test_clearing(case: dict[str, Any]) -> None:
    """States, tries and allowed tries of everything that was cleared, and nothing else has changed."""
    for run in range(len(case["runs"])):
        cleared = {task_id for number, task_id in case["would_clear"] if number == run}
        machine = machine_of(case, run)
        index = machine.graph.index
        nodes = tuple(sorted(index[task_id] for task_id in cleared))
        machine.handle(TasksCleared(Stamp(T0, 1), nodes), Decision())
        for task_id, (state, tries, most) in case["after"][run].items():
            n, before = index[task_id], case["before"][run][task_id]
            if task_id in cleared and before[0] in OTHERWISE:
                continue
            got = machine.state[n], machine.tries[n], machine.max_tries[n]
            assert got == (TaskState(state or "none"), tries, most), task_id


def test_something_is_compared() -> None:
    states = {case["before"][run][task_id][0] for case in CLEARED for run, task_id in case["would_clear"]}
    assert states - OTHERWISE >= {
        "success",
        "failed",
        "skipped",
        "upstream_failed",
        "running",
        "scheduled",
        "up_for_retry",
    }
