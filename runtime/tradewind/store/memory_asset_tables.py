"""The tables of assets in a memory store, and what is done to them in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from tradewind.model.assets import (
    SCHEDULE,
    AssetEvent,
    AssetEventRow,
    AssetRow,
    AssetUse,
    Consumed,
)
from tradewind.model.batch import Segment
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, RunRow


@dataclass(slots=True)
class StoredEvent:
    """A row of the events."""

    event_id: int
    at: datetime
    uri: str
    extra: bytes
    run: RunRow | None = None
    """The run whose task sent it, as it was made."""
    task_id: str | None = None
    map_index: int | None = None
    aliases: tuple[str, ...] = ()
    partition_key: str | None = None


class QueuedMark(NamedTuple):
    """That an event waits in a queue."""

    wakes: bool
    queued_at: datetime
    served: tuple[str, ...] = ()

    def is_served(self, key: str | None) -> bool:
        """Whether a run of this key has had it."""
        return key in self.served


@dataclass(slots=True)
class AssetTables:
    """Everything about assets."""

    assets: dict[str, AssetRow] = field(default_factory=dict[str, AssetRow])
    uses: dict[str, tuple[AssetUse, ...]] = field(default_factory=dict[str, tuple[AssetUse, ...]])
    links: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])
    """(URI, alias)."""
    events: dict[int, StoredEvent] = field(default_factory=dict[int, StoredEvent])
    unrouted: dict[int, StoredEvent] = field(default_factory=dict[int, StoredEvent])
    keys: dict[str, int] = field(default_factory=dict[str, int])
    queues: dict[str, dict[int, QueuedMark]] = field(default_factory=dict[str, dict[int, "QueuedMark"]])
    causes: dict[RunId, tuple[int, ...]] = field(default_factory=dict[RunId, tuple[int, ...]])
    last_id: int = 0

    def next_id(self) -> int:
        """A number never given before."""
        self.last_id += 1
        return self.last_id

    def linked(self, uri: str) -> tuple[str, ...]:
        """The aliases that an asset was sent through."""
        return tuple(sorted(alias for known, alias in self.links if known == uri))

    def event(self, number: int) -> AssetEvent:
        """An event as it is read."""
        stored = self.events[number]
        asset, run = self.assets[stored.uri], stored.run
        return AssetEvent(
            event_id=number,
            asset_id=asset.asset_id,
            uri=stored.uri,
            name=asset.name,
            at=stored.at,
            extra=stored.extra,
            source_dag_id=None if run is None else run.dag_id,
            source_task_id=stored.task_id,
            source_run_id=None if run is None else run.dag_run_id,
            source_map_index=stored.map_index,
            source_interval_start=None if run is None else run.interval_start,
            source_interval_end=None if run is None else run.interval_end,
            aliases=stored.aliases,
            partition_key=stored.partition_key,
            source_partition_date=None if run is None else run.partition_date,
        )

    def add_event(self, stored: StoredEvent) -> None:
        """A new event, not routed yet."""
        self.events[stored.event_id] = self.unrouted[stored.event_id] = stored

    def define(self, use: AssetUse, extra: bytes, now: datetime) -> None:
        """An asset is called this from now on."""
        before = self.assets.get(use.ref)
        if before is None:
            self.assets[use.ref] = AssetRow(self.next_id(), use.ref, use.name, use.group, extra, now, now)
        elif (before.name, before.group, before.extra) != (use.name, use.group, extra):
            self.assets[use.ref] = replace(before, name=use.name, group=use.group, extra=extra, updated_at=now)

    def take_in(self, segment: Segment, run: RunRow, now: datetime) -> None:
        """The asset events of a segment."""
        for row in segment.asset_events:
            self._take_in(row, run, now)

    def _take_in(self, row: AssetEventRow, run: RunRow, now: datetime) -> None:
        put = row.put
        if put.uri not in self.assets:
            self.define(AssetUse("", "asset", put.uri, name=put.name, group=put.group), put.asset_extra, now)
        for alias in put.aliases:
            self.links[put.uri, alias] = None
        stored = StoredEvent(self.next_id(), row.at, put.uri, put.extra, run, row.task_id, row.map_index)
        stored.aliases, stored.partition_key = put.aliases, put.partition_key
        self.add_event(stored)

    def route(
        self, limit: int, dags: Mapping[str, DagRow], clock: Callable[[], datetime]
    ) -> tuple[int, dict[str, int]]:
        """Addresses unrouted events. Returns how many, and (DAG id to newest event) of those that get mail."""
        taken = [self.unrouted[number] for number in sorted(self.unrouted)][:limit]
        woken: dict[str, int] = {}
        for event in taken:
            del self.unrouted[event.event_id]
            for dag_id in self._addressees(event, dags):
                wakes = not dags[dag_id].is_paused
                self.queues.setdefault(dag_id, {})[event.event_id] = QueuedMark(wakes, clock())
                if wakes:
                    woken[dag_id] = event.event_id
        return len(taken), woken

    def has_queued(self, run: RunRow, events: Consumed) -> bool:
        """Whether all of them are in the queue of the run's DAG, and no run of its key has had those that stay."""
        queue = self.queues.get(run.dag_id, {})
        if any(queue[event_id].is_served(run.run_key) for event_id in events.kept if event_id in queue):
            return False
        return queue.keys() >= {*events.taken, *events.kept}

    def consume(self, run: RunRow, events: Consumed) -> None:
        """A run takes these off its DAG's queue, or has had those that stay there."""
        queue = self.queues[run.dag_id]
        for event_id in events.taken:
            del queue[event_id]
        for event_id in events.kept:
            mark = queue[event_id]
            queue[event_id] = mark._replace(served=(*mark.served, str(run.run_key)))
        self.causes[run.run_id] = (*events.taken, *events.kept)

    def _addressees(self, event: StoredEvent, dags: Mapping[str, DagRow]) -> Iterator[str]:
        names = {("asset", event.uri), ("uri", event.uri), ("name", self.assets[event.uri].name)}
        names |= {("alias", alias) for alias in self.linked(event.uri)}
        for dag_id, uses in sorted(self.uses.items()):
            if dags[dag_id].is_active and any(u.role == SCHEDULE and (u.kind, u.ref) in names for u in uses):
                yield dag_id
