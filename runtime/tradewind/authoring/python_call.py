"""Calling authors' functions with exactly the arguments that their signatures ask for."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Final, cast

from tradewind.authoring.assets import Metadata
from tradewind.authoring.context import ASKS_THE_SYSTEM, TRIGGERING, Context
from tradewind.authoring.current_context import running_with
from tradewind.model.errors import AuthoringError

CONTEXT_NAMES: Final = frozenset(
    {
        "asset_state_store",
        "conf",
        "conn",
        "ctx",
        "dag",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
    }
    | {"execution_date", "expanded_ti_count", "exception", "inlet_events", "inlets", "logical_date", "macros"}
    | {"map_index_template", "next_ds", "next_ds_nodash", "next_execution_date", "outlet_events", "outlets", "params"}
    | {"prev_data_interval_end_success", "prev_data_interval_start_success", "prev_ds", "prev_ds_nodash"}
    | {"prev_end_date_success", "prev_execution_date", "prev_execution_date_success", "prev_start_date_success"}
    | {
        "task_state_store",
        "reason",
        "run_id",
        "task",
        "task_instance",
        "task_instance_key_str",
        "task_reschedule_count",
    }
    | {"partition_date", "partition_key"}
    | {"templates_dict", "test_mode", "ti", "tomorrow_ds", "tomorrow_ds_nodash", "triggering_asset_events"}
    | {"triggering_dataset_events", "ts", "ts_nodash", "ts_nodash_with_tz", "var", "yesterday_ds"}
    | {"yesterday_ds_nodash"}
)
"""Names that the context of a task has: parameters of these names need no argument."""

THE_CONTEXT: Final = "ctx"

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def call_function(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> Any:
    """Calls with what `call_arguments` gives; `get_current_context()` answers inside.

    For an `async def` function returns the coroutine, inside which it answers too.
    """
    positional, named = call_arguments(function, args, kwargs, context)
    with running_with(context):
        result = function(*positional, **named)
        if inspect.isgenerator(result) and inspect.isgeneratorfunction(inspect.unwrap(function)):
            return yielded(cast("Generator[Any, None, Any]", result), context)
    if inspect.isasyncgen(result):
        return _yielded_async(cast("AsyncGenerator[Any, None]", result), context)
    return _awaited(result, context) if inspect.isawaitable(result) else result


def yielded(generator: Generator[Any, None, Any], context: Mapping[str, Any]) -> Any:
    """Runs a function that yields: each `Metadata` is said of the outlet that it names, and what the function
    returns is its result. A function that yields anything else is no such function: its values are its result.
    """
    others: list[Any] = []
    while True:
        try:
            value = next(generator)
        except StopIteration as end:
            return others or end.value
        if isinstance(value, Metadata):
            context["outlet_events"].take(value)
        else:
            others.append(value)


async def _yielded_async(generator: AsyncGenerator[Any, None], context: Mapping[str, Any]) -> Any:
    """The same for an `async def` function, whose only result are the values it yields."""
    others: list[Any] = []
    with running_with(context):
        async for value in generator:
            if isinstance(value, Metadata):
                context["outlet_events"].take(value)
            else:
                others.append(value)
    return others or None


async def _awaited(result: Awaitable[Any], context: Mapping[str, Any]) -> Any:
    with running_with(context):
        return await result


def call_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for `function(*args, **kwargs)`: as given, and from the context what its signature names.

    A parameter called `ctx` gets the context itself, a `**rest` parameter all its entries. Raises TypeError naming a
    parameter that has neither.
    """
    asked = _asked_of(function)
    if asked is None:
        return list(args), dict(kwargs)
    if _begins_with_the_context(asked, args, kwargs):
        args = [context, *args]
    taken = asked.positional[: len(args)]
    passed: dict[str, Any] = {}
    if asked.takes_rest:
        entries = context.keywords() if isinstance(context, Context) else context
        passed = {name: entries[name] for name in entries if name not in taken}
    for name in asked.by_name:
        if name in taken:
            continue
        if name not in kwargs and name in context:
            passed[name] = context[name]
        elif name == THE_CONTEXT:
            passed[name] = context
    passed.update(kwargs)
    _reject_missing(function, asked, taken, passed)
    return list(args), passed


