# pyright: reportUnusedExpression=false
"""Branches and sensors by date, on a clock that tests set."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.unit.authoring.attempts import running
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.pace import Pace, current_pace
from tradewind.model.errors import AuthoringError
from tradewind.standard.branch_datetime import BranchDateTimeOperator, target_times_as_dates
from tradewind.standard.time_sensors import (
    DateTimeSensor,
    DateTimeSensorAsync,
    TimeDeltaSensor,
    TimeDeltaSensorAsync,
    TimeSensor,
    TimeSensorAsync,
    WaitSensor,
)
from tradewind.standard.weekday import BranchDayOfWeekOperator, DayOfWeekSensor, WeekDay

naive: Any = datetime
YES_NO: dict[str, Any] = {"follow_task_ids_if_true": "yes", "follow_task_ids_if_false": ["no"]}


class Noon(Pace):
    """A clock that stands still: Saturday, 2026-08-01, 12:00 in UTC."""

    def now(self) -> datetime:
        return datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> Generator[None]:
    token = current_pace.set(Noon())
    yield
    current_pace.reset(token)


def made(kind: Any, zone: str = "UTC", **arguments: Any) -> tuple[Any, Any]:
    """The task and its context; its run is of Friday, 2026-01-02, noon."""
    with DAG("d", start_date="2026-01-01", timezone=zone) as dag:
        operator: BaseOperator = kind(task_id="t", **arguments)
    return operator, build_context(running(dag, "t"), dag, operator)


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("days", "arguments", "on"),
    [
        ("Saturday", {}, True),
        ("friday ", {}, False),
        (WeekDay.SATURDAY, {}, True),
        (["Monday", WeekDay.SATURDAY], {}, True),
        ({"Monday", "Sunday"}, {}, False),
        ("Friday", {"use_task_logical_date": True}, True),
        ("Saturday", {"use_task_execution_day": True}, False),
        ("Sunday", {"zone": "Pacific/Kiritimati"}, True),
    ],
)
def test_days_of_the_week(days: Any, arguments: dict[str, Any], on: bool) -> None:
    branch, context = made(BranchDayOfWeekOperator, week_day=days, **YES_NO, **arguments)
    assert branch.execute(context) == ("yes" if on else ["no"])
    assert branch.outcome_kind == "branch"
    sensor, context = made(DayOfWeekSensor, week_day=days, **arguments)
    assert sensor.poke(context) is on
    assert sensor.is_async


@pytest.mark.parametrize(
    ("days", "message"), [("Someday", 'Invalid Week Day passed: "Someday"'), (5, "Unsupported Type")]
)
def test_what_is_no_day(days: Any, message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        made(DayOfWeekSensor, week_day=days)
    with pytest.raises(AuthoringError, match=message):
        made(BranchDayOfWeekOperator, week_day=days, **YES_NO)


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("lower", "upper", "arguments", "inside"),
    [
        (datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 8, 2, tzinfo=UTC), {}, True),
        (datetime(2026, 8, 1, 12, tzinfo=UTC), None, {}, True),
        (None, datetime(2026, 8, 1, 12, tzinfo=UTC), {}, True),
        (datetime(2026, 8, 1, 12, 1, tzinfo=UTC), None, {}, False),
        (None, datetime(2026, 8, 1, 11, tzinfo=UTC), {}, False),
        (time(11), time(13), {}, True),
        (time(13), time(14), {}, False),
        (time(11), time(2), {}, True),
        (time(13), None, {}, False),
        (None, time(11), {}, False),
        (naive(2026, 7, 1), time(13), {}, True),
        (naive(2026, 8, 1, 13, 30), None, {"zone": "Europe/Berlin"}, True),
        (naive(2026, 8, 1, 14, 30), None, {"zone": "Europe/Berlin"}, False),
        (time(13, 30), time(14, 30), {"zone": "Europe/Berlin"}, True),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC), {"use_task_logical_date": True}, True),
        (datetime(2026, 1, 3, tzinfo=UTC), None, {"use_task_execution_date": True}, False),
        (datetime(2026, 8, 2, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC), {}, False),
    ],
)
def test_between_two_moments(lower: Any, upper: Any, arguments: dict[str, Any], inside: bool) -> None:
    branch, context = made(BranchDateTimeOperator, target_lower=lower, target_upper=upper, **YES_NO, **arguments)
    assert branch.execute(context) == ("yes" if inside else ["no"])


def test_no_moments_at_all() -> None:
    with pytest.raises(AuthoringError, match="Both target_upper and target_lower are None"):
        made(BranchDateTimeOperator, target_lower=None, target_upper=None, **YES_NO)
    with pytest.raises(AuthoringError, match="target_upper: a datetime, a time or None"):
        made(BranchDateTimeOperator, target_lower=None, target_upper="noon", **YES_NO)
    noon = datetime(2026, 8, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert target_times_as_dates(noon, time(23), time(1)) == (
        noon.replace(hour=23),
        noon.replace(hour=1) + timedelta(days=1),
    )


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("plain", "sleeping", "arguments", "seconds"),
    [
        (DateTimeSensor, DateTimeSensorAsync, {"target_time": "2026-08-01T11:59:00+00:00"}, -60),
        (DateTimeSensor, DateTimeSensorAsync, {"target_time": datetime(2026, 8, 1, 12, 1, tzinfo=UTC)}, 60),
        (TimeDeltaSensor, TimeDeltaSensorAsync, {"delta": timedelta(hours=2)}, -1),
        (TimeDeltaSensor, TimeDeltaSensorAsync, {"delta": timedelta(days=365)}, 154.0 * 86400),
        (TimeSensor, TimeSensorAsync, {"target_time": time(12, 0, 5)}, 5),
        (TimeSensor, TimeSensorAsync, {"target_time": time(14, 0, 5), "zone": "Europe/Berlin"}, 5),
        (TimeSensor, TimeSensorAsync, {"target_time": time(11, 59)}, -60),
    ],
)
def test_moments(plain: Any, sleeping: Any, arguments: dict[str, Any], seconds: float) -> None:
    sensor, context = made(plain, timeout=10**9, **arguments)
    assert sensor.is_async
    assert sensor.poke(context) is (seconds < 0)
    sleeper, context = made(sleeping, timeout=10**9, deferrable=True, start_from_trigger=False, **arguments)
    assert sleeper.is_async
    assert sleeper.poke(context) is (seconds < 0)
    if seconds > 0:
        assert sleeper.next_poke_delay(1, 0.0) == pytest.approx(seconds, abs=0.1)
        sleeper.timeout = 2.0
        assert sleeper.next_poke_delay(1, 0.0) == pytest.approx(2.0, abs=0.1)


def test_a_poke_of_ones_own_gets_a_process() -> None:
    class Own(DateTimeSensor):
        def poke(self, context: Any) -> bool:
            return True

    class AlsoOwn(TimeDeltaSensor):
        pass

    assert not made(Own, target_time="2026-01-01")[0].is_async
    assert made(AlsoOwn, delta=5)[0].is_async


@pytest.mark.usefixtures("noon")
def test_a_plain_wait() -> None:
    sensor, context = made(WaitSensor, time_to_wait=1)
    assert sensor.time_to_wait == timedelta(minutes=1)
    assert sensor.moment(context) == datetime(2026, 1, 2, 12, 1, tzinfo=UTC)
    assert made(WaitSensor, time_to_wait=timedelta(seconds=3))[0].time_to_wait == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DateTimeSensor, {"target_time": 5}, "Expected str or datetime.datetime type for target_time"),
        (TimeSensor, {"target_time": "12:00"}, "target_time is a time, not '12:00'"),
        (TimeDeltaSensor, {"delta": "soon"}, "delta: a timedelta or a number of seconds"),
    ],
)
def test_what_is_no_moment(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        made(kind, **arguments)
