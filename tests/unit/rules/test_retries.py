"""Delays and states after a try, against golden cases and in general."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rules.machine_driver import T0, Driver
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, TaskState
from tradewind.rules.retries import LONGEST_BACKOFF, retry_delay

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "retries.jsonl"
ALMOST_ONE = 1 - 2**-53
KINDS = {
    "error": OutcomeKind.FAILED,
    "fail_without_retry": OutcomeKind.FAILED_FOR_GOOD,
    "skip": OutcomeKind.SKIPPED,
}


def task_of(case: dict[str, Any]) -> TaskSpec:
    return TaskSpec(
        "a",
        retries=case["retries"],
        retry_delay=case.get("retry_delay_seconds", 300.0),
        retry_exponential_backoff=case["retry_exponential_backoff"],
        max_retry_delay=case.get("max_retry_delay_seconds"),
    )


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in GOLDEN.read_text().splitlines()], ids=lambda case: case["id"]
)
def test_golden(case: dict[str, Any]) -> None:
    task, number = task_of(case), case["try_number"]
    least, most = retry_delay(task, number, 0.0), retry_delay(task, number, ALMOST_ONE)
    assert least <= case["delay_seconds_seen_min"]
    assert most >= case["delay_seconds_seen_max"]
    if case["samples"] == 1:
        assert least == most == case["delay_seconds_seen_min"]
    assert state_after(task, Outcome(KINDS[case["raises"]]), number) == case["state_after"]


def state_after(task: TaskSpec, outcome: Outcome, try_number: int) -> TaskState:
    """The state in which a run has its task after this end of that try."""
    driver = Driver(DagSpec("d", tasks=(task,)))
    [machine] = driver.machines
    driver.activate(machine)
    machine.tries[0] = try_number
    [attempt] = driver.attempts
    driver.end(attempt, outcome)
    return machine.state[0]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.floats(0, 1e7),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(0, 1e6),
)
def test_backoff_stays_in_its_bounds(delay: float, number: int, draw: float, most: float | None) -> None:
    task = TaskSpec("a", retry_delay=delay, retry_exponential_backoff=True, max_retry_delay=most)
    seconds = retry_delay(task, number, draw)
    assert 0 <= seconds <= min(LONGEST_BACKOFF, LONGEST_BACKOFF if most is None else most) + 1e-6
    assert seconds <= retry_delay(task, number + 1, draw) or draw > 0


def test_without_backoff_the_delay_is_as_given() -> None:
    task = TaskSpec("a", retry_delay=7.25, max_retry_delay=1)
    assert retry_delay(task, 9, 0.9) == 7.25


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome(OutcomeKind.SUCCESS), TaskState.SUCCESS),
        (Outcome(OutcomeKind.TIMED_OUT), TaskState.UP_FOR_RETRY),
        (Outcome(OutcomeKind.LOST), TaskState.RUNNING),  # begun again: it counts for nothing
        (Outcome(OutcomeKind.CANCELLED), TaskState.FAILED),
        (Outcome(OutcomeKind.RESCHEDULED, reschedule_at=T0), TaskState.UP_FOR_RESCHEDULE),
    ],
)
def test_state_after_each_end(outcome: Outcome, state: TaskState) -> None:
    assert state_after(TaskSpec("a", retries=2), outcome, 1) is state