def asked_by(function: Callable[..., Any]) -> frozenset[str]:
    """The entries of the context that the signature names and that cost a round trip to the system."""
    asked = _asked_of(function)
    return frozenset() if asked is None else asked.names & (ASKS_THE_SYSTEM | TRIGGERING)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a signature asks for. Names, in its order; `required` have no default."""

    names: frozenset[str]
    positional: tuple[str, ...]
    by_name: tuple[str, ...]
    required: tuple[str, ...]
    takes_rest: bool


def _asked_of(function: Callable[..., Any]) -> _Asked | None:
    """None for builtins that tell nothing: only what was given is passed.

    A loop that defines a hundred thousand tasks makes as many functions of one code object, and each is called once a
    run: what the code asks for is kept, not what the function does, for `inspect.signature` takes 10 us.
    """
    if type(function) is FunctionType and not function.__dict__:  # else `__wrapped__` or `__signature__` may be there
        return _asked_by_code(
            function.__code__, len(function.__defaults__ or ()), frozenset(function.__kwdefaults__ or ())
        )
    try:
        return _asked_by_signature(function)
    except TypeError:  # a callable object that cannot be hashed
        return _asked_by_signature.__wrapped__(function)


@lru_cache(maxsize=4096)
def _asked_by_code(code: CodeType, defaults: int, named_defaults: frozenset[str]) -> _Asked:
    positional = code.co_varnames[: code.co_argcount]
    only_by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    flags = inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
    parameters = len(positional) + len(only_by_name) + sum(bool(code.co_flags & flag) for flag in flags)
    return _Asked(
        names=frozenset(code.co_varnames[:parameters]),
        positional=positional,
        by_name=positional[code.co_posonlyargcount :] + only_by_name,
        required=positional[: len(positional) - defaults]
        + tuple(name for name in only_by_name if name not in named_defaults),
        takes_rest=bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


@lru_cache(maxsize=4096)
def _asked_by_signature(function: Callable[..., Any]) -> _Asked | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return _Asked(
        names=frozenset(p.name for p in parameters),
        positional=tuple(p.name for p in parameters if p.kind in _BY_POSITION),
        by_name=tuple(p.name for p in parameters if p.kind in _BY_NAME),
        required=tuple(p.name for p in parameters if p.default is p.empty and p.kind in {*_BY_POSITION, *_BY_NAME}),
        takes_rest=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _begins_with_the_context(asked: _Asked, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the first parameter is `ctx` and the arguments given are those after it."""
    if not asked.positional or asked.positional[0] != THE_CONTEXT or THE_CONTEXT in kwargs:
        return False
    return 0 < len(args) < len(asked.positional)


def _reject_missing(
    function: Callable[..., Any], asked: _Asked, taken: Sequence[str], passed: Mapping[str, Any]
) -> None:
    missing = [
        name for name in asked.required if name not in taken and (name not in passed or name not in asked.by_name)
    ]
    if missing:
        called = getattr(function, "__name__", repr(function))
        names = ", ".join(repr(name) for name in missing)
        raise TypeError(
            f"{called}() asks for {names}, which is neither in op_args or op_kwargs nor a name of the task's context"
        )


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether the function has an argument of this name."""
    parameters = inspect.signature(function).parameters
    found = parameters.get(name)
    if found is not None:
        return found.kind in _BY_NAME
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_call(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], where: str) -> None:
    """Checks, while the DAG is defined, that a call of a `@task` function can work.

    Parameters with names of the context need no argument. Raises AuthoringError.
    """
    signature = inspect.signature(function)
    relaxed = [p.replace(default=None) if _comes_from_context(p) else p for p in signature.parameters.values()]
    try:
        _with_parameters(relaxed).bind(*args, **kwargs)
    except TypeError as why:
        raise AuthoringError(f"{where}: {why}") from None


def _comes_from_context(parameter: inspect.Parameter) -> bool:
    return parameter.name in CONTEXT_NAMES and parameter.default is parameter.empty and parameter.kind in _BY_NAME


def _with_parameters(parameters: Sequence[inspect.Parameter]) -> inspect.Signature:
    """A signature of these, where a parameter that became optional may stand before required ones."""
    optional_seen = False
    ordered: list[inspect.Parameter] = []
    late: list[inspect.Parameter] = []
    for p in parameters:
        if p.kind in _BY_POSITION and p.name in CONTEXT_NAMES and p.default is None:
            late.append(p.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            optional_seen = True
        else:
            ordered.append(p)
    if not optional_seen:
        return inspect.Signature(parameters)
    at = next((n for n, p in enumerate(ordered) if p.kind is p.VAR_KEYWORD), len(ordered))
    return inspect.Signature([*ordered[:at], *late, *ordered[at:]])
