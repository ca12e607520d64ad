"""What all timetables have in common, for those who use them and for those who write their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar, NamedTuple

import orjson

from tradewind.authoring.instants import zone_name
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json, TimetableSpec
from tradewind.model.states import RunType
from tradewind.rules.due import dag_run_id_of
from tradewind.rules.timetables import KINDS, DataInterval, RunInfo, TimeRestriction, timetable_of
from tradewind.rules.timetables import Timetable as Arithmetic
from tradewind.rules.timetables.custom import CUSTOM


class DagRunInfo(NamedTuple):
    """A run that is to be: not before `run_after`, about `data_interval`."""

    run_after: datetime
    data_interval: DataInterval

    @classmethod
    def exact(cls, at: datetime) -> DagRunInfo:
        """A run at a moment, about that moment."""
        return cls(at, DataInterval.exact(at))

    @classmethod
    def interval(cls, start: datetime, end: datetime) -> DagRunInfo:
        """A run about `start` to `end`, as soon as that is over."""
        return cls(end, DataInterval(start, end))

    @property
    def logical_date(self) -> datetime:
        """The run's logical date: the start of its interval."""
        return self.data_interval.start


class Timetable:
    """When a DAG runs. Give one as `DAG(schedule=…)`.

    The classes of this package cover cron, fixed distances, lists of moments and more. A class of
    your own subclasses this one and overrides `next_dagrun_info` and `infer_manual_data_interval`.
    """

    kind: ClassVar[str] = ""
    """The registered kind that evaluates it; empty: none."""

    active_runs_limit: ClassVar[int | None] = None
    """The most runs at once that make sense; None: no limit."""

    run_ordering: ClassVar[tuple[str, ...]] = ("data_interval_end", "execution_date")

    def arguments(self) -> dict[str, Json]:
        """The arguments as JSON; equal timetables give equal arguments."""
        return {}

    def to_spec(self) -> TimetableSpec:
        """The schedule as data, for the scheduler. One of a class of your own holds the class's name and what its
        `serialize` gives: the scheduler has a process of its own load the DAG file and compute the runs.

        Raises:
            AuthoringError: the class defines nothing that could be asked, or its `serialize` gives no JSON.
        """
        if self._is_own_code():
            args = {"class": f"{type(self).__module__}.{type(self).__qualname__}", "data": self._data()}
            facts = self._facts()
            return TimetableSpec(CUSTOM, args, facts["summary"], facts["description"], facts["can_be_scheduled"])
        if self.kind not in KINDS:
            raise AuthoringError(
                f"timetable {type(self).__qualname__!r} defines neither next_dagrun_info nor "
                "infer_manual_data_interval: define both, or use one of the timetables that are there, for example "
                "schedule=CronTriggerTimetable('0 6 * * *', timezone='UTC')"
            )
        plain = TimetableSpec(self.kind, self.arguments())
        known = timetable_of(plain)
        return TimetableSpec(self.kind, plain.args, known.summary, known.description, known.can_be_scheduled)

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes the runs."""
        if self._is_own_code():
            from tradewind.authoring.timetables.own import OwnArithmetic

            return OwnArithmetic(self, self._facts())
        return timetable_of(self.to_spec())

    @property
    def summary(self) -> str:
        """The short text of lists."""
        return type(self).__name__ if self._is_own_code() else self.arithmetic.summary

    @property
    def description(self) -> str:
        """A sentence, or empty."""
        return "" if self._is_own_code() else self.arithmetic.description

    @property
    def can_be_scheduled(self) -> bool:
        """Whether it ever makes a run by itself."""
        return True if self._is_own_code() else self.arithmetic.can_be_scheduled

    @property
    def periodic(self) -> bool:
        """Whether its runs divide time up."""
        return True if self._is_own_code() else self.arithmetic.periodic

    def validate(self) -> None:
        """Overridden by classes that have something to check: raise an error where the timetable cannot be."""

    def _facts(self) -> dict[str, Any]:
        return {
            "summary": str(self.summary),
            "description": str(self.description),
            "can_be_scheduled": bool(self.can_be_scheduled),
            "periodic": bool(self.periodic),
        }

    def _data(self) -> Json:
        data: Any = self.serialize()
        try:
            return orjson.loads(orjson.dumps(data, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))
        except (TypeError, ValueError) as error:
            raise AuthoringError(
                f"{type(self).__qualname__}.serialize() has to give JSON, not {data!r} ({error})"
            ) from error

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
        now: datetime | None = None,
    ) -> DagRunInfo | None:
        """The run after the one about `last_automated_data_interval` (None: the first); None: there is none.

        `now` (default: the clock) matters only without catchup.
        """
        moment = now if now is not None else datetime.now(UTC)
        return as_dagrun_info(self.arithmetic.next_run(last_automated_data_interval, restriction, moment))

    def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
        """What a run that is triggered by hand at `run_after` is about."""
        return self.arithmetic.manual_interval(run_after)

    def generate_run_id(
        self, *, run_type: RunType, logical_date: datetime, data_interval: DataInterval | None = None, **extra: Any
    ) -> str:
        """The id of a run: type and logical date."""
        del data_interval, extra
        return dag_run_id_of(RunType(run_type), logical_date)

    def serialize(self) -> dict[str, Json]:
        """The arguments as JSON."""
        return self.arguments()

    @classmethod
    def deserialize(cls, data: Mapping[str, Json]) -> Timetable:
        """A timetable from what `serialize` gave; for classes whose arguments are plain JSON."""
        return cls(**data)

    def _is_own_code(self) -> bool:
        mine = type(self)
        return not mine.__module__.startswith(__package__ or "tradewind") and (
            mine.next_dagrun_info is not Timetable.next_dagrun_info
            or mine.infer_manual_data_interval is not Timetable.infer_manual_data_interval
        )

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timetable):
            return NotImplemented
        return type(self) is type(other) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))


def as_dagrun_info(info: RunInfo | None) -> DagRunInfo | None:
    """The arithmetic's answer as authors know it."""
    return None if info is None else DagRunInfo(info.run_after, info.interval)


def zone_text(timezone: str | tzinfo, owner: str) -> str:
    """The name of a zone given as text or as a tzinfo. Raises AuthoringError naming `owner`."""
    if isinstance(timezone, str):
        return timezone
    if isinstance(timezone, tzinfo):  # pyright: ignore[reportUnnecessaryIsInstance] - authors may pass anything
        return zone_name(timezone)
    raise AuthoringError(f"{owner}: timezone={timezone!r} is neither a name such as 'Europe/Amsterdam' nor a tzinfo")
