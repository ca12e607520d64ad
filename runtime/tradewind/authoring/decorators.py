"""`@dag` and `@task_group`: functions whose calls build a DAG or a group."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast, overload

from tradewind.authoring.dag import DAG, DagSettings
from tradewind.authoring.expand_input import (
    NOT_GIVEN,
    ExpandInput,
    Mappable,
    MappableKwargs,
    MappedArgument,
    check_names,
    check_no_duplicates,
    dicts_input,
    lists_input,
)
from tradewind.authoring.mapped_group import MappedTaskGroup
from tradewind.authoring.nodes import DagContainer, GroupNode
from tradewind.authoring.open_partials import note_expanded, note_partial
from tradewind.authoring.scope import current_dag
from tradewind.authoring.signatures import takes
from tradewind.authoring.task_group import GroupLooks, TaskGroup
from tradewind.authoring.templating import RunTimeValue
from tradewind.authoring.xcom_arg import XComArg
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
    """A function decorated with `@task_group`. Each call makes a group of the tasks made inside.

    `.expand(…)` makes a mapped group: all its tasks exist once for each value.
    """

    def __init__(self, function: Callable[P, R], settings: Mapping[str, Any]) -> None:
        self.function = function
        self.settings = dict(settings)
        self.partial_arguments: dict[str, Any] = {}
        functools.update_wrapper(cast("Any", self), function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Makes the group. Returns what the function returns; the group itself where that is None."""
        if self.partial_arguments:
            raise AuthoringError(f"{self._where}: what .partial() gave is expanded, not called: .partial(…).expand(…)")
        settings = self._own_settings()
        with TaskGroup(settings.pop("group_id"), **settings) as group:
            result = self.function(*args, **kwargs)
        return cast("R", group) if result is None else result

    def partial(self, **arguments: Any) -> Self:
        """A copy with arguments that all instances of the group have in common; `.expand(…)` on it makes the group."""
        check_names(self._where, "partial", self._known, arguments)
        check_no_duplicates(self.partial_arguments, arguments, f"{self._where}: duplicate partial")
        other = type(self)(self.function, self.settings)
        other.partial_arguments = {**self.partial_arguments, **arguments}
        note_expanded(self._dag, self)
        note_partial(self._dag, other, self._where)
        return other

    def expand(self, **lists: Mappable) -> R:
        """A mapped group: its tasks exist once for each combination of the values. Raises AuthoringError.

        Inside, the arguments stand for the value of the instance; hand them to tasks.
        """
        found = lists_input(self._where, self._known, lists)
        check_no_duplicates(self.partial_arguments, lists, f"{self._where}: mapping already partial")
        return self._expanded(found, {name: MappedArgument(found, name) for name in lists})

    def expand_kwargs(self, kwargs: MappableKwargs) -> R:
        """A mapped group, for each dict of arguments once."""
        parameters = inspect.signature(self.function).parameters
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()):
            raise AuthoringError(
                f"{self._where}: calling expand_kwargs() on task group function with * or ** is not supported"
            )
        found = dicts_input(self._where, self._known, kwargs)
        for item in () if isinstance(kwargs, XComArg) else kwargs:
            if isinstance(item, Mapping):
                check_no_duplicates(self.partial_arguments, item, f"{self._where}: mapping already partial")
        mapped = {
            name: MappedArgument(found, name, NOT_GIVEN if p.default is p.empty else p.default)
            for name, p in parameters.items()
            if name not in self.partial_arguments
        }
        return self._expanded(found, mapped)

    def override(self, **settings: Unpack[_GroupOverrides]) -> Self:
        """A copy whose groups get these arguments."""
        other = type(self)(self.function, {**self.settings, **settings})
        other.partial_arguments = self.partial_arguments
        return other

    def _expanded(self, found: ExpandInput, mapped: Mapping[str, Any]) -> R:
        note_expanded(self._dag, self)
        settings = self._own_settings()
        arguments: dict[str, Any] = {**self.partial_arguments, **mapped}
        try:
            inspect.signature(self.function).bind(**arguments)
        except TypeError as why:
            raise AuthoringError(f"{self._where}: {why}") from None
        with MappedTaskGroup(settings.pop("group_id"), expand_input=found, **settings) as group:
            result = cast("Callable[..., R]", self.function)(**arguments)
        return cast("R", group) if result is None else result

    def _own_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"add_suffix_on_collision": True, **self.settings}
        if not settings.get("tooltip") and self.function.__doc__:
            settings["tooltip"] = inspect.cleandoc(self.function.__doc__)
        return settings

    def _known(self, name: str) -> bool:
        return takes(self.function, name)

    @property
    def _where(self) -> str:
        return f"@task_group {self.settings['group_id']!r}"

    @property
    def _dag(self) -> DagContainer | None:
        parent: GroupNode | None = self.settings.get("parent_group")
        return self.settings.get("dag") or (parent.dag if parent is not None else current_dag())


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
