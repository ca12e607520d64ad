"""Schedules by assets: what the clock does not decide. The conditions are evaluated in `rules.assets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

from tradewind.model.specs import Json
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable


class Assets(Timetable):
    """Args: `condition`, `word` (asset or dataset: how runs of it are named). Never due by the clock."""

    periodic = False

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.condition = cast("Mapping[str, Json]", args["condition"])
        dataset = args.get("word") == "dataset"
        self.summary = "Dataset" if dataset else "Asset"
        self.description = "Triggered by datasets" if dataset else "Triggered by assets"

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """None, always."""
        return None

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The moment itself."""
        return DataInterval.exact(run_after.astimezone(UTC))


class OutsideEvents(Assets):
    """Args: as `Assets`, and those of `rules.event_policy.EventPolicy`. Never due by the clock alone."""

    def __init__(self, args: Mapping[str, Json]) -> None:
        super().__init__(args)
        self.summary = "Event"
        policy = str(args.get("policy", ""))
        self.description = f"Triggered by events, {policy}" if policy else "Triggered by events"


class AssetsOrTime(Assets):
    """Args: as `Assets`, and `timetable`, a kind with its `args`: whichever comes first."""

    def __init__(self, args: Mapping[str, Json], make: Callable[[str, Mapping[str, Json]], Timetable]) -> None:
        super().__init__(args)
        inner = cast("Mapping[str, Json]", args["timetable"])
        self.timetable = make(str(inner["kind"]), cast("Mapping[str, Json]", inner.get("args", {})))
        self.description = f"{self.description} or {self.timetable.description}"
        self.summary = f"{self.summary} or {self.timetable.summary}"
        self.can_be_scheduled = True
        self.periodic = self.timetable.periodic

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """The time's own answer."""
        return self.timetable.next_run(last, restriction, now)

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """The time's own answer."""
        return self.timetable.manual_interval(run_after)

    def previous_schedule(self, moment: datetime) -> datetime | None:
        """The time's own answer."""
        return self.timetable.previous_schedule(moment)

    def following_schedule(self, moment: datetime) -> datetime | None:
        """The time's own answer."""
        return self.timetable.following_schedule(moment)
