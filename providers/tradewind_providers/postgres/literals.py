"""Values inside of SQL texts, as the drivers of `psycopg` write them: `%s` and `%(name)s` become literals.

The server decides what type a text is where it stands, so a date may be given as `"2026-01-31"`. A literal is
quoted so that it means the same whatever the server's settings are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

_PLACE: Final = re.compile(r"%(?:\((?P<name>[^)]*)\))?(?P<kind>.?)", re.DOTALL)


def with_parameters(sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None) -> str:
    """The text with its parameters in place. None: as it is, percent signs too.

    Raises ValueError where a parameter is missing or left over, TypeError for values that have no literal.
    """
    if parameters is None:
        return sql
    named = parameters if isinstance(parameters, Mapping) else None
    rest = iter(() if named is not None else cast("Sequence[Any]", parameters))

    def put(found: re.Match[str]) -> str:
        name, kind = found["name"], found["kind"]
        if kind == "%" and name is None:
            return "%"
        if kind not in ("s", "t", "b"):
            raise ValueError(f"{found.group()!r} in the statement: parameters are %s or %(name)s, a percent sign is %%")
        if name is None:
            if named is not None:
                raise ValueError("the statement has %s, but its parameters have names")
            try:
                return literal(next(rest))
            except StopIteration:
                raise ValueError("the statement has more %s than there are parameters") from None
        if named is None or name not in named:
            raise ValueError(f"the statement names a parameter %({name})s that is not given")
        return literal(named[name])

    text = _PLACE.sub(put, sql)
    if next(rest, rest) is not rest:
        raise ValueError("there are more parameters than %s in the statement")
    return text


def literal(value: Any) -> str:
    """The value as SQL. Raises TypeError for what has no literal, ValueError for texts with a NUL."""
    if value is None:
        return "NULL"
    if isinstance(value, Enum):
        return literal(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(cast("bytes", value))
        return f" E'\\\\x{content.hex()}'::bytea"
    moment = _moment(value)
    if moment is not None:
        return moment
    if isinstance(value, UUID):
        return f"'{value}'::uuid"
    if isinstance(value, Mapping):
        return quoted(json.dumps(dict(cast("Mapping[str, Any]", value)), default=str))
    if isinstance(value, (list, tuple, set, frozenset)):
        return _several(value)
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a number of numpy
        return literal(value.item())
    raise TypeError(f"a value of type {type(value).__name__} has no place in an SQL statement: {value!r}")


def quoted(text: str) -> str:
    """A text as SQL. Raises ValueError where it has a NUL, which PostgreSQL cannot store."""
    if "\0" in text:
        raise ValueError("a text for PostgreSQL cannot contain NUL characters")
    doubled = text.replace("'", "''")
    if "\\" in doubled:
        escaped = doubled.replace("\\", "\\\\")
        return f" E'{escaped}'"
    return f"'{doubled}'"


def _number(value: int | float | Decimal) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return f"'{name}'::float8"
    if isinstance(value, Decimal) and not value.is_finite():
        return "'NaN'::numeric" if value.is_nan() else f"'{'-' if value < 0 else ''}Infinity'::numeric"
    text = repr(value) if isinstance(value, float) else str(value)
    return f" {text}" if text.startswith("-") else text  # two minus signs are a comment


def _moment(value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'::timestamp{'tz' if value.tzinfo is not None else ''}"
    if isinstance(value, date):
        return f"'{value.isoformat()}'::date"
    if isinstance(value, time):
        return f"'{value.isoformat()}'::time{'tz' if value.tzinfo is not None else ''}"
    if isinstance(value, timedelta):
        return f"'{value.days} days {value.seconds}.{value.microseconds:06} seconds'::interval"
    return None


def _several(value: Any) -> str:
    """A list is an array, a tuple or a set is what stands behind IN."""
    texts = [literal(each) for each in value]
    if isinstance(value, list):
        return f"ARRAY[{', '.join(texts)}]" if texts else "'{}'"
    return f"({', '.join(texts) or 'NULL'})"
