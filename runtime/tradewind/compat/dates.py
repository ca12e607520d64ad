"""`airflow.utils.dates` and `airflow.utils.timezone`."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone, tzinfo
from datetime import datetime as _datetime
from typing import Final

from tradewind.authoring.instants import zone_named

utc: Final = UTC


def days_ago(n: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> _datetime:
    """A time of day in UTC, `n` days before today."""
    today = utcnow().replace(hour=hour, minute=minute, second=second, microsecond=microsecond)
    return today - timedelta(days=n)


def utcnow() -> _datetime:
    """The current moment in UTC."""
    return _datetime.now(UTC)


def datetime(year: int, month: int, day: int, *time_of_day: int, tzinfo: tzinfo = UTC) -> _datetime:
    """An aware datetime, by default in UTC."""
    hour, minute, second, microsecond = (*time_of_day, 0, 0, 0, 0)[:4]
    return _datetime(year, month, day, hour, minute, second, microsecond, tzinfo=tzinfo)


def parse(text: str, timezone: tzinfo | None = None) -> _datetime:
    """An aware datetime from an ISO 8601 text; without a zone in `timezone`, by default UTC."""
    return make_aware(_datetime.fromisoformat(text), timezone)


def make_aware(value: _datetime, timezone: tzinfo | None = None) -> _datetime:
    """The datetime with a zone; unchanged where it has one."""
    return value if value.tzinfo is not None else value.replace(tzinfo=timezone or UTC)


def make_naive(value: _datetime, timezone: tzinfo | None = None) -> _datetime:
    """The datetime in `timezone` (UTC), without its zone."""
    return value.astimezone(timezone or UTC).replace(tzinfo=None)


def is_localized(value: _datetime) -> bool:
    """Whether the datetime has a zone."""
    return value.utcoffset() is not None


def is_naive(value: _datetime) -> bool:
    """Whether the datetime has no zone."""
    return value.utcoffset() is None


def from_timestamp(timestamp: float, tz: tzinfo = UTC) -> _datetime:
    """The datetime of so many seconds since 1970."""
    return _datetime.fromtimestamp(timestamp, tz)


def utc_epoch() -> _datetime:
    """The beginning of 1970 in UTC."""
    return from_timestamp(0)


def parse_timezone(name: str | int) -> tzinfo:
    """A zone by its IANA name, or by its distance from UTC in seconds. Raises AuthoringError for unknown names."""
    return zone_named(name, "the time zone") if isinstance(name, str) else timezone(timedelta(seconds=name))


cron_presets: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Presets as cron expressions."""


def parse_execution_date(text: str) -> _datetime:
    """An aware datetime from an ISO 8601 text."""
    return parse(text)
