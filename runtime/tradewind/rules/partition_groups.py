"""Mappers that roll many keys up into one, or fan one out into many, and what any mapper says of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final, NamedTuple, cast

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partition_mappers import (
    AllowedKeyMapper,
    ChainMapper,
    FixedKeyMapper,
    IdentityMapper,
    Keys,
    PartitionMapper,
    ProductMapper,
    keys_of,
    mapper_json,
    only_key,
    window_json,
)
from tradewind.rules.partition_times import TIMES, StartOfDayMapper, StartOfHourMapper, StartOfMonthMapper
from tradewind.rules.partition_windows import (
    DayWindow,
    MonthWindow,
    QuarterWindow,
    WaitForAll,
    WaitPolicy,
    WeekWindow,
    Window,
    YearWindow,
    policy_of,
    window_of,
)

MOST_KEYS: Final = 1_000
"""Keys that one may become, where nothing else is said."""

USUAL_PARTS: Final[Mapping[type[Window], type[PartitionMapper]]] = {
    DayWindow: StartOfHourMapper,
    WeekWindow: StartOfDayMapper,
    MonthWindow: StartOfDayMapper,
    QuarterWindow: StartOfMonthMapper,
    YearWindow: StartOfMonthMapper,
}
"""How the parts of a window are written where nothing is said."""


class Target(NamedTuple):
    """A run that an event belongs to, as its mapper says."""

    key: str
    needs: tuple[str, ...] | None = None
    """The keys of events that the run waits for; None: any one will do."""
    least: int = 1
    """How many of them."""
    date: datetime | None = None
    """The moment that the key stands for."""
    carries: bool = False
    """Whether the moment of the run that sent the event is that of this one, too."""


class RollupMapper(PartitionMapper):
    """Many keys become one, whose run waits for them: `upstream_mapper` says which key it is, `window` which events
    belong to it, and `wait_policy` how many of those have to be there (all of them).
    """

    is_rollup: ClassVar[bool] = True

    def __init__(
        self,
        *,
        upstream_mapper: PartitionMapper,
        window: Window,
        wait_policy: WaitPolicy | None = None,
        max_downstream_keys: int | None = None,
    ) -> None:
        """Raises AuthoringError for a window that does not fit the mapper, and for an unknown policy."""
        super().__init__(max_downstream_keys=max_downstream_keys)
        if upstream_mapper.expected_decoded_type is not window.expected_decoded_type:
            raise _no_pair("RollupMapper", upstream_mapper, window)
        self.upstream_mapper = upstream_mapper
        self.window = window
        self.wait_policy = wait_policy or WaitForAll()
        if not isinstance(self.wait_policy, WaitPolicy) or type(self.wait_policy).__module__ != WaitPolicy.__module__:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
            raise AuthoringError(f"RollupMapper: wait_policy is WaitForAll() or MinimumCount(n), not {wait_policy!r}")

    def to_downstream(self, key: str) -> Keys:
        """See PartitionMapper."""
        return self.upstream_mapper.to_downstream(key)

    def to_upstream(self, downstream_key: str) -> frozenset[str]:
        """The keys of the events that make up the run of this key."""
        mapper = self.upstream_mapper
        parts = self.window.to_upstream(mapper.decode_downstream(downstream_key))
        return frozenset(mapper.encode_upstream(part) for part in parts)

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """See PartitionMapper."""
        return self.upstream_mapper.to_partition_date(downstream_key)

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        parts, least = [mapper_json(self.upstream_mapper)], self.wait_policy.count()
        return self.limited({"kind": "rollup", "parts": parts, "window": window_json(self.window), "least": least})


class FanOutMapper(PartitionMapper):
    """One key becomes many: the parts that `window` gives of it, each a key as `downstream_mapper` writes it. Without
    one: hours of a day; days of a week or month; months of a quarter or year.
    """

    def __init__(
        self,
        *,
        upstream_mapper: PartitionMapper,
        window: Window,
        downstream_mapper: PartitionMapper | None = None,
        max_downstream_keys: int | None = None,
    ) -> None:
        """Raises AuthoringError for a window that does not fit the mapper, and where a downstream mapper is missing."""
        super().__init__(max_downstream_keys=max_downstream_keys)
        if window.expected_decoded_type is datetime is not upstream_mapper.expected_decoded_type:
            raise _no_pair("FanOutMapper", upstream_mapper, window)
        if downstream_mapper is None:
            kind = USUAL_PARTS.get(type(window))
            if kind is None:
                raise AuthoringError(
                    f"FanOutMapper: say how the parts of a {type(window).__qualname__} are written: downstream_mapper=…"
                )
            downstream_mapper = kind()
        self.upstream_mapper = upstream_mapper
        self.window = window
        self.downstream_mapper = downstream_mapper

    def to_downstream(self, key: str) -> Sequence[str] | None:
        """See PartitionMapper."""
        formatted = only_key(self, self.upstream_mapper, key)
        if formatted is None:
            return None
        parts = self.window.to_upstream(self.upstream_mapper.decode_downstream(formatted))
        return [self._written(part) for part in parts]

    def _written(self, part: object) -> str:
        written = getattr(self.downstream_mapper, "format", None)
        if callable(written):
            return cast("str", written(part))
        return part.isoformat() if isinstance(part, datetime) else str(part)

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """See PartitionMapper."""
        return self.downstream_mapper.to_partition_date(downstream_key)

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        parts = [mapper_json(self.upstream_mapper), mapper_json(self.downstream_mapper)]
        return self.limited({"kind": "fan_out", "parts": parts, "window": window_json(self.window)})


def mapper_of(data: Mapping[str, Json]) -> PartitionMapper:
    """The mapper that `to_json` described; none of it is code of a DAG file."""
    kind, most = str(data["kind"]), cast("int | None", data.get("most"))
    parts = [mapper_of(part) for part in cast("Sequence[Mapping[str, Json]]", data.get("parts", ()))]
    match kind:
        case "identity":
            return IdentityMapper(max_downstream_keys=most)
        case "allowed":
            return AllowedKeyMapper(cast("Sequence[str]", data["keys"]), max_downstream_keys=most)
        case "fixed":
            return FixedKeyMapper(str(data["key"]), max_downstream_keys=most)
        case "product":
            return ProductMapper(*parts, delimiter=str(data["by"]), max_downstream_keys=most)
        case "chain":
            return ChainMapper(*parts, max_downstream_keys=most)
        case "rollup":
            window, policy = window_of(data["window"]), policy_of(cast("int | None", data["least"]))
            return RollupMapper(upstream_mapper=parts[0], window=window, wait_policy=policy, max_downstream_keys=most)
        case "fan_out":
            window = window_of(data["window"])
            return FanOutMapper(
                upstream_mapper=parts[0], window=window, downstream_mapper=parts[1], max_downstream_keys=most
            )
        case _:
            formats = {"input_format": str(data["input"]), "output_format": str(data["output"])}
            return TIMES[kind](str(data["timezone"]), **formats, max_downstream_keys=most)


def targets_of(mapper: PartitionMapper, key: str, most: int = MOST_KEYS) -> list[Target]:
    """The runs that an event with this key belongs to. Raises AuthoringError: more than `max_downstream_keys`, or than
    `most` where the mapper has no such limit; and what code of a DAG file raises.
    """
    keys = keys_of(mapper, key)
    limit = mapper.max_downstream_keys
    if len(keys) > (limit or most):
        whose = f"max_downstream_keys={limit}" if limit else f"core.max_partition_keys={most}"
        raise AuthoringError(f"it becomes {len(keys)} keys, more than {whose} allows")
    return [_target(mapper, one) for one in keys]


def targets_to_json(targets: Sequence[Target]) -> list[Json]:
    """Answers of another process, as data."""
    return [
        [one.key, one.needs and list(one.needs), one.least, one.date and one.date.isoformat(), one.carries]
        for one in targets
    ]


def targets_from_json(plain: Json) -> list[Target]:
    """Undoes `targets_to_json`."""
    return [
        Target(key, None if needs is None else tuple(needs), least, date and datetime.fromisoformat(date), carries)
        for key, needs, least, date, carries in plain
    ]


def _target(mapper: PartitionMapper, key: str) -> Target:
    date, carries = mapper.to_partition_date(key), isinstance(mapper, IdentityMapper)
    if not isinstance(mapper, RollupMapper):
        return Target(key, date=date, carries=carries)
    needs = sorted(mapper.to_upstream(key))
    least = mapper.wait_policy.least(len(needs))
    if least > len(needs):
        raise AuthoringError(f"{mapper.wait_policy!r} can never be met: a window has {len(needs)} keys")
    return Target(key, tuple(needs), least, date)


def _no_pair(kind: str, mapper: PartitionMapper, window: Window) -> AuthoringError:
    names = {datetime: "times", str: "texts"}
    gives, takes = (names.get(t, t.__name__) for t in (mapper.expected_decoded_type, window.expected_decoded_type))
    return AuthoringError(
        f"{kind}: a {type(window).__qualname__} is about {takes}, a {type(mapper).__qualname__} about {gives}: "
        "their `expected_decoded_type` has to be the same"
    )
