"""Timetables without arithmetic: once, continuous, none, and a list of moments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from tradewind.model.specs import Json
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable


class Once(Timetable):
    """One run, at the start date."""

    summary = "@once"
    description = "Once, as soon as possible"
    periodic = False

    def __init__(self, args: Mapping[str, Json] | None = None) -> None:
        del args

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        at = restriction.earliest
        if last is not None or at is None or (restriction.latest is not None and at > restriction.latest):
            return None
        at = at.astimezone(UTC)
        return RunInfo.of(at, at)

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The moment itself."""
        return DataInterval.exact(run_after.astimezone(UTC))


class NoSchedule(Once):
    """Never by itself."""

    summary = "None"
    description = "Never, external triggers only"
    can_be_scheduled = False

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """None, always."""
        return None


class Continuous(Once):
    """The next run as soon as the one before has ended."""

    summary = "@continuous"
    description = "As frequently as possible, but only one run at a time."

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        if restriction.earliest is None:
            return None
        start = (restriction.earliest if last is None else last.end).astimezone(UTC)
        end = max(start, now.astimezone(UTC))
        if restriction.latest is not None and end > restriction.latest:
            return None
        return RunInfo.of(start, end)


class Events(Timetable):
    """Args: `event_dates` (ISO instants), `restrict_to_events`, `description`. A run at each of the moments."""

    periodic = False

    def __init__(self, args: Mapping[str, Json]) -> None:
        texts = cast("list[str]", args.get("event_dates", []))
        self.dates = sorted({datetime.fromisoformat(text).astimezone(UTC) for text in texts})
        self.restrict_to_events = bool(args.get("restrict_to_events", False))
        given = cast("str | None", args.get("description"))
        self.summary = given or f"{len(texts)} events"
        self.description = given or (
            f"{len(texts)} events between {self.dates[0]} and {self.dates[-1]}" if self.dates else "No events"
        )

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """See Timetable."""
        earliest = restriction.earliest
        if not restriction.catchup and (earliest is None or now > earliest):
            earliest = now
        for date in self.dates:
            if earliest is not None and date < earliest:
                continue
            if last is not None and date <= last.end:
                continue
            if restriction.latest is not None and date > restriction.latest:
                return None
            return RunInfo.of(date, date)
        return None

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The moment itself; with `restrict_to_events` the last event by then (or the first of all)."""
        run_after = run_after.astimezone(UTC)
        if not self.restrict_to_events or not self.dates:
            return DataInterval.exact(run_after)
        return DataInterval.exact(self.dates[max(0, bisect_right(self.dates, run_after) - 1)])
