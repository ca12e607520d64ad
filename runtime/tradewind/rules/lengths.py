"""Length expressions: how many instances a mapped task gets, as the spec says it.

An expression is JSON: ``{"n": 3}`` a literal length; ``{"of": task_id, "key": key}`` the length of what a
task pushed (of a mapped task: how many of its instances stored a value); ``{"product": […]}``,
``{"sum": […]}``, ``{"min": […]}``, ``{"max": […]}`` of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Final, NamedTuple, cast

from tradewind.model.errors import AuthoringError
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.specs import Json

_COMBINE: Final[Mapping[str, Callable[[Sequence[int]], int]]] = {
    "product": prod,
    "sum": sum,
    "min": lambda parts: min(parts, default=0),
    "max": lambda parts: max(parts, default=0),
}


class Source(NamedTuple):
    """A value over which something is mapped: the XCom `key` of a task."""

    task_id: str
    key: str


def sources(expression: Mapping[str, Json]) -> Iterator[Source]:
    """The values that an expression asks for, in the order in which they stand there."""
    if "of" in expression:
        yield Source(expression["of"], expression.get("key", RETURN_KEY))
    for part in _parts(expression)[1]:
        yield from sources(part)


def measure(expression: Mapping[str, Json], known: Callable[[Source], int | None]) -> int | None:
    """The length; None while some value is not known. Raises AuthoringError for what is no expression."""
    if "n" in expression:
        return int(expression["n"])
    if "of" in expression:
        return known(Source(expression["of"], expression.get("key", RETURN_KEY)))
    how, parts = _parts(expression)
    if how is None:
        known_ones = ", ".join(("n", "of", *_COMBINE))
        raise AuthoringError(f"{dict(expression)!r} is no length expression: it has none of {known_ones}")
    lengths: list[int] = []
    for part in parts:
        length = measure(part, known)
        if length is None:
            return None
        lengths.append(length)
    return _COMBINE[how](lengths)


def _parts(expression: Mapping[str, Json]) -> tuple[str | None, Sequence[Mapping[str, Json]]]:
    for how in _COMBINE:
        if how in expression:
            return how, cast("Sequence[Mapping[str, Json]]", expression[how])
    return None, ()
