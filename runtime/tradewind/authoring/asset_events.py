"""Events of assets inside a task: those that caused its run, those of its inlets, and those that it sends.

::

    def load(*, triggering_asset_events, inlet_events, outlet_events):
        for asset, events in triggering_asset_events.items(): ...
        last = inlet_events[orders][-1].extra
        outlet_events[report].extra = {"rows": 12}
        outlet_events[AssetAlias("daily")].add(Asset("s3://lake/today"))

What the system has to be asked for is asked when it is first looked at. An async task uses `await events.load()` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, cast, overload

import orjson

from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.assets import (
    Asset,
    AssetAlias,
    AssetRef,
    Metadata,
    assets_among,
    extra_bytes,
    normalised,
)
from tradewind.authoring.dag_run import moment
from tradewind.model.assets import AssetEvent, AssetEventFilter, AssetEventPut
from tradewind.model.errors import AuthoringError
from tradewind.model.states import RunType

if TYPE_CHECKING:
    from pendulum import DateTime

LONGEST_KEY: Final = 250
"""Characters of a partition's key."""

Key = Asset | AssetAlias | AssetRef
MOST: Final = 10_000
"""Events of one inlet that a task sees: the newest."""


class SourceRun:
    """The run whose task sent an event."""

    def __init__(self, event: AssetEvent) -> None:
        self.dag_id = event.source_dag_id
        self.run_id = event.source_run_id
        self._start = event.source_interval_start
        self._end = event.source_interval_end

    @cached_property
    def data_interval_start(self) -> DateTime | None:
        """Where what the run was about began."""
        return None if self._start is None else moment(self._start)

    @cached_property
    def data_interval_end(self) -> DateTime | None:
        """Where it ended."""
        return None if self._end is None else moment(self._end)


class ReceivedEvent:
    """One event of an asset: `asset`, `uri`, `extra`, `timestamp`, and the task that sent it (`source_…`; None for
    an event from outside).
    """

    def __init__(self, event: AssetEvent) -> None:
        self.id = event.event_id
        self.uri = event.uri
        self.asset = Asset(event.name, event.uri)
        self._at = event.at
        self.extra: dict[str, Any] = orjson.loads(event.extra)
        self.source_dag_id = event.source_dag_id
        self.source_task_id = event.source_task_id
        self.source_run_id = event.source_run_id
        self.source_map_index = event.source_map_index
        self.source_aliases = event.aliases
        self.partition_key = event.partition_key
        self.source_dag_run = None if event.source_run_id is None else SourceRun(event)

    @property
    def dataset(self) -> Asset:
        """The asset, by its older name."""
        return self.asset

    def __repr__(self) -> str:
        return f"AssetEvent(uri={self.uri!r}, timestamp={self.timestamp.isoformat()!r}, extra={self.extra!r})"

    @cached_property
    def timestamp(self) -> DateTime:
        """When it happened. Made when it is first looked at: an async task that does not pays nothing for Pendulum."""
        return moment(self._at)


class EventList(Sequence[ReceivedEvent]):
    """Events, oldest first, asked for when they are first looked at."""

    def __init__(self, current: CurrentAttempt, where: AssetEventFilter) -> None:
        self._current = current
        self._where = where
        self._found: list[ReceivedEvent] | None = None
        self._chosen: list[Callable[[list[ReceivedEvent]], list[ReceivedEvent]]] = []

    async def load(self) -> Self:
        """Asks the system without blocking: for async tasks."""
        self._take(await self._current.services.asset_events(self._where))
        return self

    def after(self, at: datetime | str) -> EventList:
        """Only those after a moment."""
        return self._narrowed(lambda events: [e for e in events if e.timestamp > _instant(at)])

    def before(self, at: datetime | str) -> EventList:
        """Only those before a moment."""
        return self._narrowed(lambda events: [e for e in events if e.timestamp < _instant(at)])

    def ascending(self, ascending: bool = True) -> EventList:
        """Oldest first, or newest first."""
        return self._narrowed(lambda events: sorted(events, key=_when, reverse=not ascending))

    def limit(self, limit: int) -> EventList:
        """The first so many."""
        return self._narrowed(lambda events: events[:limit])

    @overload
    def __getitem__(self, index: int) -> ReceivedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ReceivedEvent]: ...
    def __getitem__(self, index: int | slice) -> ReceivedEvent | Sequence[ReceivedEvent]:
        return self._events()[index]

    def __len__(self) -> int:
        return len(self._events())

    def _narrowed(self, choose: Callable[[list[ReceivedEvent]], list[ReceivedEvent]]) -> EventList:
        narrowed = EventList(self._current, self._where)
        narrowed._chosen = [*self._chosen, choose]
        return narrowed

    def _events(self) -> list[ReceivedEvent]:
        if self._found is None:
            self._take(self._current.blocking.asset_events(self._where))
        return cast("list[ReceivedEvent]", self._found)

    def _take(self, events: Sequence[AssetEvent]) -> None:
        found = [ReceivedEvent(event) for event in events]
        for choose in self._chosen:
            found = choose(found)
        self._found = found


