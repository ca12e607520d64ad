"""Retry policies: what they say of an exception, and what an attempt makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.authoring.attempts import running
from tradewind.authoring.dag import DAG
from tradewind.authoring.retry_policy import (
    ChainRetryPolicy,
    ExceptionRetryPolicy,
    RetryAction,
    RetryDecision,
    RetryPolicy,
    RetryRule,
    retry_policy,
)
from tradewind.model.errors import AuthoringError, FailWithoutRetry, TaskFailed
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import TaskSpec
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.rules.retries import retry_delay
from tradewind.standard.python import PythonOperator
from tradewind.trial import try_dag
from tradewind.worker.attempt import run_attempt_blocking

SOON = timedelta(seconds=5)


def says(policy: object, error: BaseException, try_number: int = 1) -> tuple[RetryAction, timedelta | None]:
    made = retry_policy(policy, "retry_policy")
    assert made is not None
    decision = made.evaluate(error, try_number, 3, {})
    return decision.action, decision.retry_delay


RULES = ExceptionRetryPolicy(
    [
        RetryRule(FileNotFoundError, match_subclasses=False, retry_delay=SOON),
        RetryRule([ConnectionError, "builtins.TimeoutError"], retry_delay=SOON),
        RetryRule("builtins.OSError", RetryAction.FAIL),
        RetryRule("nowhere.Error", RetryAction.FAIL),
    ]
)


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (ConnectionResetError(), (RetryAction.RETRY, SOON)),
        (TimeoutError(), (RetryAction.RETRY, SOON)),
        (FileNotFoundError(), (RetryAction.RETRY, SOON)),
        (PermissionError(), (RetryAction.FAIL, None)),
        (ValueError(), (RetryAction.DEFAULT, None)),
    ],
)
def test_rules(error: BaseException, decision: tuple[RetryAction, timedelta | None]) -> None:
    assert says(RULES, error) == decision


def test_dicts_and_functions() -> None:
    short = {PermissionError: False, KeyError: True, OSError: 2.5, "builtins.ValueError": "fail"}
    assert says(short, PermissionError()) == (RetryAction.FAIL, None)
    assert says(short, OSError()) == (RetryAction.RETRY, timedelta(seconds=2.5))
    assert says(short, UnicodeError()) == (RetryAction.FAIL, None)

    def longer(error: BaseException, try_number: int) -> timedelta:
        return timedelta(seconds=try_number)

    def silent(error: BaseException) -> None: ...

    def all_of_it(*given: object) -> bool:
        return len(given) == 4

    def whole(error: BaseException, number: int, most: int, context: object) -> RetryDecision:
        return RetryDecision(RetryAction.FAIL)

    answers: list[tuple[Callable[..., object], tuple[RetryAction, timedelta | None]]] = [
        (longer, (RetryAction.RETRY, timedelta(seconds=1))),
        (silent, (RetryAction.DEFAULT, None)),
        (all_of_it, (RetryAction.RETRY, None)),
        (whole, (RetryAction.FAIL, None)),
    ]
    for function, decision in answers:
        assert says(function, ValueError()) == decision


def test_a_chain() -> None:
    class Broken(RetryPolicy):
        def evaluate(self, *args: Any, **kwargs: Any) -> RetryDecision:
            raise RuntimeError("no answer")

    chain = ChainRetryPolicy([ExceptionRetryPolicy([]), Broken(), RULES])
    decision = chain.evaluate(PermissionError(), 1, 3)
    assert decision.action is RetryAction.FAIL
    assert decision.reason == (
        "ExceptionRetryPolicy: there is a rule for PermissionError "
        "(after ExceptionRetryPolicy had nothing to say; Broken raised RuntimeError: no answer)"
    )
    assert chain.evaluate(ValueError(), 1, 3).action is RetryAction.DEFAULT


@pytest.mark.parametrize("wrong", [3, {ValueError: object()}, {int: True}, {"ValueError": True}])
def test_what_is_no_policy_is_an_import_error(wrong: object) -> None:
    with pytest.raises(AuthoringError, match=r"retry_policy|RetryRule"):
        PythonOperator(task_id="t", python_callable=print, retry_policy=wrong)  # type: ignore[arg-type]  # on purpose


def outcome(policy: object, error: BaseException, try_number: int = 1) -> Outcome:
    def fails() -> None:
        raise error

    with DAG("d", schedule=None) as dag:
        PythonOperator(task_id="t", python_callable=fails, retries=2, retry_policy=retry_policy(policy, "here"))
    current = running(dag, "t", try_number=try_number)
    return run_attempt_blocking(current.attempt, dag, current.blocking)


@pytest.mark.spec("1:O11")
def test_in_an_attempt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ended = outcome({ValueError: SOON}, ValueError())
    assert (ended.kind, ended.retry_after) == (OutcomeKind.FAILED, 5.0)
    assert outcome({ValueError: False}, ValueError()).kind is OutcomeKind.FAILED_FOR_GOOD
    assert "retry_policy: no other try" in caplog.text
    assert "Marking task as FAILED" in caplog.text

    def broken(error: BaseException) -> float:
        return 1 / 0

    ended = outcome(broken, ValueError())
    assert (ended.kind, ended.retry_after) == (OutcomeKind.FAILED, None)
    assert "ZeroDivisionError" in caplog.text
    for error, kind in ((FailWithoutRetry(), OutcomeKind.FAILED_FOR_GOOD), (TaskFailed("x"), OutcomeKind.FAILED)):
        assert outcome({Exception: 9}, error).kind is kind


def test_the_wait_is_bounded_by_the_task() -> None:
    task = TaskSpec("t", retry_exponential_backoff=True, max_retry_delay=60)
    assert retry_delay(task, 1, 0.5, 12.5) == 12.5
    assert retry_delay(task, 1, 0.5, 1e6) == 60
    assert retry_delay(dataclasses.replace(task, max_retry_delay=None), 1, 0.5, 1e6) == 1e6


async def test_in_a_run() -> None:
    def fails() -> None:
        raise KeyError("gone")

    async def waits() -> None:
        raise ConnectionError("away")

    with DAG("d", schedule=None) as dag:
        PythonOperator(task_id="stops", python_callable=fails, retries=3, retry_policy={KeyError: False})
        from tradewind.standard.decorators import task

        task(task_id="waits", retries=2, retry_policy={ConnectionError: timedelta(hours=1)})(waits)()
    report = await try_dag(dag)
    assert report.run.state is RunState.FAILED
    tries = {row.task_id: (row.state, row.try_number) for row in report.instances}
    assert tries == {"stops": (TaskState.FAILED, 1), "waits": (TaskState.FAILED, 3)}
