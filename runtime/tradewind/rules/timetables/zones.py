"""Time zones as stretches of constant offset.

Between two changes of the clock wall time and UTC differ by a constant, and arithmetic is plain.
`stretch_at` gives the stretch around an instant; cron arithmetic walks from one to the next and
treats the changes, gaps and repeated hours, explicitly instead of hoping that a library will.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradewind.model.errors import AuthoringError

_DAY: Final = timedelta(days=1)
_FIXED: Final = re.compile(r"^(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})$")
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9998


class Stretch(NamedTuple):
    """Time from `start` to `end` (exclusive; UTC, no tzinfo) during which the offset stands still.

    `before` and `after` are the offsets of its neighbours. A stretch also ends with its year;
    there the offset does not change.
    """

    start: datetime
    end: datetime
    offset: timedelta
    before: timedelta
    after: timedelta


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name (`Europe/Amsterdam`) or a fixed offset (`+02:00`, `UTC-5:30`).

    Raises:
        AuthoringError: nobody knows a zone of this name.
    """
    if name.upper() in ("UTC", "Z", "ETC/UTC"):
        return UTC
    if fixed := _FIXED.match(name):
        size = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        if size < _DAY:
            return timezone(size if fixed[1] == "+" else -size)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise AuthoringError(
            f"there is no time zone {name!r}: use a name of the IANA list such as 'Europe/Amsterdam', 'UTC', "
            "or an offset such as '+02:00'"
        ) from error


def stretch_at(zone: tzinfo, at: datetime) -> Stretch | None:
    """The stretch that holds the instant `at` (UTC, no tzinfo); None at the ends of the calendar."""
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        return None
    for stretch in _year(zone, at.year):
        if at < stretch.end:
            return stretch
    return None


@lru_cache(maxsize=8192)
def _year(zone: tzinfo, year: int) -> tuple[Stretch, ...]:
    start, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)  # noqa: DTZ001 - UTC without its tzinfo, by contract
    stretches: list[Stretch] = []
    at, opened = start, start
    offset = _offset(zone, start)
    before = _offset(zone, start - timedelta.resolution)
    while at < end:
        step = min(at + _DAY, end)
        changed = _offset(zone, step) if step < end else _offset(zone, end - timedelta.resolution)
        if changed != offset:
            change = _find_change(zone, at, min(step, end - timedelta.resolution), offset)
            stretches.append(Stretch(opened, change, offset, before, _offset(zone, change)))
            before, opened, at = offset, change, change
            offset = _offset(zone, change)
        else:
            at = step
    stretches.append(Stretch(opened, end, offset, before, _offset(zone, end)))
    return tuple(stretches)


def _find_change(zone: tzinfo, low: datetime, high: datetime, offset: timedelta) -> datetime:
    """The first moment after `low`, at most `high`, whose offset is not `offset`; exact to the second."""
    span = int((high - low).total_seconds()) + 1
    least, most = 0, span
    while most - least > 1:
        middle = (least + most) // 2
        if _offset(zone, low + timedelta(seconds=middle)) == offset:
            least = middle
        else:
            most = middle
    return low + timedelta(seconds=most)


def _offset(zone: tzinfo, at: datetime) -> timedelta:
    return at.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta()
