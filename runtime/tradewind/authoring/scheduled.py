"""The schedule of a DAG: its timetable, and questions about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.instants import zone_name
from tradewind.authoring.nodes import DagContainer
from tradewind.authoring.written_for import file_written_for
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import TimetableSpec

if TYPE_CHECKING:
    from tradewind.authoring.timetables import DagRunInfo, DataInterval, Timetable


class Scheduled(DagContainer):
    """What a DAG knows of its schedule. The timetable is made when it is first asked for."""

    schedule: Any
    """The schedule as the file gave it."""
    _timetable: Timetable | None = None
    _cron_intervals: bool = True
    _delta_intervals: bool = True

    def _set_intervals(self, fileloc: str) -> None:
        """Notes what runs of a cron text or a timedelta are about in this DAG's file."""
        defaults = current_defaults()
        if None in (defaults.cron_intervals, defaults.delta_intervals):  # not loaded by us: run by itself
            defaults = defaults.with_intervals(file_written_for(fileloc) != 3)
        self._cron_intervals = defaults.cron_intervals is not False
        self._delta_intervals = defaults.delta_intervals is not False

    @property
    def timetable(self) -> Timetable:
        """The schedule as a timetable. Raises AuthoringError where the schedule cannot be read."""
        if self._timetable is None:
            from tradewind.authoring.timetables import timetable_for

            try:
                self._timetable = timetable_for(
                    self.schedule,
                    zone_name(self.timezone),
                    cron_intervals=self._cron_intervals,
                    delta_intervals=self._delta_intervals,
                )
            except AuthoringError as why:
                raise type(why)(f"DAG {self.dag_id!r}: {why}") from why
        return self._timetable

    @property
    def schedule_interval(self) -> Any:
        """The schedule as the file gave it."""
        return self.schedule

    def timetable_spec(self) -> TimetableSpec:
        """The schedule as data."""
        return self.timetable.to_spec()

    def following_schedule(self, dttm: datetime) -> datetime | None:
        """The next point of the schedule after `dttm`; None where there is none."""
        from tradewind.authoring.timetables import DataInterval

        info = self.interval_after(DataInterval(dttm, dttm))
        if info is None:
            return None
        interval = info.data_interval
        return interval.start if interval.start > dttm else interval.end

    def interval_after(self, last: DataInterval) -> DagRunInfo | None:
        """The run after the one about `last`, whatever start, end and catchup say."""
        from tradewind.authoring.timetables import DataInterval, TimeRestriction

        return self.timetable.next_dagrun_info(
            last_automated_data_interval=DataInterval(_plain(last.start), _plain(last.end)),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )

    def iter_dagrun_infos_between(self, earliest: datetime | None, latest: datetime) -> Iterator[DagRunInfo]:
        """The runs of the schedule with a logical date from `earliest` to `latest`, both included; without
        `earliest`, from the first. A DAG without a schedule has one such run, at `earliest`.
        """
        from tradewind.authoring.timetables import DagRunInfo, DataInterval, TimeRestriction

        if not self.timetable.can_be_scheduled:
            if earliest is not None:
                yield DagRunInfo(earliest, DataInterval(earliest, earliest))
            return
        restriction = TimeRestriction(earliest=earliest, latest=latest, catchup=True)
        info = self.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        while info is not None and info.logical_date <= latest:
            yield info
            last = info.data_interval
            info = self.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)


def _plain(moment: datetime) -> datetime:
    """The same moment in UTC as a datetime of the standard library: contexts hold pendulum's, with other sums."""
    utc = moment.astimezone(UTC)
    return datetime.combine(utc.date(), utc.time(), UTC)


def active_runs_limit_of(schedule: object) -> int | None:
    """How many runs a schedule allows at a time; None where it says nothing about that."""
    if isinstance(schedule, str):
        return 1 if schedule.strip().lower() == "@continuous" else None
    limit: object = getattr(schedule, "active_runs_limit", None)
    return limit if isinstance(limit, int) else None
