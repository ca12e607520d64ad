"""`@task.run_if` and `@task.skip_if`: whether a task runs at all, decided when its turn has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from tradewind.authoring.taskflow import TaskFunction
from tradewind.model.errors import AuthoringError, SkipTask

P = ParamSpec("P")
R = TypeVar("R")
Verdict = bool | tuple[bool, str | None]
Condition = Callable[[Any], Verdict]
"""Gets the context; may say why, as second item of a tuple."""


def run_if(condition: Condition, skip_message: str | None = None) -> Callable[[TaskFunction[P, R]], TaskFunction[P, R]]:
    """`@task.run_if(lambda context: …)` above `@task`: the task is skipped unless the condition holds."""
    return _guarded(condition, skip_message, runs_on=True, name="run_if")


def skip_if(
    condition: Condition, skip_message: str | None = None
) -> Callable[[TaskFunction[P, R]], TaskFunction[P, R]]:
    """`@task.skip_if(lambda context: …)` above `@task`: the task is skipped where the condition holds."""
    return _guarded(condition, skip_message, runs_on=False, name="skip_if")


def _guarded(
    condition: Condition, skip_message: str | None, *, runs_on: bool, name: str
) -> Callable[[TaskFunction[P, R]], TaskFunction[P, R]]:
    if not callable(condition):
        raise AuthoringError(f"@task.{name}: the condition has to be a function of the context, not {condition!r}")

    def decorate(function: TaskFunction[P, R]) -> TaskFunction[P, R]:
        if "settings" not in vars(function):
            raise AuthoringError(f"@task.{name} has to stand above @task; {function!r} is no task")
        inner = cast("Callable[[Any], object] | None", function.settings.get("pre_execute"))

        def before(context: Any) -> None:
            verdict = condition(context)
            holds, why = verdict if isinstance(verdict, tuple) else (verdict, None)
            if bool(holds) is not runs_on:
                told = why or skip_message or f"@task.{name}: the condition is {bool(holds)}"
                raise SkipTask(told)
            if inner is not None:
                inner(context)

        return function.with_settings({"pre_execute": before})

    return decorate
