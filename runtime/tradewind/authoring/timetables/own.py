"""Timetables of authors' own classes: what is asked of them, and their answers checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from tradewind.authoring.dag_run import moment
from tradewind.model.errors import AuthoringError
from tradewind.rules.timetables import DataInterval, RunInfo, TimeRestriction
from tradewind.rules.timetables import Timetable as Arithmetic


class OwnTimetable(Protocol):
    """The two methods that a class of one's own defines."""

    @property
    def next_dagrun_info(self) -> Any:
        """Called with `last_automated_data_interval` and `restriction`."""
        ...

    @property
    def infer_manual_data_interval(self) -> Any:
        """Called with `run_after`."""
        ...


class OwnArithmetic(Arithmetic):
    """An author's timetable as the rest of the system asks timetables. Runs the author's code: never in the scheduler.

    Raises AuthoringError for an answer that is none; what the author's code raises comes out as it is.
    """

    def __init__(self, own: OwnTimetable, facts: Mapping[str, Any]) -> None:
        self._own = own
        self._name = type(own).__qualname__
        self.summary = str(facts["summary"])
        self.description = str(facts["description"])
        self.can_be_scheduled = bool(facts["can_be_scheduled"])
        self.periodic = bool(facts["periodic"])

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """What the class answers; the clock it reads itself."""
        given = TimeRestriction(_moment(restriction.earliest), _moment(restriction.latest), restriction.catchup)
        before = None if last is None else DataInterval(moment(last.start), moment(last.end))
        info: Any = self._own.next_dagrun_info(last_automated_data_interval=before, restriction=given)
        if info is None:
            return None
        interval = self._interval(getattr(info, "data_interval", None), "next_dagrun_info")
        run_after = self._instant(getattr(info, "run_after", None), "next_dagrun_info: run_after")
        if last is not None and interval.end < last.end:
            raise AuthoringError(
                f"{self._name}.next_dagrun_info goes back: after an interval that ends at {last.end.isoformat()} it "
                f"gives one that ends at {interval.end.isoformat()}"
            )
        if last is not None and interval == last:
            raise AuthoringError(f"{self._name}.next_dagrun_info stands still: it gives the interval {last} again")
        return RunInfo(run_after, interval.start, interval)

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """What the class answers."""
        found: Any = self._own.infer_manual_data_interval(run_after=moment(run_after))
        return self._interval(found, "infer_manual_data_interval")

    def _interval(self, value: Any, method: str) -> DataInterval:
        start, end = getattr(value, "start", None), getattr(value, "end", None)
        if start is None or end is None:
            raise AuthoringError(f"{self._name}.{method} has to give a DataInterval, not {value!r}")
        interval = DataInterval(self._instant(start, f"{method}: start"), self._instant(end, f"{method}: end"))
        if interval.end < interval.start:
            raise AuthoringError(f"{self._name}.{method}: the interval {interval} ends before it starts")
        return interval

    def _instant(self, value: Any, where: str) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise AuthoringError(f"{self._name}.{where} has to be a datetime with a time zone, not {value!r}")
        return datetime.fromisoformat(value.isoformat()).astimezone(UTC)


def _moment(value: datetime | None) -> datetime | None:
    return None if value is None else moment(value)
