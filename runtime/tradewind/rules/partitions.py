"""Partitions: keys that say which part of an asset has changed, and how keys of one kind become keys of another.

A mapper is JSON: ``{"kind": "identity"}``, ``{"kind": "allowed", "keys": […]}``, ``{"kind": "hour", "timezone": "UTC",
"input": format, "output": format}`` (and day, week, month, quarter, year), or ``{"kind": "product", "parts":
[mapper, …], "by": "|"}``, ``{"kind": "chain", "parts": […]}``, ``{"kind": "fixed", "key": text}``.
``{"kind": "own", "class": name}`` is code of a DAG file, which has to be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from tradewind.model.assets import QueuedEvent
from tradewind.model.specs import Json
from tradewind.rules.assets import is_met
from tradewind.rules.timetables.base import RunInfo
from tradewind.rules.timetables.cron import CronTicker
from tradewind.rules.timetables.spans import add, span_from_json
from tradewind.rules.timetables.zones import zone_of

KEY_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"

OUTPUTS: Final[Mapping[str, str]] = {
    "hour": "%Y-%m-%dT%H",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d (W%V)",
    "month": "%Y-%m",
    "quarter": "%Y-Q{quarter}",
    "year": "%Y",
}
"""Kinds of mappers that cut a time, and how the key that they give looks."""


def mapped_key(mapper: Mapping[str, Json], key: str) -> str | None:
    """What the mapper makes of a key; None where it makes nothing of it: such an event does not count."""
    kind = str(mapper["kind"])
    if kind == "identity":
        return key
    if kind == "allowed":
        return key if key in cast("Sequence[str]", mapper["keys"]) else None
    if kind == "fixed":
        return str(mapper["key"])
    if kind == "chain":
        found: str | None = key
        for part in cast("Sequence[Mapping[str, Json]]", mapper["parts"]):
            found = None if found is None else mapped_key(part, found)
        return found
    if kind == "product":
        by, parts = str(mapper["by"]), cast("Sequence[Mapping[str, Json]]", mapper["parts"])
        pieces = key.split(by)
        if len(pieces) != len(parts):
            return None
        keys = [mapped_key(part, piece) for part, piece in zip(parts, pieces, strict=True)]
        return None if None in keys else by.join(cast("list[str]", keys))
    return _time_key(kind, mapper, key)


def _time_key(kind: str, mapper: Mapping[str, Json], key: str) -> str | None:
    """What a mapper that cuts times makes of a key."""
    try:
        at = datetime.strptime(key, str(mapper["input"]))  # noqa: DTZ007 - the next line says which zone
    except ValueError:
        return None
    local = (at if at.tzinfo is None else at.astimezone(zone_of(str(mapper["timezone"])))).replace(tzinfo=None)
    start = _start(kind, local)
    shape = str(mapper["output"]).replace("{quarter}", str((start.month + 2) // 3))
    return start.strftime(shape)


class KeyQuestion(NamedTuple):
    """A key that only code of the DAG's file can map."""

    uri: str
    name: str
    key: str


def asks_code(args: Mapping[str, Json]) -> bool:
    """Whether a schedule by partition has a mapper that is code of the DAG's file."""
    mappers = cast("Sequence[Sequence[Json]]", args.get("mappers", ()))
    return _is_own(args.get("mapper", {})) or any(_is_own(mapper) for _, _, mapper in mappers)


def key_questions(args: Mapping[str, Json], queued: Sequence[QueuedEvent]) -> list[KeyQuestion]:
    """What has to be asked before `ready_partition` can say something, each question once."""
    found: dict[KeyQuestion, None] = {}
    for one in queued:
        key = one.event.partition_key
        if key is not None and _is_own(_mapper_for(args, one)):
            found[KeyQuestion(one.event.uri, one.event.name, key)] = None
    return list(found)


def ready_partition(
    args: Mapping[str, Json],
    queued: Sequence[QueuedEvent],
    answers: Mapping[KeyQuestion, str | None] = MappingProxyType({}),
) -> tuple[str, list[QueuedEvent]] | None:
    """The first key for which all that the schedule waits for has come, and its events.

    `answers`: to `key_questions`.
    """
    by_key: dict[str, list[QueuedEvent]] = {}
    for one in queued:
        key = one.event.partition_key
        mapper = _mapper_for(args, one)
        if key is None:
            continue
        own = _is_own(mapper)
        new = answers[KeyQuestion(one.event.uri, one.event.name, key)] if own else mapped_key(mapper, key)
        if new is not None:
            by_key.setdefault(new, []).append(one)
    condition: Mapping[str, Json] = args["condition"]
    return next(((key, ones) for key, ones in by_key.items() if is_met(condition, ones)), None)


def partition_of(args: Mapping[str, Json], info: RunInfo) -> str:
    """The key of a run that a cron expression makes: the tick, moved by `offset` (ticks, or a span)."""
    at, offset = info.run_after, args.get("offset")
    zone = zone_of(str(args.get("timezone", "UTC")))
    if isinstance(offset, int):
        ticker = CronTicker(str(args["cron"]), zone)
        for _ in range(abs(offset)):
            moved = ticker.next_after(at) if offset > 0 else ticker.prev_before(at)
            at = at if moved is None else moved
    elif offset is not None:
        at = add(at, span_from_json(offset))
    return at.astimezone(zone).strftime(str(args.get("key_format", KEY_FORMAT)))


def _is_own(mapper: Mapping[str, Json]) -> bool:
    parts = cast("Sequence[Mapping[str, Json]]", mapper.get("parts", ()))
    return mapper.get("kind") == "own" or any(_is_own(part) for part in parts)


def _mapper_for(args: Mapping[str, Json], one: QueuedEvent) -> Mapping[str, Json]:
    mappers = cast("Sequence[Sequence[Json]]", args.get("mappers", ()))
    for kind, ref, mapper in mappers:
        if (kind, ref) in (("asset", one.event.uri), ("uri", one.event.uri), ("name", one.event.name)):
            return cast("Mapping[str, Json]", mapper)
    return cast("Mapping[str, Json]", args["mapper"])


def _start(kind: str, at: datetime) -> datetime:
    """Where the hour, day, week, month, quarter or year of a moment begins."""
    if kind == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match kind:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day
