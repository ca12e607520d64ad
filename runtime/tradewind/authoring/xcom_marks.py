"""The mark of a value for which JSON has no type of its own: ``{"__type__": kind, "value": …}``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tradewind.model.specs import Json

TYPE_KEY: Final = "__type__"

Inner = Callable[[object, str], Json]
"""Writes a value that lies inside another; the text is the step from the outer to it: `[3]`, `.name`."""

Read = Callable[[Json], Any]
"""Reads a value that lies inside another."""

Marked = dict[str, Json]


def marked(kind: str, value: Json, **more: Json) -> Marked:
    """`value` under the mark `kind`."""
    return {TYPE_KEY: kind, **more, "value": value}