def _named(text: str, among: Sequence[Key]) -> Key:
    """Which of a task's assets is meant: an alias or asset of this name, else the asset of this URI."""
    for kind in (AssetAlias, Asset):
        for key in among:
            if isinstance(key, kind) and key.name == text:
                return key
    return Asset(uri=text)


class InletEvents(Mapping[Key, EventList]):
    """The events of a task's inlets, by asset, alias, reference, name, URI, or place in `inlets`."""

    def __init__(self, current: CurrentAttempt, inlets: object) -> None:
        self._current = current
        self._inlets = assets_among(inlets)
        self._made: dict[Key, EventList] = {}

    def __getitem__(self, key: Key | str | int) -> EventList:
        if isinstance(key, int):
            key = self._inlets[key]
        elif isinstance(key, str):
            key = _named(key, self._inlets)
        if key not in self._made:
            self._made[key] = EventList(self._current, _filter_of(key))
        return self._made[key]

    def for_asset(self, *, name: str | None = None, uri: str | None = None) -> EventList:
        """The events of an asset by name or URI."""
        return self[AssetRef(name=name, uri=uri)]

    def for_asset_alias(self, name: str) -> EventList:
        """The events that were sent through an alias."""
        return self[AssetAlias(name)]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._inlets)

    def __len__(self) -> int:
        return len(self._inlets)


class TriggeringEvents(Mapping[Any, list[ReceivedEvent]]):
    """The events that caused the run, by asset. Keys are assets, or URIs for `triggering_dataset_events`."""

    def __init__(self, current: CurrentAttempt, *, by_uri: bool) -> None:
        self._current = current
        self._by_uri = by_uri
        run = current.attempt.run
        where = AssetEventFilter(caused_run=run.run_id, limit=MOST)
        self._events = EventList(current, where) if run.run_type is RunType.ASSET_TRIGGERED else None
        self._grouped: dict[str, list[ReceivedEvent]] | None = None

    async def load(self) -> Self:
        """Asks the system without blocking: for async tasks."""
        if self._events is not None:
            await self._events.load()
        return self

    def __getitem__(self, key: object) -> list[ReceivedEvent]:
        groups = self._groups()
        if isinstance(key, AssetAlias):
            found = [event for events in groups.values() for event in events if key.name in event.source_aliases]
        else:
            uri = key.uri if isinstance(key, (Asset, AssetRef)) else normalised(key, "asset")
            found = groups.get(uri or "", [])
            if isinstance(key, AssetRef) and key.name is not None:
                found = [event for events in groups.values() for event in events if event.asset.name == key.name]
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Any]:
        groups = self._groups()
        return iter(groups) if self._by_uri else iter([events[0].asset for events in groups.values()])

    def __len__(self) -> int:
        return len(self._groups())

    def __repr__(self) -> str:
        return repr(dict(self._groups()))

    def _groups(self) -> dict[str, list[ReceivedEvent]]:
        if self._grouped is None:
            grouped: dict[str, list[ReceivedEvent]] = {}
            for event in self._events or ():
                grouped.setdefault(event.uri, []).append(event)
            self._grouped = grouped
        return self._grouped


