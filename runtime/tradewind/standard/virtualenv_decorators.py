"""`@task.virtualenv`, `@task.external_python` and their branching forms."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from tradewind.authoring.taskflow import TaskDecorator, TaskFunction, TaskOptions
from tradewind.standard.python import FunctionTask
from tradewind.standard.virtualenv import (
    BranchExternalPythonOperator,
    BranchPythonVirtualenvOperator,
    ExternalPythonOperator,
    OtherInterpreterSettings,
    PythonVirtualenvOperator,
    VirtualenvSettings,
)

P = ParamSpec("P")
R = TypeVar("R")


class DecoratedVirtualenvOperator(FunctionTask, PythonVirtualenvOperator):
    """The task of a `@task.virtualenv` function."""

    operator_name = "@task.virtualenv"


class DecoratedBranchVirtualenvOperator(FunctionTask, BranchPythonVirtualenvOperator):
    """The task of a `@task.branch_virtualenv` function."""

    operator_name = "@task.branch_virtualenv"


class DecoratedExternalPythonOperator(FunctionTask, ExternalPythonOperator):
    """The task of a `@task.external_python` function."""

    operator_name = "@task.external_python"


class DecoratedBranchExternalPythonOperator(FunctionTask, BranchExternalPythonOperator):
    """The task of a `@task.branch_external_python` function."""

    operator_name = "@task.branch_external_python"


class OtherInterpreterTaskOptions(OtherInterpreterSettings, TaskOptions, total=False):
    """Arguments of all four."""

    templates_dict: dict[str, Any] | None
    templates_exts: Collection[str] | None
    show_return_value_in_logs: bool


class VirtualenvTaskOptions(VirtualenvSettings, OtherInterpreterTaskOptions, total=False):
    """Arguments of `@task.virtualenv` and `@task.branch_virtualenv`."""


class VirtualenvTaskDecorator(TaskDecorator):
    """`@task.virtualenv` and `@task.branch_virtualenv`."""

    @overload
    def __call__(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def __call__(self, **settings: Unpack[VirtualenvTaskOptions]) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def __call__(self, function: Any = None, **settings: Any) -> Any:
        """Decorates a function, bare or with arguments."""
        return self.apply(function, settings)


class ExternalPythonTaskDecorator(TaskDecorator):
    """`@task.external_python(python=…)` and `@task.branch_external_python(python=…)`."""

    def __call__(
        self, *, python: str, **settings: Unpack[OtherInterpreterTaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:
        """Decorates a function."""

        def decorate(function: Callable[P, R]) -> TaskFunction[P, R]:
            return self.decorated(function, {"python": python, **settings})

        return decorate


virtualenv = VirtualenvTaskDecorator(DecoratedVirtualenvOperator, "@task.virtualenv", infers_outputs=True)
branch_virtualenv = VirtualenvTaskDecorator(DecoratedBranchVirtualenvOperator, "@task.branch_virtualenv")
external_python = ExternalPythonTaskDecorator(
    DecoratedExternalPythonOperator, "@task.external_python", infers_outputs=True
)
branch_external_python = ExternalPythonTaskDecorator(
    DecoratedBranchExternalPythonOperator, "@task.branch_external_python"
)
