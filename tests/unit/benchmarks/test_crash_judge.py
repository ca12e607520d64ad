"""The judge of the crash benchmark sees what it is there to see."""

from __future__ import annotations

from typing import Any

from benchmarks import crash_judge
from benchmarks.crash_dags import Note
from benchmarks.crash_judge import Verdict, judge_rows

_WON, _OTHER = "aa", "bb"


def _instance(task_id: str = "t0", state: str = "success") -> dict[str, Any]:
    return {"run_id": 1, "task_id": task_id, "state": state, "try_number": 1, "dag_run_id": "r", "run_state": "success"}


def _attempt(attempt: str = _WON, kind: str = "success", started: float = 1.0, ended: float = 2.0) -> dict[str, Any]:
    row = {"run_id": 1, "task_id": "t0", "try_number": 1, "attempt": attempt, "kind": kind}
    return {**row, "started": started, "ended": ended, "detail": None}


def _xcom(attempt: str = _WON) -> dict[str, Any]:
    return {"run_id": 1, "task_id": "t0", "data": f'"{attempt}"'.encode()}


def _note(what: str, attempt: str = _WON, wall: float = 1.5) -> Note:
    return Note(what, 1, 1, "t0", 1, attempt, int(wall * 1e9), wall)


_WHOLE = [_note("begin"), _note("end")]


def _judged(
    *,
    instances: list[dict[str, Any]] | None = None,
    attempts: list[dict[str, Any]] | None = None,
    xcoms: list[dict[str, Any]] | None = None,
    notes: list[Note] | None = None,
    acknowledged: tuple[str, ...] = ("r",),
    live: int = 0,
) -> Verdict:
    rows = crash_judge.Rows(
        instances or [_instance()],
        [_attempt()] if attempts is None else attempts,
        [_xcom()] if xcoms is None else xcoms,
        live,
    )
    return judge_rows(rows, _WHOLE if notes is None else notes, acknowledged, tasks=1)


def test_a_whole_run_is_in_order() -> None:
    assert _judged() == Verdict(runs=1, tasks=1)


def test_a_body_that_ran_again_before_any_success_is_allowed() -> None:
    verdict = _judged(
        attempts=[_attempt(_OTHER, "lost", 0.1, 0.2), _attempt()],
        notes=[_note("begin", _OTHER, 0.1), *_WHOLE],
    )
    assert verdict == Verdict(runs=1, tasks=1, repeated_bodies=1)


def test_an_acknowledged_run_that_is_not_there_is_lost() -> None:
    assert _judged(acknowledged=("r", "gone")).lost


def test_a_task_without_a_final_state_is_lost() -> None:
    assert _judged(instances=[_instance(state="scheduled")], attempts=[]).lost


def test_a_success_whose_body_never_ended_is_lost() -> None:
    assert _judged(notes=[_note("begin")]).lost


def test_an_unfinished_run_is_stuck() -> None:
    assert _judged(instances=[{**_instance(), "run_state": "running"}]).stuck


def test_two_accepted_attempts_are_a_double() -> None:
    assert _judged(attempts=[_attempt(), _attempt(_OTHER)]).double_completed


def test_an_attempt_opened_after_a_success_is_a_double() -> None:
    assert _judged(attempts=[_attempt(), _attempt(_OTHER, "lost", 3.0, 4.0)]).double_completed


def test_a_body_that_began_after_a_success_is_a_double() -> None:
    assert _judged(notes=[*_WHOLE, _note("begin", _OTHER, 3.0)]).double_completed


def test_results_and_live_attempts_must_fit() -> None:
    assert _judged(xcoms=[_xcom(_OTHER)]).wrong
    assert _judged(xcoms=[]).wrong
    assert _judged(live=1).wrong
    assert _judged(attempts=[]).wrong


def test_a_failed_task_is_told_with_its_reason() -> None:
    assert _judged(instances=[_instance(state="failed")], attempts=[_attempt(kind="failed")]).failed
