"""Calls functions that people give us with as many arguments as they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def called_with(function: Callable[..., Any], *offered: object) -> Any:
    """Calls `function` with the first arguments that it has places for: `f()`, `f(context)`, `f(context, …)`."""
    return function(*offered[: places_of(function, len(offered))])


def places_of(function: Callable[..., Any], at_most: int) -> int:
    """How many positional arguments the function takes. One whose signature is unknown takes all."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return at_most
    count = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return at_most
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
    return min(count, at_most)


def called_by_name(function: Callable[..., Any], given: Mapping[str, Any], offered: Mapping[str, Any]) -> Any:
    """Calls `function` with all of `given`, and those of `offered` that it names, or all of them if it has ``**``.

    A function with a single parameter of another name gets the first of `offered` in it, if it is given nothing.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(**given)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    chosen = {name: value for name, value in offered.items() if takes_all or name in parameters}
    if not given and not chosen and places_of(function, 1):
        return function(next(iter(offered.values())))
    return function(**{**chosen, **given})
