"""Dates and durations as authors write them, made into aware datetimes and timedeltas."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tradewind.authoring.defaults import current_defaults
from tradewind.model.errors import AuthoringError


def zone_named(name: str, where: str) -> tzinfo:
    """The time zone of an IANA name. Raises AuthoringError naming `where`."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as why:
        raise AuthoringError(f"{where}: there is no time zone {name!r}") from why


def zone_name(zone: tzinfo | None) -> str:
    """The name that a schedule is computed in: an IANA name, or a fixed offset such as `+02:00`."""
    if zone is None:
        return current_defaults().timezone
    for attribute in ("key", "name", "zone"):
        name: Any = getattr(zone, attribute, None)
        if isinstance(name, str) and name:
            return name
    offset = zone.utcoffset(None)
    if offset is None:
        return "UTC"
    if not offset:
        return "UTC"
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def instant(value: object, where: str, zone: tzinfo | None = None) -> datetime:
    """An aware datetime from a datetime, a date or an ISO 8601 text.

    A value without a zone is taken in `zone`, by default the configured one. `where` opens the
    message of the AuthoringError for anything else.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as why:
            raise AuthoringError(
                f"{where}: {value!r} is not an ISO 8601 date such as '2026-01-31' or '2026-01-31T08:00:00+01:00'"
            ) from why
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return value
        return value.replace(tzinfo=zone or zone_named(current_defaults().timezone, where))
    if isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - its zone comes in the next line
        return midnight.replace(tzinfo=zone or zone_named(current_defaults().timezone, where))
    raise AuthoringError(f"{where}: a datetime or an ISO 8601 text is needed, not {type(value).__name__} {value!r}")


def duration(value: object, where: str) -> timedelta:
    """A timedelta from a timedelta or a number of seconds. Raises AuthoringError for anything else."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return timedelta(seconds=value)
    raise AuthoringError(f"{where}: a timedelta or a number of seconds is needed, not {value!r}")


def utc(value: datetime | None) -> datetime | None:
    """The same instant in UTC as a plain datetime, so that equal instants serialize equally."""
    if value is None:
        return None
    at = value.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=UTC)
