"""Schedule arithmetic: what must hold for every expression, zone and year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import TimetableSpec
from tradewind.rules.timetables import DataInterval, TimeRestriction, timetable_of
from tradewind.rules.timetables.cron import CronTicker, check_expression, next_or_at, prev_or_at
from tradewind.rules.timetables.zones import stretch_at, zone_of

ZONES = sorted(available_timezones())
BEGIN = datetime(2006, 1, 1, tzinfo=UTC)
OPEN = TimeRestriction(None, None, catchup=True)

minutes = st.one_of(st.integers(0, 59).map(str), st.sampled_from(["*", "*/5", "*/20", "*/45", "0,30", "5-55/25"]))
hours = st.one_of(st.integers(0, 23).map(str), st.sampled_from(["*", "*/3", "1-3", "0-4", "1,2,3", "0,12", "23"]))
days = st.sampled_from(["*", "*", "*", "1", "15", "31", "L", "*/10"])
months = st.sampled_from(["*", "*", "*", "3", "10", "3,10,11", "*/4"])
weekdays = st.sampled_from(["*", "*", "*", "0", "sun", "1-5", "MON,WED", "0#2"])


def comes_again(expression: str) -> bool:
    try:
        return bool(check_expression(expression))
    except AuthoringError:
        return False


expressions = st.tuples(minutes, hours, days, months, weekdays).map(" ".join).filter(comes_again)
moments = st.integers(0, 20 * 365 * 24 * 3600).map(lambda seconds: BEGIN + timedelta(seconds=seconds))


def near_a_change(zone: str, year: int) -> datetime | None:
    """A moment about which the clocks of a zone change in that year."""
    stretch = stretch_at(zone_of(zone), datetime(year, 1, 1))  # noqa: DTZ001 - UTC without its tzinfo, by contract
    return None if stretch is None or stretch.end.month == 1 else stretch.end.replace(tzinfo=UTC)


def in_a_first_coming(moment: datetime, zone: str) -> bool:
    local = moment.astimezone(ZoneInfo(zone))
    again, now = local.replace(fold=1).utcoffset(), local.utcoffset()
    return local.fold == 0 and again is not None and now is not None and again < now


@settings(max_examples=400, deadline=None, derandomize=True)
@given(expressions, st.sampled_from(ZONES), moments, st.booleans(), st.integers(-180, 180))
def test_ticks_follow_each_other_and_lead_back(
    expression: str, zone: str, moment: datetime, at_change: bool, offset: int
) -> None:
    if at_change:
        moment = (near_a_change(zone, moment.year) or moment) + timedelta(minutes=offset)
    ticker = CronTicker(expression, zone_of(zone))
    ticks = [moment]
    for _ in range(12):
        following = ticker.next_after(ticks[-1])
        assert following is not None
        assert following > ticks[-1]
        ticks.append(following)
    for earlier, later in pairwise(ticks[1:]):
        assert ticker.prev_before(later) == earlier
        assert ticker.holds(later)
        assert next_or_at(ticker, later) == prev_or_at(ticker, later) == later
        between = earlier + (later - earlier) / 2
        if ticker.covers_every_hour or not in_a_first_coming(between, zone):
            assert ticker.next_after(between) == later
            assert ticker.prev_before(between) == earlier


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions, st.sampled_from(ZONES), moments, moments, st.booleans(), st.sampled_from([None, "first", "middle"]))
def test_no_interval_is_empty_or_goes_back(
    expression: str, zone: str, start: datetime, now: datetime, catchup: bool, last: str | None
) -> None:
    timetable = timetable_of(TimetableSpec("cron_data_interval", {"cron": expression, "timezone": zone}))
    restriction = TimeRestriction(start, None, catchup)
    previous = {None: None, "first": DataInterval(start, start), "middle": DataInterval(start, now)}[last]
    ends: list[datetime] = []
    for _ in range(4):
        info = timetable.next_run(previous, restriction, now)
        assert info is not None
        assert info.interval.start < info.interval.end == info.run_after
        assert info.logical_date == info.interval.start >= start
        ends.append(info.run_after)
        previous = info.interval
    assert ends == sorted(set(ends))
    manual = timetable.manual_interval(now)
    assert manual.start < manual.end


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions, st.sampled_from(ZONES), moments)
def test_each_tick_is_a_time_of_the_expression_or_stands_for_one_left_out(
    expression: str, zone: str, moment: datetime
) -> None:
    moment = near_a_change(zone, moment.year) or moment
    ticker = CronTicker(expression, zone_of(zone))
    tick = ticker.next_after(moment - timedelta(hours=3))
    assert tick is not None
    wall = tick.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    matching = CronTicker(expression, UTC).holds(wall.replace(tzinfo=UTC))
    assert matching or ticker.was_moved(tick)


def ticks(expression: str, zone: str, start: str, count: int) -> list[str]:
    ticker = CronTicker(expression, zone_of(zone))
    at = datetime.fromisoformat(start)
    found: list[str] = []
    for _ in range(count):
        following = ticker.next_after(at)
        assert following is not None
        at = following
        found.append(at.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def test_a_time_in_a_gap_comes_later_by_the_length_of_the_gap() -> None:
    assert ticks("30 2 * * *", "Europe/Amsterdam", "2024-03-30T00:00:00+00:00", 3) == [
        "30 02:30+0100",
        "31 03:30+0200",
        "01 02:30+0200",
    ]


def test_of_several_times_in_a_gap_the_first_stands_for_all() -> None:
    assert ticks("5,38,48 2 * * *", "America/St_Johns", "2024-03-10T04:00:00+00:00", 2) == [
        "10 03:05-0230",
        "11 02:05-0230",
    ]


def test_a_repeated_time_fires_once_and_the_second_time_round() -> None:
    assert ticks("30 2 * * *", "Europe/Amsterdam", "2024-10-26T12:00:00+00:00", 2) == ["27 02:30+0100", "28 02:30+0100"]


def test_an_hourly_expression_fires_in_every_real_hour() -> None:
    assert ticks("30 * * * *", "Europe/Amsterdam", "2024-10-26T23:00:00+00:00", 4) == [
        "27 01:30+0200",
        "27 02:30+0200",
        "27 02:30+0100",
        "27 03:30+0100",
    ]
    assert ticks("30 * * * *", "Europe/Amsterdam", "2024-03-30T23:40:00+00:00", 3) == [
        "31 01:30+0100",
        "31 03:30+0200",
        "31 04:30+0200",
    ]


def test_a_day_that_a_zone_left_out() -> None:
    assert ticks("0 3 * * *", "Pacific/Apia", "2011-12-29T12:00:00+00:00", 3) == [
        "29 03:00-1000",
        "31 03:00+1400",
        "01 03:00+1400",
    ]


def test_zones_by_offset_and_unknown_zones() -> None:
    assert datetime(2024, 1, 1, tzinfo=zone_of("+05:30")).utcoffset() == timedelta(hours=5, minutes=30)
    with pytest.raises(AuthoringError, match="no time zone 'Mars/Olympus'"):
        zone_of("Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("every day", "five fields"),
        ("61 * * * *", "61"),
        ("0 0 30 2 *", "never comes"),
        ("R * * * *", "write the number"),
        ("H H * * *", "write the number"),
        ("", "five fields"),
    ],
)
def test_bad_expressions(text: str, says: str) -> None:
    with pytest.raises(AuthoringError, match=says):
        check_expression(text)


def test_unknown_kinds_and_arguments_are_named() -> None:
    with pytest.raises(AuthoringError, match="kind 'lunar'"):
        timetable_of(TimetableSpec("lunar"))
    with pytest.raises(AuthoringError, match="cron_trigger"):
        timetable_of(TimetableSpec("cron_trigger", {}))


def test_equal_specs_share_a_timetable() -> None:
    one = TimetableSpec("cron_trigger", {"cron": "0 1 * * *", "timezone": "UTC"})
    other = TimetableSpec("cron_trigger", {"timezone": "UTC", "cron": "0 1 * * *"})
    assert timetable_of(one) is timetable_of(other)


def test_an_expression_with_years_ends() -> None:
    timetable = timetable_of(TimetableSpec("cron_trigger", {"cron": "0 6 1 1 * 0 2025", "timezone": "UTC"}))
    start = TimeRestriction(datetime(2024, 1, 1, tzinfo=UTC), None, catchup=True)
    only = timetable.next_run(None, start, datetime(2026, 1, 1, tzinfo=UTC))
    assert only is not None
    assert only.run_after == datetime(2025, 1, 1, 6, tzinfo=UTC)
    assert timetable.next_run(only.interval, start, datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_several_expressions_run_as_one_schedule() -> None:
    spec = TimetableSpec(
        "multiple_cron_trigger", {"crons": ["0 6 * * *", "30 6 * * 1", "0 6 1 * *"], "timezone": "UTC"}
    )
    timetable = timetable_of(spec)
    assert timetable.summary == "0 6 * * *, 30 6 * * 1, 0 6 1 * *"
    last = DataInterval.exact(datetime(2024, 6, 30, 6, tzinfo=UTC))
    found: list[str] = []
    for _ in range(3):
        info = timetable.next_run(last, OPEN, last.end)
        assert info is not None
        last = info.interval
        found.append(last.end.strftime("%m-%d %H:%M"))
    assert found == ["07-01 06:00", "07-01 06:30", "07-02 06:00"]


def test_the_calendar_has_an_end() -> None:
    far = datetime(9999, 6, 1, tzinfo=UTC)
    cron = timetable_of(TimetableSpec("cron_data_interval", {"cron": "0 0 * * *", "timezone": "UTC"}))
    delta = timetable_of(TimetableSpec("delta_data_interval", {"delta": {"relativedelta": {"years": 1}}}))
    assert cron.next_run(DataInterval.exact(far), OPEN, far) is None
    assert delta.next_run(DataInterval.exact(far), OPEN, far) is None


@pytest.mark.parametrize(
    ("cron", "sentence"),
    [
        ("30 6 * * MON-FRI", "At 06:30, on Monday to Friday"),
        ("0 0 1 */3 *", "At 00:00, on day 1 of the month, in every 3"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 9,17 * * *", "At 09:00 and 17:00"),
        ("5 4 * * 0", "At 04:05, on Sunday"),
    ],
)
def test_descriptions(cron: str, sentence: str) -> None:
    timetable = timetable_of(TimetableSpec("cron_data_interval", {"cron": cron, "timezone": "UTC"}))
    assert timetable.description == sentence
