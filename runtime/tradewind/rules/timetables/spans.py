"""Spans of time as authors give them: `timedelta`, exact, or `relativedelta`, by the calendar.

As JSON: ``{"timedelta": seconds}`` or ``{"relativedelta": {"months": 1}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from dateutil.relativedelta import relativedelta, weekday

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json

Span = timedelta | relativedelta

_RELATIVE: Final = ("years", "months", "days", "hours", "minutes", "seconds", "microseconds")
_ABSOLUTE: Final = ("leapdays", "year", "month", "day", "hour", "minute", "second", "microsecond")
_DAY: Final = 86_400
_NOMINAL: Final = {"years": 365 * _DAY, "months": 30 * _DAY, "days": _DAY, "hours": 3600, "minutes": 60, "seconds": 1}


def span_to_json(span: Span) -> dict[str, Json]:
    """The span as a spec holds it."""
    if isinstance(span, timedelta):
        return {"timedelta": span.total_seconds()}
    parts: dict[str, Json] = {}
    for name in (*_RELATIVE, *_ABSOLUTE):
        value = getattr(span, name)
        if value not in (None, 0) or (value == 0 and name in _ABSOLUTE and name != "leapdays"):
            parts[name] = value
    if span.weekday is not None:
        parts["weekday"] = [span.weekday.weekday, span.weekday.n]
    return {"relativedelta": parts}


def span_from_json(data: Mapping[str, Json]) -> Span:
    """The span that `span_to_json` wrote. Raises AuthoringError for anything else."""
    if "timedelta" in data:
        return timedelta(seconds=float(data["timedelta"]))
    if "relativedelta" in data:
        parts = dict(cast("Mapping[str, Any]", data["relativedelta"]))
        if "weekday" in parts:
            number, count = parts["weekday"]
            parts["weekday"] = weekday(number, count)
        return relativedelta(**parts)
    raise AuthoringError(f"a span is {{'timedelta': seconds}} or {{'relativedelta': {{…}}}}, not {dict(data)!r}")


def add(moment: datetime, span: Span) -> datetime:
    """`moment` plus `span`, in UTC; raises OverflowError at the end of the calendar."""
    return _moved(moment.astimezone(UTC), span, 1)


def subtract(moment: datetime, span: Span) -> datetime:
    """`moment` minus `span`, in UTC."""
    return _moved(moment.astimezone(UTC), span, -1)


def _moved(moment: datetime, span: Span, sign: int) -> datetime:
    if isinstance(span, timedelta):
        return moment + sign * span
    try:
        return moment + span if sign > 0 else moment - span
    except ValueError as error:
        # dateutil reports years past the calendar's end as a bad value
        raise OverflowError(str(error)) from error


def nominal_seconds(span: Span) -> float:
    """The span's length where only its size counts: a month is 30 days, a year 365."""
    if isinstance(span, timedelta):
        return span.total_seconds()
    parts = [float(getattr(span, name)) * size for name, size in _NOMINAL.items()]
    return sum(parts) + span.microseconds / 1e6


def text_of(span: Span) -> str:
    """The span as lists show it."""
    return str(span) if isinstance(span, timedelta) else repr(span)


def moves_forward(span: Span) -> bool:
    """Whether adding the span always leads to a later moment, whatever the day."""
    if isinstance(span, timedelta):
        return span > timedelta()
    probes = (
        datetime(2023, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2024, 12, 31, 12, 30, 30, 500, tzinfo=UTC),
    )
    try:
        return all(probe + span > probe and probe - span < probe for probe in probes)
    except (ValueError, OverflowError):
        return False
