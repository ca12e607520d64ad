"""Calling authors' functions with exactly the arguments that their signatures ask for."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, cast

from tradewind.authoring.assets import Metadata
from tradewind.authoring.context import ASKS_THE_SYSTEM, TRIGGERING, Context
from tradewind.authoring.current_context import running_with
from tradewind.authoring.signatures import LATER_NAMES, Asked, asked_of, has_own_default

THE_CONTEXT: Final = "ctx"


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

    A parameter called `ctx` gets the context itself, a `**rest` parameter all its entries. Names that are newer than
    the file may be keep a default of their own. Raises TypeError naming a parameter that has neither.
    """
    asked = asked_of(function)
    if asked is None:
        return list(args), dict(kwargs)
    if _begins_with_the_context(function, asked, args, kwargs):
        args = [context, *args]
    taken = asked.positional[: len(args)]
    passed: dict[str, Any] = {}
    if asked.takes_rest:
        entries = context.keywords() if isinstance(context, Context) else context
        passed = {name: entries[name] for name in entries if name not in taken}
    for name in asked.by_name:
        if name in taken or (name in LATER_NAMES and has_own_default(function, asked, name)):
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
    asked = asked_of(function)
    return frozenset() if asked is None else asked.names & (ASKS_THE_SYSTEM | TRIGGERING)


def _begins_with_the_context(
    function: Callable[..., Any], asked: Asked, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    """Whether the first parameter is `ctx` and the arguments given are those after it."""
    if not asked.positional or asked.positional[0] != THE_CONTEXT or THE_CONTEXT in kwargs:
        return False
    return 0 < len(args) < len(asked.positional) and not has_own_default(function, asked, THE_CONTEXT)


def _reject_missing(
    function: Callable[..., Any], asked: Asked, taken: Sequence[str], passed: Mapping[str, Any]
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
