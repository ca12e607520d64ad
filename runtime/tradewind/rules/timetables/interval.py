"""Timetables whose runs divide time up: each run is about the stretch since the one before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tradewind.model.specs import Json
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable
from tradewind.rules.timetables.cron import CronTicker, first_tick, next_or_at, prev_or_at
from tradewind.rules.timetables.describe import describe_cron
from tradewind.rules.timetables.spans import Span, add, nominal_seconds, span_from_json, subtract, text_of
from tradewind.rules.timetables.zones import zone_of


def _later(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return a or b
    return max(a, b)


def _within(start: datetime, end: datetime | None, restriction: TimeRestriction) -> RunInfo | None:
    """The run, unless its interval starts past the end date (that is what the end date bounds)."""
    if end is None or (restriction.latest is not None and start > restriction.latest):
        return None
    return RunInfo.of(start, end)


class CronDataInterval(Timetable):
    """Args: `cron`, `timezone`. The run about the time between two ticks starts at the second of them."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.ticker = CronTicker(args["cron"], zone_of(args.get("timezone", "UTC")))
        self.summary = self.ticker.expression
        self.description = describe_cron(self.ticker.expression)

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        earliest = restriction.earliest
        earliest = None if earliest is None else first_tick(self.ticker, earliest)
        if restriction.earliest is not None and earliest is None:
            return None
        if not restriction.catchup:
            earliest = _later(self._newest_start(now, first=last is None), earliest)
        start = earliest if last is None else _later(prev_or_at(self.ticker, last.end), earliest)
        if last is not None and start is None:
            start = next_or_at(self.ticker, last.end)
        return None if start is None else _within(start, self.ticker.next_after(start), restriction)

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The last whole interval that is over by then."""
        end = prev_or_at(self.ticker, run_after)
        start = None if end is None else self.ticker.prev_before(end)
        if end is None or start is None:
            return DataInterval.exact(run_after.astimezone(UTC))
        return DataInterval(start, end)

    def previous_schedule(self, moment: datetime) -> datetime | None:
        """The tick before `moment`."""
        return self.ticker.prev_before(moment)

    def following_schedule(self, moment: datetime) -> datetime | None:
        """The tick after `moment`."""
        return self.ticker.next_after(moment)

    def _newest_start(self, now: datetime, *, first: bool) -> datetime | None:
        """Start of the newest interval that is over by `now`; before the very first tick, that tick.

        A schedule that is first looked at after a tick which stands for times that the clocks left out
        begins with it: the interval before is not made up for.
        """
        end = prev_or_at(self.ticker, now)
        if end is None:
            return self.ticker.next_after(now)
        if first and self.ticker.was_moved(end):
            return end
        return self.ticker.prev_before(end) or end


class DeltaDataInterval(Timetable):
    """Args: `delta`. Intervals of that length, the first from the start date on."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.delta: Span = span_from_json(args["delta"])
        self.summary = text_of(self.delta)

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        try:
            earliest = restriction.earliest
            if not restriction.catchup:
                earliest = _later(self._newest_start(now), earliest)
            start = earliest if last is None else _later(last.end, earliest)
            return None if start is None else _within(start, add(start, self.delta), restriction)
        except OverflowError:
            return None

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The stretch of the delta's length that ends then."""
        end = run_after.astimezone(UTC)
        return DataInterval(subtract(end, self.delta), end)

    def previous_schedule(self, moment: datetime) -> datetime | None:
        """One delta earlier."""
        return subtract(moment, self.delta)

    def following_schedule(self, moment: datetime) -> datetime | None:
        """One delta later."""
        return add(moment, self.delta)

    def _newest_start(self, now: datetime) -> datetime:
        """One delta before the last multiple of the delta since 1970; months count as 30 days for it."""
        size = timedelta(seconds=nominal_seconds(self.delta))
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return subtract(now - (now - epoch) % size, self.delta)
