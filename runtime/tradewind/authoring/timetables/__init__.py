"""Timetables: when DAGs run. `timetable_for` turns what stands in `DAG(schedule=…)` into one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dateutil.relativedelta import relativedelta

from tradewind.authoring.assets import asset_schedule
from tradewind.authoring.timetables.assets import AssetOrTimeSchedule, AssetTriggeredTimetable, DatasetOrTimeSchedule
from tradewind.authoring.timetables.base import DagRunInfo, Timetable, as_dagrun_info
from tradewind.authoring.timetables.kinds import (
    ContinuousTimetable,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    EventsTimetable,
    MultipleCronTriggerTimetable,
    NullTimetable,
    OnceTimetable,
)
from tradewind.authoring.timetables.outside import EventSchedule
from tradewind.authoring.timetables.partitions import (
    CronPartitionTimetable,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
)
from tradewind.authoring.timetables.registry import register_timetable, registered_timetables
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import DagSpec
from tradewind.rules.due import next_run
from tradewind.rules.timetables import DataInterval, TimeRestriction
from tradewind.rules.timetables.cron import PRESETS, check_expression

__all__ = [
    "AssetOrTimeSchedule",
    "AssetTriggeredTimetable",
    "ContinuousTimetable",
    "CronDataIntervalTimetable",
    "CronPartitionTimetable",
    "CronTriggerTimetable",
    "DagRunInfo",
    "DataInterval",
    "DatasetOrTimeSchedule",
    "DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable",
    "EventSchedule",
    "EventsTimetable",
    "MultipleCronTriggerTimetable",
    "NullTimetable",
    "OnceTimetable",
    "PartitionedAssetTimetable",
    "PartitionedAtRuntime",
    "TimeRestriction",
    "Timetable",
    "next_dagrun_info",
    "register_timetable",
    "registered_timetables",
    "timetable_for",
]

_ACCEPTED = (
    "a cron expression ('0 6 * * *'), a preset (" + ", ".join(["@once", "@continuous", *PRESETS]) + "), a timedelta, "
    "a relativedelta, a timetable, assets ([Asset('orders')], or a condition such as a & b), or None"
)


def timetable_for(
    schedule: object, timezone: str = "UTC", *, cron_intervals: bool = True, delta_intervals: bool = True
) -> Timetable:
    """The timetable of a DAG's `schedule` argument; cron expressions are read in `timezone`.

    With `cron_intervals` (`delta_intervals`) the runs of a cron text (a timedelta) are about the interval before
    them, else about their moment.

    Raises:
        AuthoringError: `schedule` is nothing of the kind; the message says what is accepted.
    """
    if schedule is None:
        return NullTimetable()
    if isinstance(schedule, Timetable):
        return schedule
    if isinstance(schedule, str):
        return _from_text(schedule, timezone, intervals=cron_intervals)
    if isinstance(schedule, (timedelta, relativedelta)):
        try:
            return DeltaDataIntervalTimetable(schedule) if delta_intervals else DeltaTriggerTimetable(schedule)
        except AuthoringError as error:
            raise AuthoringError(
                f"schedule={schedule!r}: the time between two runs must be longer than zero; "
                "for example schedule=timedelta(hours=2)"
            ) from error
    condition = asset_schedule(schedule)
    if condition is not None:
        return AssetTriggeredTimetable(condition)
    raise AuthoringError(f"schedule={schedule!r} ({type(schedule).__name__}) is no schedule: use {_ACCEPTED}")


def next_dagrun_info(
    spec: DagSpec, last: DataInterval | None, *, now: datetime | None = None, restricted: bool = True
) -> DagRunInfo | None:
    """The run of a DAG that follows the one about `last` (None: its first); `now` defaults to the clock."""
    return as_dagrun_info(next_run(spec, last, now if now is not None else datetime.now(UTC), restricted=restricted))


def _from_text(schedule: str, timezone: str, *, intervals: bool) -> Timetable:
    preset = schedule.strip().lower()
    if preset == "@once":
        return OnceTimetable()
    if preset == "@continuous":
        return ContinuousTimetable()
    if preset.startswith("@") and preset not in PRESETS:
        raise AuthoringError(f"schedule={schedule!r} is no preset that is known here: use {_ACCEPTED}")
    try:
        check_expression(schedule)
    except AuthoringError as error:
        raise AuthoringError(f"schedule={schedule!r} cannot be used: {error.message}") from error
    if not intervals:
        return CronTriggerTimetable(schedule, timezone=timezone)
    return CronDataIntervalTimetable(schedule, timezone)
