"""Schedules by partition: which events in a DAG's queue belong to one run, and whether all that it waits for is there.

How the keys of events become keys of runs is said by mappers (`partition_groups`), written in a schedule's arguments as
``mapper`` (for every asset) and ``mappers``: ``[kind, reference, mapper]`` for single ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, cast

from tradewind.model.assets import QueuedEvent
from tradewind.model.specs import Json
from tradewind.rules.assets import is_met
from tradewind.rules.partition_groups import MOST_KEYS, Target, mapper_of, targets_of
from tradewind.rules.partition_times import KEY_FORMAT
from tradewind.rules.timetables.base import RunInfo
from tradewind.rules.timetables.cron import CronTicker
from tradewind.rules.timetables.spans import add, span_from_json
from tradewind.rules.timetables.zones import zone_of


class KeyQuestion(NamedTuple):
    """The key of an event of an asset, which a mapper has to turn into keys of runs."""

    uri: str
    name: str
    key: str


Answers = Mapping[KeyQuestion, Sequence[Target] | None]
"""What mappers say; None where one failed."""


class ReadyPartition(NamedTuple):
    """A run that can be made."""

    key: str
    events: list[QueuedEvent]
    kept: frozenset[int]
    """Numbers of those events that further runs wait for."""
    date: datetime | None
    """The moment that the key stands for."""


def asks_code(args: Mapping[str, Json]) -> bool:
    """Whether a schedule by partition has a mapper that is code of the DAG's file."""
    mappers = cast("Sequence[Sequence[Json]]", args.get("mappers", ()))
    return _is_own(args.get("mapper", {})) or any(_is_own(mapper) for _, _, mapper in mappers)


def key_questions(queued: Sequence[QueuedEvent]) -> list[KeyQuestion]:
    """What mappers have to say before `ready_partition` can, each question once."""
    found = [
        KeyQuestion(one.event.uri, one.event.name, one.event.partition_key)
        for one in queued
        if one.event.partition_key is not None
    ]
    return list(dict.fromkeys(found))


def is_for_code(args: Mapping[str, Json], question: KeyQuestion) -> bool:
    """Whether only code of the DAG's file can answer."""
    return _is_own(_mapper_for(args, question))


def answer_to(args: Mapping[str, Json], question: KeyQuestion) -> list[Target]:
    """The runs that an event belongs to, by a mapper that is none of a DAG file. Raises AuthoringError."""
    most = int(args.get("most_keys", MOST_KEYS))
    return targets_of(mapper_of(_mapper_for(args, question)), question.key, most)


def idle_events(queued: Sequence[QueuedEvent], answers: Answers) -> list[int]:
    """Numbers of the events that belong to no run, or to none that is still to come. Not those whose mapper failed."""
    return [
        one.event.event_id
        for one in queued
        if (targets := _targets(one, answers)) is not None and not _left(one, targets)
    ]


def ready_partition(
    condition: Mapping[str, Json], queued: Sequence[QueuedEvent], answers: Answers
) -> ReadyPartition | None:
    """The first key for which all that the schedule waits for has come. `answers`: to `key_questions`."""
    by_key: dict[str, list[tuple[QueuedEvent, Target]]] = {}
    for one in queued:
        for target in _left(one, _targets(one, answers) or ()):
            by_key.setdefault(target.key, []).append((one, target))
    for key, found in by_key.items():
        if is_met(condition, _complete(found)):
            events = [one for one, _ in found]
            more = {one.event.event_id for one in events if len(_left(one, _targets(one, answers) or ())) > 1}
            return ReadyPartition(key, events, frozenset(more), _date_of(found))
    return None


def _complete(found: Sequence[tuple[QueuedEvent, Target]]) -> list[QueuedEvent]:
    """The events of those assets of which enough parts have come."""
    parts: dict[str, set[str]] = {}
    for one, target in found:
        if target.needs is None or one.event.partition_key in target.needs:
            parts.setdefault(one.event.uri, set()).add(str(one.event.partition_key))
    return [one for one, target in found if target.needs is None or len(parts.get(one.event.uri, ())) >= target.least]


def _date_of(found: Sequence[tuple[QueuedEvent, Target]]) -> datetime | None:
    """The moment that the key stands for, where all that know one agree: mappers before the runs that sent events."""
    dates = {target.date for _, target in found} - {None}
    if not dates:
        dates = {one.event.source_partition_date for one, target in found if target.carries} - {None}
    date = dates.pop() if len(dates) == 1 else None
    return None if date is None else date.astimezone(UTC)


def _targets(one: QueuedEvent, answers: Answers) -> Sequence[Target] | None:
    event = one.event
    if event.partition_key is None:
        return ()
    return answers[KeyQuestion(event.uri, event.name, event.partition_key)]


def _left(one: QueuedEvent, targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if target.key not in one.served]


def partition_of(args: Mapping[str, Json], info: RunInfo) -> tuple[str, datetime]:
    """The key of a run that a cron expression makes, and its moment: the tick, moved by `offset` (ticks, or a span)."""
    at, offset = info.run_after, args.get("offset")
    zone = zone_of(str(args.get("timezone", "UTC")))
    if isinstance(offset, int):
        ticker = CronTicker(str(args["cron"]), zone)
        for _ in range(abs(offset)):
            moved = ticker.next_after(at) if offset > 0 else ticker.prev_before(at)
            at = at if moved is None else moved
    elif offset is not None:
        at = add(at, span_from_json(offset))
    return at.astimezone(zone).strftime(str(args.get("key_format", KEY_FORMAT))), at.astimezone(UTC)


def date_of_key(args: Mapping[str, Json], key: str) -> datetime | None:
    """The moment of a key that somebody gives to a run of `CronPartitionTimetable`; None: it is no such time."""
    try:
        at = datetime.strptime(key, str(args.get("key_format", KEY_FORMAT)))  # noqa: DTZ007 - the next line says which
    except ValueError:
        return None
    local = at if at.tzinfo is not None else at.replace(tzinfo=zone_of(str(args.get("timezone", "UTC"))))
    return local.astimezone(UTC)


def _is_own(mapper: Mapping[str, Json]) -> bool:
    parts = [*cast("Sequence[Mapping[str, Json]]", mapper.get("parts", ())), mapper.get("window", {})]
    return mapper.get("kind") == "own" or any(_is_own(part) for part in parts if part)


def _mapper_for(args: Mapping[str, Json], question: KeyQuestion) -> Mapping[str, Json]:
    mappers = cast("Sequence[Sequence[Json]]", args.get("mappers", ()))
    for kind, ref, mapper in mappers:
        if (kind, ref) in (("asset", question.uri), ("uri", question.uri), ("name", question.name)):
            return cast("Mapping[str, Json]", mapper)
    return cast("Mapping[str, Json]", args["mapper"])
