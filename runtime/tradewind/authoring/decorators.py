"""`@dag` and `@task_group`: functions whose calls build a DAG or a group."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast, overload

from tradewind.authoring.dag import DAG, DagSettings
from tradewind.authoring.nodes import DagContainer, GroupNode
from tradewind.authoring.task_group import GroupLooks, TaskGroup
from tradewind.authoring.templating import RunTimeValue
from tradewind.model.errors import AuthoringError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class DagFunction(Generic[P]):
    """A function decorated with `@dag`. Calling it builds the DAG; its arguments become params."""

    def __init__(self, function: Callable[P, object], settings: Mapping[str, Any]) -> None:
        self.function = function
        self.settings = dict(settings)
        functools.update_wrapper(cast("Any", self), function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> DAG:
        """Builds the DAG."""
        settings = dict(self.settings)
        dag_id: str = settings.pop("dag_id")
        if settings.get("doc_md") is None and self.function.__doc__:
            settings["doc_md"] = inspect.cleandoc(self.function.__doc__)
        dag = DAG(dag_id, **settings)
        dag.fileloc = self.function.__code__.co_filename if hasattr(self.function, "__code__") else dag.fileloc
        with dag:
            values = _bound(self.function, args, kwargs, f"DAG {dag_id!r}")
            for name, value in values.items():
                if name not in dag.params:
                    dag.params[name] = value
            references = {name: DagParam(name, dag.params[name]) for name in values}
            cast("Callable[..., object]", self.function)(**references)
        return dag


class DagParam(RunTimeValue):
    """The value that a run has for a param, inside templates and arguments of tasks."""

    def __init__(self, name: str, default: object = None) -> None:
        self.name = name
        self.default = default

    def __str__(self) -> str:
        return f"{{{{ params['{self.name}'] }}}}"

    def __repr__(self) -> str:
        return f"DagParam({self.name!r}, default={self.default!r})"

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value in this run."""
        return context["params"][self.name]


@overload
def dag(function: Callable[P, object], /) -> DagFunction[P]: ...
@overload
def dag(
    dag_id: str | None = None, description: str | None = None, **settings: Unpack[DagSettings]
) -> Callable[[Callable[P, object]], DagFunction[P]]: ...
def dag(dag_id: Any = None, description: str | None = None, **settings: Any) -> Any:
    """`@dag(schedule="@daily", …)`: the function defines the tasks; the id is its name unless given."""
    if callable(dag_id):
        return _dag_function(dag_id, None, {})
    given = {"description": description, **settings} if description is not None else settings

    def decorate(function: Callable[P, object]) -> DagFunction[P]:
        return _dag_function(function, dag_id, given)

    return decorate


def _dag_function(function: Callable[P, object], dag_id: str | None, settings: Mapping[str, Any]) -> DagFunction[P]:
    return DagFunction(function, {**settings, "dag_id": dag_id or getattr(function, "__name__", "")})


class TaskGroupFunction(Generic[P, R]):
    """A function decorated with `@task_group`. Each call makes a group of the tasks made inside."""

    def __init__(self, function: Callable[P, R], settings: Mapping[str, Any]) -> None:
        self.function = function
        self.settings = dict(settings)
        functools.update_wrapper(cast("Any", self), function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Makes the group. Returns what the function returns; the group itself where that is None."""
        settings: dict[str, Any] = {"add_suffix_on_collision": True, **self.settings}
        if not settings.get("tooltip") and self.function.__doc__:
            settings["tooltip"] = inspect.cleandoc(self.function.__doc__)
        group_id: str = settings.pop("group_id")
        with TaskGroup(group_id, **settings) as group:
            result = self.function(*args, **kwargs)
        return cast("R", group) if result is None else result

    def override(self, **settings: Unpack[_GroupOverrides]) -> Self:
        """A copy whose groups get these arguments."""
        return type(self)(self.function, {**self.settings, **settings})


class GroupSettings(GroupLooks, total=False):
    """Arguments of `@task_group` beside the id."""

    prefix_group_id: bool
    parent_group: GroupNode | None
    dag: DagContainer | None
    default_args: Mapping[str, Any] | None


class _GroupOverrides(GroupSettings, total=False):
    group_id: str


@overload
def task_group(function: Callable[P, R], /) -> TaskGroupFunction[P, R]: ...
@overload
def task_group(
    group_id: str | None = None, **settings: Unpack[GroupSettings]
) -> Callable[[Callable[P, R]], TaskGroupFunction[P, R]]: ...
def task_group(group_id: Any = None, **settings: Any) -> Any:
    """`@task_group(group_id=…, tooltip=…)`: the id is the function's name unless given."""
    if callable(group_id):
        return _group_function(group_id, None, {})

    def decorate(function: Callable[P, R]) -> TaskGroupFunction[P, R]:
        return _group_function(function, group_id, settings)

    return decorate


def _group_function(
    function: Callable[P, R], group_id: str | None, settings: Mapping[str, Any]
) -> TaskGroupFunction[P, R]:
    return TaskGroupFunction(function, {**settings, "group_id": group_id or getattr(function, "__name__", "")})


def _bound(function: Callable[..., object], args: Any, kwargs: Any, where: str) -> dict[str, Any]:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError as why:
        raise AuthoringError(f"{where}: {why}; arguments become params, so each needs a value or default") from None
    bound.apply_defaults()
    return dict(bound.arguments)
