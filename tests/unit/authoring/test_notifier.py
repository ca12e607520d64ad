"""Notifiers as callbacks, and callbacks with any number of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.authoring.attempts import running
from tradewind.authoring.calling import called_by_name, called_with
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.notifier import BaseNotifier
from tradewind.model.states import OutcomeKind
from tradewind.standard.python import PythonOperator
from tradewind.worker import attempt as attempts
from tradewind.worker.attempt import run_attempt, run_attempt_blocking

said: list[Any] = []


class Says(BaseNotifier):
    template_fields = ("text", "parts")

    def __init__(self, text: str = "", parts: Any = ()) -> None:
        super().__init__(text=text, parts=parts)
        self.text = text
        self.parts = parts

    def notify(self, context: Any) -> None:
        said.append((self.text, self.parts))


class SaysLater(BaseNotifier):
    async def async_notify(self, context: Any) -> None:
        said.append(context["ti"].task_id)


class Part:
    template_fields = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


@pytest.fixture(autouse=True)
def quiet() -> None:
    said.clear()


def fails() -> None:
    raise ValueError("gone")


def outcome(**callbacks: Any) -> OutcomeKind:
    with DAG("d", schedule=None) as dag:
        PythonOperator(task_id="t", python_callable=callbacks.pop("does", fails), **callbacks)
    current = running(dag, "t")
    return run_attempt_blocking(current.attempt, dag, current.blocking).kind


@pytest.mark.spec("3:N02", "3:N03")
def test_a_notifier_is_rendered_for_each_call() -> None:
    notifier = Says("{{ ti.task_id }}: {{ exception }}", [Part("{{ ds }}"), {"a": "{{ dag.dag_id }}"}])
    for _ in range(2):
        assert outcome(on_failure_callback=[notifier, SaysLater()]) is OutcomeKind.FAILED
    (text, parts), later = said[:2]
    assert (text, str(parts), later) == ("t: gone", "[2026-01-02, {'a': 'd'}]", "t")
    assert str(said[2:]) == str(said[:2])
    assert notifier.text == "{{ ti.task_id }}: {{ exception }}"


def test_a_notifier_as_sla_callback_and_one_that_says_nothing() -> None:
    with DAG("d", schedule=None) as dag:
        pass
    Says("{{ dag.dag_id }} {{ task_list }}")(dag, "slow on …", "", [], [])
    assert said == [("d slow on …", ())]
    with pytest.raises(NotImplementedError, match="Empty defines neither"):
        type("Empty", (BaseNotifier,), {})()({})


@pytest.mark.spec("3:N01", "3:N02")
def test_callbacks_without_arguments_and_those_that_raise(caplog: pytest.LogCaptureFixture) -> None:
    def raises() -> None:
        raise SystemExit(3)

    assert outcome(on_failure_callback=[raises, lambda: said.append("called")]) is OutcomeKind.FAILED
    assert said == ["called"]
    assert "raises failed" in caplog.text


def test_a_callback_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(attempts, "CALLBACK_LIMIT", 0.05)

    def hangs(context: Any) -> None:
        while True:
            pass

    assert outcome(does=lambda: 1, on_success_callback=[hangs]) is OutcomeKind.SUCCESS
    assert "the time limit of callbacks of 0.05 s has passed" in caplog.text


async def test_an_async_callback_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    from tradewind.standard.decorators import task

    monkeypatch.setattr(attempts, "CALLBACK_LIMIT", 0.05)

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def works() -> int:
        return 1

    def states(context: Any) -> None:
        said.append(context["ti"].state)

    with DAG("d", schedule=None) as dag:
        task(task_id="t", on_success_callback=[hangs, states])(works)()
    current = running(dag, "t")
    ended = await run_attempt(current.attempt, dag, current.services, blocking=current.blocking)
    assert ended.kind is OutcomeKind.SUCCESS
    assert "Callback" in caplog.text
    assert said == ["success"]


def test_what_callbacks_find_in_the_context() -> None:
    found: list[Any] = []

    def look(context: Any) -> None:
        names = ("dag", "dag_run", "ti", "task", "params", "run_id", "exception", "ds")
        found.extend(name for name in names if context.get(name) is not None)

    def states(context: Any) -> None:
        found.append((context["ti"].state, context["reason"]))

    outcome(on_failure_callback=[look, states])
    assert found == [
        *("dag", "dag_run", "ti", "task", "params", "run_id", "exception", "ds"),
        ("failed", "ValueError: gone"),
    ]
    outcome(on_retry_callback=states, on_failure_callback=look, retries=1)
    assert found[-1] == ("up_for_retry", "ValueError: gone")


def test_calling() -> None:
    def two(a: int, b: int = 0) -> tuple[int, int]:
        return a, b

    def named(*, context: int) -> int:
        return context

    def only(ctx: int) -> int:
        return ctx

    def anything(**given: int) -> dict[str, int]:
        return given

    assert called_with(two, 1, 2, 3) == (1, 2)
    assert called_with(lambda: 5, 1) == 5
    assert called_with(lambda *a: a, 1, 2) == (1, 2)
    assert called_by_name(named, {}, {"context": 1, "other": 2}) == 1
    assert called_by_name(anything, {"context": 9}, {"context": 1, "other": 2}) == {"context": 9, "other": 2}
    assert called_by_name(only, {}, {"context": 1}) == 1
    assert called_by_name(lambda: 3, {}, {"context": 1}) == 3


def test_templates_of_a_notifier_without_a_dag() -> None:
    Says("{{ name | upper if false else name }}")({"name": "x"})
    assert said == [("x", ())]

    def twice(text: str) -> str:
        return text * 2

    with DAG("d", schedule=None, user_defined_macros={"twice": twice}) as dag:
        PythonOperator(task_id="t", python_callable=fails)
    Says("{{ twice(run_id) }}")(build_context(running(dag, "t"), dag, dag.task_dict["t"]))
    assert said[1][0].startswith("manual__")
