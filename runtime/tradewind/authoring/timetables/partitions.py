"""Schedules by partition: a run for each part of the data, known by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any, ClassVar

from dateutil.relativedelta import relativedelta

from tradewind.authoring.assets import Asset, AssetAlias, AssetRef
from tradewind.authoring.timetables.assets import AssetTriggeredTimetable
from tradewind.authoring.timetables.kinds import CronTriggerTimetable
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partitions import KEY_FORMAT, OUTPUTS
from tradewind.rules.timetables.spans import span_to_json


class PartitionMapper:
    """How the key of an event becomes the key of a run. The scheduler runs no code, so there are these classes only."""

    def to_json(self) -> dict[str, Json]:
        """The mapper as data; see `rules.partitions`."""
        raise AuthoringError(
            f"{type(self).__qualname__} is a partition mapper of your own, and the scheduler runs no DAG file's code: "
            "use IdentityMapper, one of StartOf…Mapper, AllowedKeyMapper or ProductMapper"
        )


class IdentityMapper(PartitionMapper):
    """The key as it is."""

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {"kind": "identity"}


class _Temporal(PartitionMapper):
    unit: ClassVar[str] = ""

    def __init__(self, timezone: str = "UTC", input_format: str = KEY_FORMAT, output_format: str | None = None) -> None:
        self.timezone = str(timezone)
        self.input_format = input_format
        self.output_format = output_format or OUTPUTS[self.unit]

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {
            "kind": self.unit,
            "timezone": self.timezone,
            "input": self.input_format,
            "output": self.output_format,
        }


class StartOfHourMapper(_Temporal):
    """A time as the hour that it lies in."""

    unit: ClassVar[str] = "hour"


class StartOfDayMapper(_Temporal):
    """A time as its day."""

    unit: ClassVar[str] = "day"


class StartOfWeekMapper(_Temporal):
    """A time as the Monday of its week."""

    unit: ClassVar[str] = "week"


class StartOfMonthMapper(_Temporal):
    """A time as its month."""

    unit: ClassVar[str] = "month"


class StartOfQuarterMapper(_Temporal):
    """A time as its quarter."""

    unit: ClassVar[str] = "quarter"


class StartOfYearMapper(_Temporal):
    """A time as its year."""

    unit: ClassVar[str] = "year"


class AllowedKeyMapper(PartitionMapper):
    """Only these keys count."""

    def __init__(self, allowed_keys: Sequence[str]) -> None:
        self.allowed_keys = list(allowed_keys)

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {"kind": "allowed", "keys": self.allowed_keys}


class ProductMapper(PartitionMapper):
    """Keys of several parts, each mapped by a mapper of its own."""

    def __init__(self, *mappers: PartitionMapper, delimiter: str = "|") -> None:
        self.mappers = mappers
        self.delimiter = delimiter

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {"kind": "product", "parts": [mapper.to_json() for mapper in self.mappers], "by": self.delimiter}


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
            mapper.to_json()

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        mappers = [
            [*next(iter(key.condition().items())), mapper.to_json()]
            for key, mapper in self.partition_mapper_config.items()
        ]
        return {
            **super().arguments(),
            "mapper": self.default_partition_mapper.to_json(),
            "mappers": sorted(mappers, key=repr),
        }
