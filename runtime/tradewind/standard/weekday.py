"""Choosing and waiting by the day of the week."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from enum import IntEnum
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.access import current_attempt
from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.nodes import DagContainer
from tradewind.authoring.pace import now
from tradewind.authoring.sensor import BaseSensorOperator, SensorSettings
from tradewind.model.errors import AuthoringError
from tradewind.standard.branch import BaseBranchOperator


class WeekDay(IntEnum):
    """The days of the week, Monday is 1."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7

    @classmethod
    def get_weekday_number(cls, week_day_str: str) -> int:
        """The number of a day's name. Raises AuthoringError for what is no day."""
        name = week_day_str.strip().upper()
        if name not in cls.__members__:
            raise AuthoringError(f'Invalid Week Day passed: "{week_day_str}"; there are {", ".join(cls.__members__)}')
        return cls[name].value

    @classmethod
    def convert(cls, day: str | int | WeekDay) -> int:
        """The number of a day."""
        return cls.get_weekday_number(day) if isinstance(day, str) else cls(day).value

    @classmethod
    def validate_week_day(cls, week_day: object) -> set[int]:
        """The numbers of one day or several. Raises AuthoringError."""
        if isinstance(week_day, (str, WeekDay)):
            return {cls.convert(week_day)}
        if not isinstance(week_day, (list, tuple, set, frozenset, dict)):
            raise AuthoringError(
                f"Unsupported Type for week_day parameter: {type(week_day)}. Input should be iterable type: "
                "str, set, list, dict or Weekday enum type"
            )
        return {cls.convert(day) for day in cast("Iterable[Any]", week_day)}


class ByDateSettings(TypedDict, total=False):
    """Whose date counts: the clock's, or the run's."""

    use_task_logical_date: bool
    use_task_execution_date: bool
    use_task_execution_day: bool


class BranchByDateSettings(ByDateSettings, OperatorArguments, total=False):
    """Arguments of branches by date."""


class SensorByDateSettings(ByDateSettings, SensorSettings, total=False):
    """Arguments of sensors by date."""


BY_DATE = frozenset(ByDateSettings.__annotations__)


def takes_logical_date(given: dict[str, Any]) -> bool:
    """Takes the setting and its older spellings out of the arguments."""
    own = [given.pop(name) for name in BY_DATE & given.keys()]
    return any(own)


def now_of(context: Any, dag: DagContainer | None, *, logical: bool) -> datetime:
    """The moment that counts, in the DAG's zone."""
    zone: tzinfo = dag.timezone if dag is not None else UTC
    if not logical:
        return now().astimezone(zone)
    running = current_attempt.get(None)
    at: datetime = context["logical_date"] if running is None else running.attempt.run.logical_date
    return at.astimezone(zone)


class BranchDayOfWeekOperator(BaseBranchOperator):
    """Goes on with `follow_task_ids_if_true` on these days of the week, else with `follow_task_ids_if_false`.

    `week_day` is a name ("Monday"), a `WeekDay`, or several. Today counts, or with
    `use_task_logical_date` the day of the run; in the DAG's time zone.
    """

    own_arguments: ClassVar[frozenset[str]] = BY_DATE

    def __init__(
        self,
        *,
        follow_task_ids_if_true: str | Iterable[str],
        follow_task_ids_if_false: str | Iterable[str],
        week_day: str | WeekDay | Iterable[str | WeekDay],
        **arguments: Unpack[BranchByDateSettings],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        self.use_task_logical_date = takes_logical_date(given)
        super().__init__(**given)
        self.follow_task_ids_if_true = follow_task_ids_if_true
        self.follow_task_ids_if_false = follow_task_ids_if_false
        self.week_day = week_day
        self._week_day_num = WeekDay.validate_week_day(week_day)

    def choose_branch(self, context: Any) -> Any:
        """The ids for this day."""
        today = now_of(context, self.dag, logical=self.use_task_logical_date)
        on = today.isoweekday() in self._week_day_num
        return self.follow_task_ids_if_true if on else self.follow_task_ids_if_false


class DayOfWeekSensor(BaseSensorOperator):
    """Waits until it is one of these days of the week: today, or with `use_task_logical_date` the run's day."""

    own_arguments: ClassVar[frozenset[str]] = BY_DATE

    def __init__(
        self, *, week_day: str | WeekDay | Iterable[str | WeekDay], **arguments: Unpack[SensorByDateSettings]
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        self.use_task_logical_date = takes_logical_date(given)
        super().__init__(**given)
        self.week_day = week_day
        self._week_day_num = WeekDay.validate_week_day(week_day)

    @property
    def is_async(self) -> bool:
        """It only looks at a clock, so it needs no process of its own."""
        return type(self).poke is DayOfWeekSensor.poke

    def poke(self, context: Any) -> bool:
        """Whether the day has come."""
        today = now_of(context, self.dag, logical=self.use_task_logical_date).isoweekday()
        self.log.info("Poking until weekday is in %s, today is %s", self.week_day, WeekDay(today).name)
        return today in self._week_day_num
