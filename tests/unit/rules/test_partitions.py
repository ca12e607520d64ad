"""Windows and mappers of partitions: which keys belong together, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.asset_events import OutletEvent
from tradewind.authoring.assets import Asset, AssetAlias
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.timetables.partitions import (
    AllowedKeyMapper,
    ChainMapper,
    DayWindow,
    FanOutMapper,
    FixedKeyMapper,
    HourWindow,
    IdentityMapper,
    MinimumCount,
    MonthWindow,
    PartitionedAssetTimetable,
    PartitionMapper,
    ProductMapper,
    QuarterWindow,
    RollupMapper,
    SegmentWindow,
    StartOfDayMapper,
    StartOfHourMapper,
    StartOfMonthMapper,
    StartOfQuarterMapper,
    StartOfWeekMapper,
    StartOfYearMapper,
    WaitForAll,
    WaitPolicy,
    WeekWindow,
    Window,
    YearWindow,
)
from tradewind.model.errors import AuthoringError
from tradewind.rules.partition_groups import mapper_of, targets_from_json, targets_of, targets_to_json
from tradewind.rules.partition_mappers import keys_of, mapper_json

BACK = Window.Direction.BACKWARD
START = datetime(2024, 3, 1)  # noqa: DTZ001 - windows go by the wall clock


@pytest.mark.parametrize(
    ("window", "first", "last", "count"),
    [
        (HourWindow(), "2024-03-01T00:00", "2024-03-01T00:59", 60),
        (DayWindow(), "2024-03-01T00:00", "2024-03-01T23:00", 24),
        (DayWindow(direction=BACK), "2024-02-29T01:00", "2024-03-01T00:00", 24),
        (WeekWindow(), "2024-03-01T00:00", "2024-03-07T00:00", 7),
        (WeekWindow(direction="backward"), "2024-02-24T00:00", "2024-03-01T00:00", 7),
        (MonthWindow(), "2024-03-01T00:00", "2024-03-31T00:00", 31),
        (MonthWindow(direction=BACK), "2024-02-02T00:00", "2024-03-01T00:00", 29),
        (QuarterWindow(), "2024-03-01T00:00", "2024-05-01T00:00", 3),
        (YearWindow(direction=BACK), "2023-04-01T00:00", "2024-03-01T00:00", 12),
    ],
)
def test_the_parts_of_a_window(window: Window, first: str, last: str, count: int) -> None:
    parts = list(window.to_upstream(START))
    assert (f"{parts[0]:%Y-%m-%dT%H:%M}", f"{parts[-1]:%Y-%m-%dT%H:%M}", len(parts)) == (first, last, count)


MAPPERS: list[PartitionMapper] = [
    RollupMapper(upstream_mapper=StartOfHourMapper(), window=HourWindow(), wait_policy=MinimumCount(-2)),
    RollupMapper(upstream_mapper=StartOfDayMapper("Europe/Amsterdam"), window=DayWindow()),
    RollupMapper(upstream_mapper=StartOfWeekMapper(max_downstream_keys=4), window=WeekWindow()),
    RollupMapper(upstream_mapper=StartOfMonthMapper(), window=MonthWindow()),
    RollupMapper(upstream_mapper=StartOfQuarterMapper("America/New_York"), window=QuarterWindow()),
    RollupMapper(upstream_mapper=StartOfYearMapper(), window=YearWindow(), max_downstream_keys=1),
    FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow(direction=BACK)),
    ChainMapper(StartOfWeekMapper(output_format="%Y-%m-%d"), FanOutMapper(
        upstream_mapper=StartOfMonthMapper(input_format="%Y-%m-%d"), window=MonthWindow()
    )),
    FixedKeyMapper("all"),
    AllowedKeyMapper(["a"]),
    ProductMapper(IdentityMapper(), FixedKeyMapper("x"), delimiter="T"),
]  # fmt: skip


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2100, 1, 1)), st.sampled_from(MAPPERS))  # noqa: DTZ001
def test_a_mapper_as_data_says_the_same(at: datetime, mapper: PartitionMapper) -> None:
    key = at.strftime("%Y-%m-%dT%H:%M:%S")
    again = mapper_of(mapper_json(mapper))
    found = targets_of(mapper, key)
    assert targets_of(again, key) == found
    assert targets_from_json(targets_to_json(found)) == found
    assert mapper_json(again) == mapper_json(mapper)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 1, 1)))
def test_a_week_waits_for_what_fans_out_of_it(day: date) -> None:
    weeks = StartOfWeekMapper(input_format="%Y-%m-%d")
    rollup, fan_out = (
        RollupMapper(upstream_mapper=weeks, window=WeekWindow()),
        FanOutMapper(upstream_mapper=weeks, window=WeekWindow()),
    )
    (target,) = targets_of(rollup, str(day))
    assert set(keys_of(fan_out, str(day))) == set(target.needs or ())
    assert str(day) in (target.needs or ())
    assert target.date == datetime.combine(day - timedelta(days=day.weekday()), datetime.min.time(), UTC)


def test_segments_and_how_many_of_them() -> None:
    def rollup(policy: WaitForAll | MinimumCount | None) -> RollupMapper:
        regions = SegmentWindow(["us", "eu", "eu"])
        return RollupMapper(upstream_mapper=FixedKeyMapper("all"), window=regions, wait_policy=policy)

    assert [targets_of(rollup(policy), "eu")[0].least for policy in (None, WaitForAll(), MinimumCount(1))] == [2, 2, 1]
    assert [targets_of(rollup(MinimumCount(n)), "eu")[0].least for n in (-1, -2, -5)] == [1, 0, 0]
    assert rollup(None).to_upstream("all") == {"eu", "us"}
    with pytest.raises(AuthoringError, match=r"MinimumCount\(3\) can never be met: a window has 2 keys"):
        targets_of(rollup(MinimumCount(3)), "eu")


def test_keys_that_are_refused() -> None:
    days = FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow())
    with pytest.raises(AuthoringError, match=r"more than core\.max_partition_keys=6"):
        targets_of(days, "2024-03-01T00:00:00", most=6)
    assert targets_of(days, "no time") == []
    with pytest.raises(AuthoringError, match="ProductMapper: FanOutMapper makes 7 keys"):
        targets_of(ProductMapper(days, IdentityMapper()), "2024-03-01T00:00:00|x")
    unreadable = StartOfWeekMapper(output_format="%V")
    with pytest.raises(AuthoringError, match="%Y, %m and %d cannot be read from the key '09'"):
        targets_of(RollupMapper(upstream_mapper=unreadable, window=WeekWindow()), "2024-03-01T00:00:00")
    with pytest.raises(AuthoringError, match="begins on the first of a month"):
        targets_of(RollupMapper(upstream_mapper=StartOfWeekMapper(), window=MonthWindow()), "2024-03-06T00:00:00")
    with use_defaults(AuthoringDefaults(max_partition_keys=6)):
        schedule = PartitionedAssetTimetable(assets=Asset("a"), default_partition_mapper=days)
        assert schedule.arguments()["most_keys"] == 6
        with pytest.raises(AuthoringError, match="becomes 7 keys"):
            schedule.targets("a", "a", "2024-03-01T00:00:00")


SEGMENT = SegmentWindow("a")


class _NoParts(Window): ...


class _Own(WaitPolicy): ...


def _half_a_pair() -> object:
    return type("Half", (IdentityMapper,), {"decode_downstream": StartOfDayMapper.decode_downstream})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: RollupMapper(upstream_mapper=IdentityMapper(), window=DayWindow()), "IdentityMapper about texts"),
        (lambda: FanOutMapper(upstream_mapper=IdentityMapper(), window=DayWindow()), "about times"),
        (lambda: FanOutMapper(upstream_mapper=StartOfHourMapper(), window=HourWindow()), "downstream_mapper="),
        (lambda: RollupMapper(upstream_mapper=FixedKeyMapper("a"), window=SEGMENT, wait_policy=_Own()), "wait_policy"),
        (lambda: SegmentWindow([]), "at least one key"),
        (lambda: SegmentWindow(["a", ""]), "not ''"),
        (lambda: MinimumCount(0), "not 0"),
        (lambda: DayWindow(direction="up"), "FORWARD or BACKWARD, not 'up'"),
        (lambda: IdentityMapper(max_downstream_keys=0), "a number from 1 on, not 0"),
        (lambda: list(_NoParts().to_upstream("x")), "without to_upstream"),
        (_half_a_pair, "the other has to undo it"),
        (lambda: OutletEvent(AssetAlias("a")).add_partitions("x"), "an alias has no partitions"),
        (lambda: OutletEvent(Asset("a")).add_partitions(["x", " "]), "1 to 250 characters, not ' '"),
    ],
)  # fmt: skip
def test_mistakes_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        wrong()
