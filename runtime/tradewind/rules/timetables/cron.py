"""Cron expressions as sets of instants.

An expression names wall-clock times of a zone. Which instants are meant around a change of the
clock is fixed by these rules (docs/guides/schedules.md says the same to users):

- Of the times that the clocks leave out the first one happens later, by what they left out: at
  02:30 in a gap from 02:00 to 03:00 the run comes at 03:30, the moment that would have been 02:30.
- A time that comes twice means its second coming. A moment in the first coming, such as a start
  date, counts as what its clock shows.
- An expression that covers every hour of the day means each real hour: both comings count.

The instants form a set, so two times that fall together are one run, and runs strictly follow
each other.
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from croniter import croniter
from croniter.croniter import CroniterBadDateError, CroniterError

from tradewind.model.errors import AuthoringError
from tradewind.rules.timetables.zones import Stretch, stretch_at

PRESETS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Names for cron expressions."""

_TICK: Final = timedelta.resolution
_SECOND: Final = timedelta(seconds=1)
_FAR: Final = timedelta(hours=50)
"""More than any clock was ever moved by, twice."""
_HOUR_FIELD: Final = 1


@lru_cache(maxsize=4096)
def check_expression(text: str) -> str:
    """The expression in its plain form (presets spelled out).

    Raises:
        AuthoringError: it is no cron expression, or one that can never match.
    """
    expression = PRESETS.get(text.strip().lower(), text)
    fields = expression.split()
    if any(field.upper().startswith(("R", "H")) for field in fields):
        raise AuthoringError(
            f"cron expression {text!r}: fields drawn at random (R) or from a hash (H) would give other times on every "
            "look; write the number, for example '17 3 * * *'"
        )
    try:
        croniter(expression, datetime(2000, 1, 1), ret_type=datetime).get_next()  # noqa: DTZ001 - wall-clock time
    except CroniterBadDateError as error:
        raise AuthoringError(f"cron expression {text!r} names a date that never comes") from error
    except (CroniterError, ValueError, KeyError, AttributeError) as error:
        raise AuthoringError(
            f"cron expression {text!r} cannot be read: {str(error).rstrip('.')}. It has five fields, minute hour day "
            "month weekday, for example '30 6 * * MON-FRI', or is one of " + ", ".join(PRESETS)
        ) from error
    return expression