class OutletEvent:
    """What a task says about the event of one outlet. Of an alias: `add` names the assets that have changed."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.extra: dict[str, Any] = {}
        self.partition_key: str | None = None
        self._partitions: dict[str, None] = {}
        self.added: list[tuple[Asset, dict[str, Any]]] = []

    @property
    def partition_keys(self) -> Sequence[str | None]:
        """The partitions that have changed, each an event; `[None]`: that of the run, or the whole."""
        return tuple(self._partitions) or (self.partition_key,)

    def add_partitions(self, keys: str | Iterable[str]) -> None:
        """These partitions of the asset have changed: an event each. The same key again changes nothing.

        Raises AuthoringError for an alias, and for a key that is empty or longer than 250 characters.
        """
        where = f"outlet_events[{self.key!r}].add_partitions"
        if isinstance(self.key, AssetAlias):
            raise AuthoringError(f"{where}: an alias has no partitions; add them to the asset behind it")
        for key in [keys] if isinstance(keys, str) else keys:
            if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_KEY:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
                raise AuthoringError(f"{where}: a key is a text of 1 to {LONGEST_KEY} characters, not {key!r}")
            self._partitions[key] = None

    def add(self, asset: Asset | str, extra: Mapping[str, Any] | None = None) -> None:
        """An asset has changed that stands behind the alias. Raises AuthoringError for an outlet that is no alias."""
        if not isinstance(self.key, AssetAlias):
            raise AuthoringError(f"outlet_events[{self.key!r}].add: only an alias takes assets; set `.extra` instead")
        added = Asset(uri=asset) if isinstance(asset, str) else asset
        self.added.append((added, dict(extra or {})))


class OutletEvents(Mapping[Key, OutletEvent]):
    """What a task says about the events of its outlets, by asset, alias, name, URI, or place in `outlets`."""

    def __init__(self, outlets: object) -> None:
        self._outlets = assets_among(outlets)
        self._made: dict[Key, OutletEvent] = {}

    def __getitem__(self, key: Key | str | int) -> OutletEvent:
        if isinstance(key, int):
            key = self._outlets[key]
        elif isinstance(key, str):
            key = _named(key, self._outlets)
        if key not in self._made:
            self._made[key] = OutletEvent(key)
        return self._made[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._outlets)

    def __len__(self) -> int:
        return len(self._outlets)

    def take(self, said: Metadata) -> None:
        """What a task has yielded."""
        extra = dict(said.extra or {})
        if said.alias is not None:
            alias = AssetAlias(said.alias) if isinstance(said.alias, str) else said.alias
            target = said.asset
            self[alias].add(target if isinstance(target, (Asset, str)) else Asset(target.name, target.uri), extra)
            return
        self[said.asset].extra.update(extra)

    def puts(self) -> tuple[AssetEventPut, ...]:
        """The events of all outlets. Raises AuthoringError for extra that is no JSON."""
        found: dict[tuple[str, bytes, str | None], AssetEventPut] = {}
        for key in self._outlets:
            said = self[key]
            if isinstance(key, Asset):
                for partition_key in said.partition_keys:
                    _note(found, _put(key, said.extra, partition_key, ()))
            elif isinstance(key, AssetAlias):
                for asset, extra in said.added:
                    _note(found, _put(asset, extra or said.extra, said.partition_key, (key.name,)))
        return tuple(found.values())


def _put(asset: Asset, extra: object, partition_key: str | None, aliases: tuple[str, ...]) -> AssetEventPut:
    where = f"outlet_events[{asset!r}].extra"
    packed, own = extra_bytes(extra, where), extra_bytes(asset.extra, where)
    return AssetEventPut(asset.uri, asset.name, packed, asset.group, own, aliases, partition_key)


def _note(found: dict[tuple[str, bytes, str | None], AssetEventPut], put: AssetEventPut) -> None:
    """One event an asset and what is said of it, whichever ways it was named."""
    place = (put.uri, put.extra, put.partition_key)
    before = found.get(place)
    aliases = put.aliases if before is None else tuple(sorted({*before.aliases, *put.aliases}))
    found[place] = put._replace(aliases=aliases)


def _filter_of(key: Key) -> AssetEventFilter:
    if isinstance(key, AssetAlias):
        return AssetEventFilter(alias=key.name, limit=MOST)
    if isinstance(key, AssetRef) and key.name is not None:
        return AssetEventFilter(name=key.name, limit=MOST)
    return AssetEventFilter(uri=key.uri, limit=MOST)


def _instant(at: datetime | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def _when(event: ReceivedEvent) -> datetime:
    return event.timestamp
