"""Timetables that name the moments of runs; what a run is about is a stretch of fixed length before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from tradewind.model.specs import Json
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable
from tradewind.rules.timetables.cron import CronTicker, Ticker, UnionTicker, first_tick, prev_or_at
from tradewind.rules.timetables.describe import describe_cron
from tradewind.rules.timetables.spans import Span, add, span_from_json, subtract, text_of
from tradewind.rules.timetables.zones import zone_of


class _Trigger(Timetable):
    """What cron and delta triggers have in common."""

    interval: Span = timedelta()
    run_immediately: bool | timedelta = False

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        try:
            at = self._next_moment(last, restriction, now)
            if at is None or (restriction.latest is not None and at > restriction.latest):
                return None
            return RunInfo.of(subtract(at, self.interval), at)
        except OverflowError:
            return None

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The stretch of the interval's length that ends then."""
        return DataInterval(subtract(run_after, self.interval), run_after.astimezone(UTC))

    def _next_moment(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> datetime | None:
        following = None if last is None else self._after(last.end)
        if last is not None and following is None:
            return None
        first = None if restriction.earliest is None else self._at_or_after(restriction.earliest)
        if restriction.earliest is not None and first is None:
            return None
        if restriction.catchup or (last is None and restriction.earliest is None):
            first = self._first_without_start(now) if restriction.earliest is None else first
            return first if following is None else following
        candidates = (self._at_or_before(now), following, first)
        return max((at for at in candidates if at is not None), default=None)

    def _first_without_start(self, now: datetime) -> datetime | None:
        """The first run of a DAG without a start date: the next moment or, if it is to run immediately, the last."""
        latest, wanted = self._at_or_before(now), self.run_immediately
        if latest is not None and wanted is not False and (wanted is True or now - latest <= wanted):
            return latest
        return self._at_or_after(now)

    def _after(self, moment: datetime) -> datetime | None:
        raise NotImplementedError

    def _at_or_after(self, moment: datetime) -> datetime | None:
        raise NotImplementedError

    def _at_or_before(self, moment: datetime) -> datetime | None:
        raise NotImplementedError


def _span(args: Mapping[str, Json]) -> Span:
    given = args.get("interval")
    return timedelta() if given is None else span_from_json(given)


def _immediacy(args: Mapping[str, Json]) -> bool | timedelta:
    """`run_immediately`: false, true, or how many seconds late the first run may be."""
    given = args.get("run_immediately", False)
    return given if isinstance(given, bool) else timedelta(seconds=float(given))


class CronTrigger(_Trigger):
    """Args: `cron`, `timezone`, `interval` (default: none), `run_immediately`."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.ticker: Ticker = CronTicker(args["cron"], zone_of(args.get("timezone", "UTC")))
        self.interval = _span(args)
        self.run_immediately = _immediacy(args)
        self.summary = self.ticker.expression
        self.description = describe_cron(self.ticker.expression)

    def _after(self, moment: datetime) -> datetime | None:
        return self.ticker.next_after(moment)

    def _at_or_after(self, moment: datetime) -> datetime | None:
        return first_tick(self.ticker, moment)

    def _at_or_before(self, moment: datetime) -> datetime | None:
        return prev_or_at(self.ticker, moment)


class MultipleCronTrigger(CronTrigger):
    """Args: `crons` (a list), `timezone`, `interval`. Runs whenever one of the expressions says so."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        zone = zone_of(args.get("timezone", "UTC"))
        tickers = tuple(CronTicker(cron, zone) for cron in cast("list[str]", args["crons"]))
        self.ticker = UnionTicker(tickers)
        self.interval = _span(args)
        self.run_immediately = _immediacy(args)
        self.summary = ", ".join(ticker.expression for ticker in tickers)
        self.description = " and ".join(describe_cron(ticker.expression) for ticker in tickers)


class DeltaTrigger(_Trigger):
    """Args: `delta`, `interval`. The first run at the start date, then one a delta."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.delta: Span = span_from_json(args["delta"])
        self.interval = _span(args)
        self.summary = text_of(self.delta)

    def _after(self, moment: datetime) -> datetime | None:
        return add(moment, self.delta)

    def _at_or_after(self, moment: datetime) -> datetime | None:
        return moment.astimezone(UTC)

    def _at_or_before(self, moment: datetime) -> datetime | None:
        return moment.astimezone(UTC)
