"""A trigger for events of assets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypedDict, Unpack

import orjson

from tradewind.authoring.access import current_attempt
from tradewind.authoring.assets import Asset, AssetAlias
from tradewind.authoring.instants import instant
from tradewind.authoring.triggers import BaseTrigger, TriggerEvent
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.errors import AuthoringError
from tradewind.standard.run_triggers import looks

AT_LEAST_ONE: Final = -1


class AssetEventSettings(TypedDict, total=False):
    """Which events `AssetEventTrigger` waits for."""

    name: str | None
    uri: str | None
    alias_name: str | None
    after: datetime | str | None
    before: datetime | str | None
    ascending: bool
    limit: int | None
    partition_key: str | None
    extra: Mapping[str, Any] | None
    expected_count: int
    poke_interval: float


class AssetEventTrigger(BaseTrigger, kind="tradewind.asset"):
    """Fires once there are `expected_count` events of an asset (-1: at least one) that fit.

    The asset is named by `name`, `uri` or `alias_name`; `after` and `before` bound the events' times, `partition_key`
    and `extra` (entries that have to be among an event's) choose among them, `limit` is how many are looked at. The
    payload is `{"status": "success", "events": […]}`. `next_of(asset)` is for the next event from now on.
    """

    def __init__(self, **which: Unpack[AssetEventSettings]) -> None:
        super().__init__()
        unknown = which.keys() - AssetEventSettings.__annotations__.keys()
        if unknown:
            raise TypeError(f"AssetEventTrigger has no argument {', '.join(map(repr, sorted(unknown)))}")
        self.name, self.uri, self.alias_name = which.get("name"), which.get("uri"), which.get("alias_name")
        if self.name is None and self.uri is None and self.alias_name is None:
            raise AuthoringError("AssetEventTrigger: which asset? Give name, uri or alias_name")
        self.after = _at(which.get("after"), "after")
        self.before = _at(which.get("before"), "before")
        self.ascending = which.get("ascending", True)
        self.limit = which.get("limit")
        self.partition_key = which.get("partition_key")
        extra = which.get("extra")
        self.extra = dict(extra) if extra is not None else None
        self.expected_count = which.get("expected_count", AT_LEAST_ONE)
        self.poke_interval = which.get("poke_interval", 60.0)

    @classmethod
    def next_of(cls, asset: Asset | AssetAlias) -> AssetEventTrigger:
        """For the next event of this asset from now on."""
        now = datetime.now(UTC)
        if isinstance(asset, AssetAlias):
            return cls(alias_name=asset.name, after=now)
        return cls(name=asset.name, uri=asset.uri, after=now)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        said = (
            *("name", "uri", "alias_name", "after", "before", "ascending", "limit", "partition_key", "extra"),
            *("expected_count", "poke_interval"),
        )
        path = "airflow.providers.standard.triggers.asset.AssetEventTrigger"
        return path, {name: getattr(self, name) for name in said}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the events."""
        services = current_attempt.get().services
        where = AssetEventFilter(uri=self.uri, name=self.name, alias=self.alias_name, limit=self.limit or 1_000)
        async for _ in looks(services, "assets", "", sweep=self.poke_interval):
            events = [event for event in await services.asset_events(where) if self._fits(event)]
            wanted = self.expected_count
            if len(events) == wanted or (wanted == AT_LEAST_ONE and events):
                plain = [told(event) for event in (events if self.ascending else reversed(events))]
                yield TriggerEvent({"status": "success", "events": plain})
                return

    def _fits(self, event: AssetEvent) -> bool:
        if self.after is not None and event.at < self.after:
            return False
        if self.before is not None and event.at > self.before:
            return False
        if self.partition_key is not None and event.partition_key != self.partition_key:
            return False
        if not self.extra:
            return True
        extra: Any = orjson.loads(event.extra)
        return all(extra.get(key) == value for key, value in self.extra.items())


def _at(given: datetime | str | None, name: str) -> datetime | None:
    return None if given is None else instant(given, f"AssetEventTrigger: {name}").astimezone(UTC)


def told(event: AssetEvent) -> dict[str, Any]:
    """An event as a dict of plain values."""
    return {
        "id": event.event_id,
        "asset": {"name": event.name, "uri": event.uri},
        "timestamp": event.at,
        "extra": orjson.loads(event.extra),
        "source_dag_id": event.source_dag_id,
        "source_task_id": event.source_task_id,
        "source_run_id": event.source_run_id,
        "source_map_index": event.source_map_index,
        "partition_key": event.partition_key,
    }
