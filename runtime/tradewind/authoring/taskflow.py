"""`@task`: functions whose calls become tasks.

The machinery only; which operator a decorator makes is decided in `standard.decorators`.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack, cast, overload

from tradewind.authoring.arguments import TaskSettings
from tradewind.authoring.context import Context
from tradewind.authoring.expand_input import (
    ExpandInput,
    Mappable,
    MappableKwargs,
    check_names,
    check_no_duplicates,
    dicts_input,
    lists_input,
)
from tradewind.authoring.mapped import MappedCall, MappedOperator, check_not_always
from tradewind.authoring.nodes import DagContainer, GroupNode
from tradewind.authoring.open_partials import note_expanded, note_partial
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.scope import current_dag, group_for
from tradewind.authoring.signatures import check_call, takes
from tradewind.authoring.xcom_arg import XComArg, iter_args
from tradewind.model.errors import AuthoringError

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
OperatorFactory = type[BaseOperator]
_PLACES = ("task_id", "dag", "task_group", "default_args")
_DOCS = ("doc", "doc_md", "doc_json", "doc_yaml", "doc_rst")


class TaskOptions(TaskSettings, total=False):
    """Arguments of `@task(…)` and `.override(…)`."""

    task_id: str


class TaskFunction(Generic[P, R]):
    """A decorated function. Calling it while a DAG is defined makes a task and returns its future result.

    `.function` is the function itself. `.override(task_id=…, retries=…)` gives a copy with other
    arguments. Called several times in one DAG, the tasks are named `name`, `name__1`, `name__2` …

    `.expand(url=[…])` makes a task that is run once for each value, `.expand_kwargs([{…}, …])` once for each dict of
    arguments; `.partial(…)` before them gives the arguments that all have in common.
    """

    def __init__(self, function: Callable[P, R], make: OperatorFactory, settings: Mapping[str, Any]) -> None:
        self.function = function
        self.settings = dict(settings)
        self.is_setup = False
        self.is_teardown = False
        self.on_failure_fail_dagrun = False
        self.partial_arguments: dict[str, Any] = {}
        self._make = make
        functools.update_wrapper(cast("Any", self), function)

    @overload
    def __call__(self: TaskFunction[Concatenate[Context, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> XComArg: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> XComArg: ...
    def __call__(self, *args: Any, **kwargs: Any) -> XComArg:
        """Makes the task; a call leaves out the context, where the function takes it first. Raises AuthoringError where
        the function cannot be called like this.
        """
        if self.partial_arguments:
            raise AuthoringError(f"{self!r}: what .partial() gave is not called, it is expanded: .partial(…).expand(…)")
        make = cast("Callable[..., BaseOperator]", self._make)
        return self._finished(make(function=self.function, op_args=args, op_kwargs=kwargs, **self._own_settings()))

    def partial(self, **arguments: Any) -> Self:
        """A copy with arguments that all instances have in common; `.expand(…)` on it makes the task."""
        check_names(self._where, "partial", self._known, arguments)
        check_no_duplicates(self.partial_arguments, arguments, f"{self._where}: duplicate partial")
        other = self.with_settings({})
        other.partial_arguments = {**self.partial_arguments, **arguments}
        note_expanded(self._dag, self)
        note_partial(self._dag, other, self._where)
        return other

    def expand(self, **lists: Mappable) -> XComArg:
        """A task for each combination of the values; the last argument varies fastest. Raises AuthoringError.

        A value is a list, a dict (instances get its (key, value) pairs) or the result of another task.
        """
        if any(isinstance(value, XComArg) for value in lists.values()):
            check_not_always(self.settings, "expand")
        found = lists_input(self._where, self._known, lists)
        check_no_duplicates(self.partial_arguments, lists, f"{self._where}: mapping already partial")
        self._check_call(lists)
        return self._expanded(found, strict=False)

    def expand_kwargs(self, kwargs: MappableKwargs, *, strict: bool = True) -> XComArg:
        """A task for each dict of arguments. `strict=False`: they may replace what `partial` has."""
        found = dicts_input(self._where, self._known, kwargs)
        for item in () if isinstance(kwargs, XComArg) else kwargs:
            if isinstance(item, Mapping):
                if any(True for _ in iter_args(item)):
                    check_not_always(self.settings, "expand_kwargs")
                if strict:
                    check_no_duplicates(self.partial_arguments, item, f"{self._where}: mapping already partial")
                self._check_call(item)
        return self._expanded(found, strict=strict)

    def override(self, **settings: Unpack[TaskOptions]) -> Self:
        """A copy whose tasks get these arguments."""
        return self.with_settings(settings)

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """`override`, for arguments that only some kinds of task take."""
        other = type(self)(self.function, self._make, {**self.settings, **settings})
        other.is_setup, other.is_teardown = self.is_setup, self.is_teardown
        other.on_failure_fail_dagrun = self.on_failure_fail_dagrun
        other.partial_arguments = self.partial_arguments
        return other

    def _own_settings(self) -> dict[str, Any]:
        settings = dict(self.settings)
        settings["task_id"] = unique_task_id(str(settings["task_id"]), settings)
        return settings

    def _finished(self, operator: BaseOperator) -> XComArg:
        if self.function.__doc__ and not any(name in operator.__dict__ for name in _DOCS):
            operator.doc_md = inspect.cleandoc(self.function.__doc__)
        if self.is_setup:
            operator.as_setup()
        if self.is_teardown:
            operator.as_teardown(on_failure_fail_dagrun=self.on_failure_fail_dagrun)
        return XComArg(operator)

    def _expanded(self, expand: ExpandInput, *, strict: bool) -> XComArg:
        note_expanded(self._dag, self)
        settings = self._own_settings()
        places = {name: settings.pop(name) for name in _PLACES if name in settings}
        call = {"function": self.function, "op_args": (), "op_kwargs": self.partial_arguments}
        mapped = MappedCall(self._make, {**settings, **call}, expand, "op_kwargs", strict)
        return self._finished(MappedOperator(mapped_call=mapped, **places))

    def _check_call(self, mapped: Mapping[str, Any]) -> None:
        check_call(self.function, (), {**self.partial_arguments, **mapped}, self._where)

    def _known(self, name: str) -> bool:
        return takes(self.function, name)

    @property
    def _where(self) -> str:
        return f"@task {self.settings['task_id']!r}"

    @property
    def _dag(self) -> DagContainer | None:
        return _dag_of(self.settings)

    def __repr__(self) -> str:
        return f"<@task function {self.settings['task_id']!r}>"


class TaskDecorator:
    """One kind of `@task`: which operator it makes of a function."""

    def __init__(self, make: OperatorFactory, name: str, *, infers_outputs: bool = False) -> None:
        self._make_operator = make
        self._name = name
        self._infers_outputs = infers_outputs

    def apply(self, function: object, settings: Mapping[str, Any]) -> object:
        """The decorated function, or the decorator where only arguments were given.

        Raises AuthoringError for what is no function. Subclasses give it its typed `__call__`.
        """
        if function is not None:
            return self.decorated(cast("Callable[..., Any]", function), settings)

        def decorate(function: Callable[P, R]) -> TaskFunction[P, R]:
            return self.decorated(function, settings)

        return decorate

    def decorated(self, function: Callable[P, R], settings: Mapping[str, Any]) -> TaskFunction[P, R]:
        """The decorated function."""
        if isinstance(function, TaskFunction):
            raise AuthoringError(f"{self._name}: {function!r} is decorated already")
        if not callable(function) or isinstance(function, type):
            raise AuthoringError(f"{self._name} decorates functions, not {function!r}")
        settings = {"task_id": getattr(function, "__name__", "task"), **settings}
        if self._infers_outputs and "multiple_outputs" not in settings and returns_mapping(function):
            settings["multiple_outputs"] = True
        return TaskFunction(function, self._make_operator, settings)


def returns_mapping(function: Callable[..., object]) -> bool:
    """Whether the return annotation is a mapping: such results are stored key by key too."""
    if "return" not in getattr(function, "__annotations__", {}):
        return False
    try:
        hint: Any = typing.get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001, RUF100 - an annotation may name what exists only for type checkers
        return False
    kind = typing.get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Mapping)


def unique_task_id(task_id: str, settings: Mapping[str, Any]) -> str:
    """`task_id`, with a number where the DAG has such a task already."""
    group: GroupNode | None = settings.get("task_group")
    group = group or group_for(_dag_of(settings))
    return task_id if group is None else group.free_label(task_id)


def _dag_of(settings: Mapping[str, Any]) -> DagContainer | None:
    group: GroupNode | None = settings.get("task_group")
    return settings.get("dag") or (group.dag if group is not None else current_dag())
