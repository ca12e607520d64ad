"""Schedules by partition: a run for each part of the data, known by its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any, ClassVar, cast

from dateutil.relativedelta import relativedelta

from tradewind.authoring.assets import Asset, AssetAlias, AssetRef
from tradewind.authoring.timetables.assets import AssetTriggeredTimetable
from tradewind.authoring.timetables.kinds import CronTriggerTimetable
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partitions import KEY_FORMAT, OUTPUTS, mapped_key
from tradewind.rules.timetables.spans import span_to_json


class PartitionMapper:
    """How the key of an event becomes the key of a run. A class of your own defines `to_downstream`; a process is asked
    for what it says, each key once.
    """

    def __init__(self, *, max_downstream_keys: int | None = None) -> None:
        """`max_downstream_keys` has no effect: a key becomes one key."""
        self.max_downstream_keys = max_downstream_keys

    def to_downstream(self, key: str) -> str | None:
        """The key of the run that an event with this key belongs to; None: the event does not count."""
        return mapped_key(self.to_json(), key)

    def to_json(self) -> dict[str, Json]:
        """The mapper as data; see `rules.partitions`."""
        raise AuthoringError(
            f"{type(self).__qualname__} is a partition mapper without to_downstream(self, key): define it"
        )


def mapper_json(mapper: PartitionMapper) -> dict[str, Json]:
    """The mapper as data: one of ours, or the name of a class whose code has to be asked."""
    if not isinstance(mapper, PartitionMapper):  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
        raise AuthoringError(f"{mapper!r} is no partition mapper: give an object of a subclass of PartitionMapper")
    kind = type(mapper)
    if kind.to_downstream.__module__ != __name__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        own: dict[str, Json] = {"kind": "own", "class": name}
        serialize: Callable[[], Json] | None = getattr(mapper, "serialize", None)
        if serialize is not None:  # tells versions of the DAG apart
            own["data"] = serialize()
            try:
                json.dumps(own)
            except (TypeError, ValueError) as error:
                raise AuthoringError(f"{name}.serialize: {error}; plain data is needed") from error
        return own
    return mapper.to_json()


def key_of(mapper: PartitionMapper, key: str) -> str | None:
    """What the mapper says, checked. Raises AuthoringError; what its code raises comes out as it is."""
    found: object = cast("object", mapper.to_downstream(key))
    if found is None:
        return None
    if isinstance(found, str) and found:
        return found
    raise AuthoringError(
        f"{type(mapper).__qualname__}.to_downstream({key!r}) gives {found!r}: one text, or None, is needed; "
        "mappers that make several keys of one are not there yet"
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
        return {"kind": "product", "parts": [mapper_json(mapper) for mapper in self.mappers], "by": self.delimiter}

    def to_downstream(self, key: str) -> str | None:
        """See PartitionMapper."""
        pieces = key.split(self.delimiter)
        if len(pieces) != len(self.mappers):
            return None
        found = [key_of(mapper, piece) for mapper, piece in zip(self.mappers, pieces, strict=True)]
        return None if None in found else self.delimiter.join(piece for piece in found if piece is not None)


class ChainMapper(PartitionMapper):
    """One mapper after the other."""

    def __init__(self, *mappers: PartitionMapper, max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        if len(mappers) < 2:
            raise AuthoringError("ChainMapper: at least two mappers are needed")
        self.mappers = mappers

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {"kind": "chain", "parts": [mapper_json(mapper) for mapper in self.mappers]}

    def to_downstream(self, key: str) -> str | None:
        """See PartitionMapper."""
        found: str | None = key
        for mapper in self.mappers:
            found = None if found is None else key_of(mapper, found)
        return found


class FixedKeyMapper(PartitionMapper):
    """The same key for all."""

    def __init__(self, downstream_key: str, *, max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        if not isinstance(downstream_key, str) or not downstream_key:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
            raise AuthoringError(f"FixedKeyMapper: a key is a text that is not empty, not {downstream_key!r}")
        self.downstream_key = downstream_key

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return {"kind": "fixed", "key": self.downstream_key}


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
        return {
            **super().arguments(),
            "mapper": mapper_json(self.default_partition_mapper),
            "mappers": sorted(mappers, key=repr),
        }

    def run_key(self, uri: str, name: str, key: str) -> str | None:
        """The key of the run that an event of this asset belongs to. Runs code of mappers: never in the scheduler."""
        for asset, mapper in self.partition_mapper_config.items():
            if (asset.uri is not None and asset.uri == uri) or (isinstance(asset, AssetRef) and asset.name == name):
                return key_of(mapper, key)
        return key_of(self.default_partition_mapper, key)
