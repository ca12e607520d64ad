"""Schedules by partition: a run for each part of the data, known by its key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, tzinfo
from typing import Any, ClassVar

from dateutil.relativedelta import relativedelta

from tradewind.authoring.assets import Asset, AssetAlias, AssetRef
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.timetables.assets import AssetTriggeredTimetable
from tradewind.authoring.timetables.kinds import CronTriggerTimetable, NullTimetable
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partition_groups import MOST_KEYS, FanOutMapper, RollupMapper, Target, targets_of
from tradewind.rules.partition_mappers import (
    AllowedKeyMapper,
    ChainMapper,
    FixedKeyMapper,
    IdentityMapper,
    PartitionMapper,
    ProductMapper,
    mapper_json,
)
from tradewind.rules.partition_times import (
    KEY_FORMAT,
    StartOfDayMapper,
    StartOfHourMapper,
    StartOfMonthMapper,
    StartOfQuarterMapper,
    StartOfWeekMapper,
    StartOfYearMapper,
    TimeMapper,
)
from tradewind.rules.partition_windows import (
    DayWindow,
    HourWindow,
    MinimumCount,
    MonthWindow,
    QuarterWindow,
    SegmentWindow,
    WaitForAll,
    WaitPolicy,
    WeekWindow,
    Window,
    YearWindow,
)
from tradewind.rules.timetables.spans import span_to_json

__all__ = [
    "AllowedKeyMapper",
    "ChainMapper",
    "CronPartitionTimetable",
    "DayWindow",
    "FanOutMapper",
    "FixedKeyMapper",
    "HourWindow",
    "IdentityMapper",
    "MinimumCount",
    "MonthWindow",
    "PartitionMapper",
    "PartitionedAssetTimetable",
    "PartitionedAtRuntime",
    "ProductMapper",
    "QuarterWindow",
    "RollupMapper",
    "SegmentWindow",
    "StartOfDayMapper",
    "StartOfHourMapper",
    "StartOfMonthMapper",
    "StartOfQuarterMapper",
    "StartOfWeekMapper",
    "StartOfYearMapper",
    "TimeMapper",
    "WaitForAll",
    "WaitPolicy",
    "WeekWindow",
    "Window",
    "YearWindow",
]


class PartitionedAtRuntime(NullTimetable):
    """No schedule: runs are started by hand or by others, and their tasks say which partitions they have made
    (`outlet_events[asset].add_partitions`).
    """


class CronPartitionTimetable(CronTriggerTimetable):
    """A run at each tick, whose partition key is that tick (moved by `run_offset` ticks, or by a span)."""

    kind: ClassVar[str] = "cron_partition"

    def __init__(
        self,
        cron: str,
        *,
        timezone: str | tzinfo = "UTC",
        run_offset: int | timedelta | relativedelta | None = None,
        run_immediately: bool | timedelta = False,
        key_format: str = KEY_FORMAT,
    ) -> None:
        super().__init__(cron, timezone=timezone, run_immediately=run_immediately)
        self.run_offset = run_offset
        self.key_format = key_format

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        own: dict[str, Json] = {**super().arguments(), "key_format": self.key_format}
        if isinstance(self.run_offset, int):
            own["offset"] = self.run_offset
        elif self.run_offset is not None:
            own["offset"] = span_to_json(self.run_offset)
        return own


class PartitionedAssetTimetable(AssetTriggeredTimetable):
    """A run for each key for which all that `assets` says has changed. Mappers say which keys belong together."""

    kind: ClassVar[str] = "partitioned_assets"

    def __init__(
        self,
        *,
        assets: object,
        partition_mapper_config: Mapping[Any, PartitionMapper] | None = None,
        default_partition_mapper: PartitionMapper | None = None,
    ) -> None:
        super().__init__(assets)
        self.default_partition_mapper = default_partition_mapper or IdentityMapper()
        self.partition_mapper_config = dict(partition_mapper_config or {})
        for key, mapper in self.partition_mapper_config.items():
            if not isinstance(key, (Asset, AssetRef)) or isinstance(key, AssetAlias):
                raise AuthoringError(f"partition_mapper_config: the keys are assets or Asset.ref(…), not {key!r}")
            mapper_json(mapper)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        mappers = [
            [*next(iter(key.condition().items())), mapper_json(mapper)]
            for key, mapper in self.partition_mapper_config.items()
        ]
        most = current_defaults().max_partition_keys
        return {
            **super().arguments(),
            **({} if most == MOST_KEYS else {"most_keys": most}),
            "mapper": mapper_json(self.default_partition_mapper),
            "mappers": sorted(mappers, key=repr),
        }

    def targets(self, uri: str, name: str, key: str) -> list[Target]:
        """The runs that an event of this asset belongs to. Runs code of mappers: never in the scheduler."""
        most = current_defaults().max_partition_keys
        for asset, mapper in self.partition_mapper_config.items():
            if (asset.uri is not None and asset.uri == uri) or (isinstance(asset, AssetRef) and asset.name == name):
                return targets_of(mapper, key, most)
        return targets_of(self.default_partition_mapper, key, most)