class CronTicker:
    """The instants of one expression in one zone. Aware datetimes in, UTC out."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self.expression = check_expression(expression)
        self.zone = zone
        self._parsed = croniter(self.expression, datetime(2000, 1, 1))  # noqa: DTZ001 - wall-clock time
        self.covers_every_hour = self._parsed.expanded[_HOUR_FIELD] == ["*"]

    def next_after(self, moment: datetime) -> datetime | None:
        """The first instant later than `moment`; None if the expression never matches again."""
        after = self._as_second_coming(moment)
        inclusive = False
        while (stretch := stretch_at(self.zone, after)) is not None:
            low = after - _TICK if inclusive else after
            found = self._first_in(stretch, low)
            if found is not None:
                return found.replace(tzinfo=UTC)
            wall = self._wall_next(low + stretch.offset)
            if wall is None and stretch.end - after > _FAR:
                return None
            after, inclusive = stretch.end, True
            if wall is not None and stretch.end - low > _FAR:
                after = max(after, wall - _FAR)
        return None

    def prev_before(self, moment: datetime) -> datetime | None:
        """The last instant earlier than `moment`; None if the expression did not match before."""
        before = self._as_second_coming(moment)
        while (stretch := stretch_at(self.zone, before - _TICK)) is not None:
            found = self._last_in(stretch, before)
            if found is not None:
                return found.replace(tzinfo=UTC)
            wall = self._wall_prev(before + stretch.offset)
            if wall is None and before - stretch.start > _FAR:
                return None
            jump = wall is not None and before - stretch.start > _FAR
            before = min(stretch.start, wall + _FAR) if jump and wall is not None else stretch.start
        return None

    def holds(self, moment: datetime) -> bool:
        """Whether `moment` is one of the instants."""
        at = moment.astimezone(UTC).replace(tzinfo=None)
        stretch = stretch_at(self.zone, at)
        if stretch is None:
            return False
        wall = at + stretch.offset
        if wall < self._wall_end(stretch) and self._wall_next(wall - _TICK) == wall:
            return True
        return self._moved_in(stretch) == at

    def was_moved(self, moment: datetime) -> bool:
        """Whether `moment` stands for a time that the clocks left out."""
        at = moment.astimezone(UTC).replace(tzinfo=None)
        stretch = stretch_at(self.zone, at)
        return stretch is not None and self._moved_in(stretch) == at

    def _as_second_coming(self, moment: datetime) -> datetime:
        """`moment` in UTC; in the first coming of a repeated hour, its second coming (if that is what counts)."""
        at = moment.astimezone(UTC).replace(tzinfo=None)
        stretch = None if self.covers_every_hour else stretch_at(self.zone, at)
        if stretch is None or at + stretch.offset < stretch.end + stretch.after:
            return at
        return at + (stretch.offset - stretch.after)

    def _moved_in(self, stretch: Stretch) -> datetime | None:
        """The instant that stands for the times left out just before this stretch, if there are any."""
        if stretch.offset <= stretch.before:
            return None
        wall = self._wall_next(stretch.start + stretch.before - _TICK)
        if wall is None or wall >= stretch.start + stretch.offset:
            return None
        at = wall - stretch.before
        return at if at < stretch.end else None

    def _first_in(self, stretch: Stretch, low: datetime) -> datetime | None:
        """The first instant of the stretch that is later than `low`."""
        found: list[datetime] = []
        floor = max(low, stretch.start - _TICK)
        wall = self._wall_next(floor + stretch.offset)
        if wall is not None and wall < self._wall_end(stretch):
            found.append(wall - stretch.offset)
        moved = self._moved_in(stretch)
        if moved is not None and moved > floor:
            found.append(moved)
        return min((at for at in found if at < stretch.end), default=None)

    def _last_in(self, stretch: Stretch, high: datetime) -> datetime | None:
        """The last instant of the stretch that is earlier than `high`."""
        found: list[datetime] = []
        wall = self._wall_prev(min(high + stretch.offset, self._wall_end(stretch)))
        if wall is not None:
            found.append(wall - stretch.offset)
        moved = self._moved_in(stretch)
        if moved is not None and moved < high:
            found.append(moved)
        return max((at for at in found if at >= stretch.start), default=None)

    def _wall_end(self, stretch: Stretch) -> datetime:
        """Where the wall-clock times of a stretch end: before those that come again, if only those count."""
        if self.covers_every_hour:
            return stretch.end + stretch.offset
        return stretch.end + min(stretch.offset, stretch.after)

    def _wall_next(self, wall: datetime) -> datetime | None:
        """The first matching wall-clock time later than `wall`."""
        try:
            return copy(self._parsed).get_next(datetime, start_time=wall.replace(microsecond=0))
        except (CroniterBadDateError, OverflowError, ValueError):
            return None

    def _wall_prev(self, wall: datetime) -> datetime | None:
        """The last matching wall-clock time earlier than `wall`."""
        whole = wall if not wall.microsecond else wall.replace(microsecond=0) + _SECOND
        try:
            return copy(self._parsed).get_prev(datetime, start_time=whole)
        except (CroniterBadDateError, OverflowError, ValueError):
            return None


class UnionTicker:
    """The instants of several tickers together."""

    def __init__(self, tickers: tuple[CronTicker, ...]) -> None:
        self.tickers = tickers

    def next_after(self, moment: datetime) -> datetime | None:
        """The first instant of any of them later than `moment`."""
        found = (ticker.next_after(moment) for ticker in self.tickers)
        return min((at for at in found if at is not None), default=None)

    def prev_before(self, moment: datetime) -> datetime | None:
        """The last instant of any of them earlier than `moment`."""
        found = (ticker.prev_before(moment) for ticker in self.tickers)
        return max((at for at in found if at is not None), default=None)

    def holds(self, moment: datetime) -> bool:
        """Whether `moment` is one of the instants."""
        return any(ticker.holds(moment) for ticker in self.tickers)


Ticker = CronTicker | UnionTicker


def next_or_at(ticker: Ticker, moment: datetime) -> datetime | None:
    """`moment`, if it is one of the instants, else the next one."""
    return moment.astimezone(UTC) if ticker.holds(moment) else ticker.next_after(moment)


def prev_or_at(ticker: Ticker, moment: datetime) -> datetime | None:
    """`moment`, if it is one of the instants, else the one before."""
    return moment.astimezone(UTC) if ticker.holds(moment) else ticker.prev_before(moment)


@lru_cache(maxsize=4096)
def first_tick(ticker: Ticker, start: datetime) -> datetime | None:
    """`next_or_at` for a DAG's start date, which every look at its schedule asks for again."""
    return next_or_at(ticker, start)
