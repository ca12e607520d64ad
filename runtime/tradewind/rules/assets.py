"""Which combinations of changed assets start a run: conditions as data, evaluated without any I/O.

A condition is JSON: ``{"asset": uri}``, ``{"name": name}``, ``{"uri": uri}``, ``{"alias": name}``,
``{"any": [condition, …]}`` or ``{"all": [condition, …]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from tradewind.model.assets import AssetEvent, QueuedEvent
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.timetables.base import DataInterval

LEAVES: Final = ("asset", "name", "uri", "alias")


def is_met(condition: Mapping[str, Json], queued: Iterable[QueuedEvent]) -> bool:
    """Whether the events that have come (those that count) satisfy the condition. An empty condition never is."""
    known: set[tuple[str, str]] = set()
    for one in queued:
        if one.wakes:
            known |= set(names_of(one))
    return bool(known) and _holds(condition, known)


def names_of(queued: QueuedEvent) -> Iterator[tuple[str, str]]:
    """The leaves of conditions that an event satisfies."""
    event = queued.event
    yield "asset", event.uri
    yield "uri", event.uri
    yield "name", event.name
    for alias in {*queued.linked, *event.aliases}:
        yield "alias", alias


def interval_of(events: Sequence[AssetEvent], at: datetime) -> DataInterval:
    """What a run is about that these events cause: from the first start to the last end of the runs that sent
    them; an event from outside stands for its moment. Without events: `at`.
    """
    if not events:
        return DataInterval.exact(at)
    starts = [event.source_interval_start or event.at for event in events]
    ends = [event.source_interval_end or event.at for event in events]
    return DataInterval(min(starts), max(ends))


def _holds(condition: Mapping[str, Json], known: set[tuple[str, str]]) -> bool:
    kind, value = _single(condition)
    if kind in LEAVES:
        return (kind, str(value)) in known
    parts = cast("Sequence[Mapping[str, Json]]", value)
    if not parts:
        return False
    return (all if kind == "all" else any)(_holds(part, known) for part in parts)


def _single(condition: Mapping[str, Json]) -> tuple[str, Json]:
    if len(condition) == 1:
        ((kind, value),) = condition.items()
        if kind in LEAVES or kind in ("any", "all"):
            return kind, value
    raise AuthoringError(
        f"a condition over assets has one of the keys {', '.join(LEAVES)}, any, all; not {dict(condition)!r}"
    )
