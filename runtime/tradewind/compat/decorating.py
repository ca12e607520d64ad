"""`airflow.decorators.base`: what provider packages make their own `@task.something` of."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.signatures import check_call
from tradewind.authoring.taskflow import TaskDecorator


class DecoratedOperator(BaseOperator):
    """Base of operators that get the decorated function and what it was called with."""

    template_fields: Sequence[str] = ("op_args", "op_kwargs")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"op_args": "py", "op_kwargs": "py"}
    custom_operator_name: ClassVar[str] = ""

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        kwargs_to_upstream: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        where = f"{self.custom_operator_name or type(self).__name__} {arguments.get('task_id')!r}"
        check_call(python_callable, tuple(op_args or ()), op_kwargs or {}, where)
        super().__init__(**{**(kwargs_to_upstream or {}), **arguments})
        self.python_callable = python_callable
        self.op_args: Collection[Any] = tuple(op_args or ())
        self.op_kwargs: Mapping[str, Any] = dict(op_kwargs or {})


class PackageDecorator(TaskDecorator):
    """`@task.something` of a provider package."""

    def __call__(self, python_callable: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """The decorated function, or the decorator where only arguments are given."""
        return self.apply(python_callable, settings)


def task_decorator_factory(
    python_callable: Callable[..., Any] | None = None,
    *,
    multiple_outputs: bool | None = None,
    decorated_operator_class: type[BaseOperator],
    **settings: Any,
) -> Any:
    """A decorator, or a decorated function, whose calls make tasks of this class."""
    if multiple_outputs is not None:
        settings["multiple_outputs"] = multiple_outputs
    name = getattr(decorated_operator_class, "custom_operator_name", "") or decorated_operator_class.__name__
    return PackageDecorator(_made_here(decorated_operator_class), name)(python_callable, **settings)


def _made_here(kind: type[BaseOperator]) -> type[BaseOperator]:
    """The class, taking the function under the name by which decorators here hand it over."""
    found = _MADE.get(kind)
    if found is not None:
        return found

    built: Callable[..., None] = kind.__init__

    def construct(self: BaseOperator, *, function: Any, op_args: Any, op_kwargs: Any, **arguments: Any) -> None:
        built(self, python_callable=function, op_args=op_args, op_kwargs=op_kwargs, **arguments)

    body = {
        "__init__": construct,
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "operator_name": str(getattr(kind, "custom_operator_name", "")) or kind.__name__,
    }
    made: type[BaseOperator] = types.new_class(kind.__name__, (kind,), exec_body=lambda names: names.update(body))
    _MADE[kind] = made
    return made


_MADE: Final[WeakKeyDictionary[type[BaseOperator], type[BaseOperator]]] = WeakKeyDictionary()
"""One class for each of a package, so that all its tasks are of one kind."""
