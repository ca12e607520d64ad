"""The store's methods for assets, a part of `ports.Store`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tradewind.model.assets import (
    AssetEvent,
    AssetEventFilter,
    AssetRow,
    AssetUse,
    ExternalEvent,
    QueuedEvent,
    QueueHead,
    QueueSummary,
)
from tradewind.model.rows import RunRow


class AssetReads(Protocol):
    """What views read about assets."""

    async def asset_list(self) -> list[AssetRow]:
        """Every asset, with the DAGs in force that name it, by number."""
        ...

    async def asset_get(self, uri: str) -> AssetRow | None:
        """One asset, or None."""
        ...

    async def asset_event_list(self, where: AssetEventFilter) -> tuple[list[AssetEvent], int]:
        """A page of events and how many there are in all."""
        ...

    async def asset_event_runs(self, event_ids: Sequence[int]) -> list[tuple[int, RunRow]]:
        """(event, run) for the runs that these events caused."""
        ...

    async def asset_uses(self, uri: str) -> list[tuple[str, AssetUse]]:
        """(DAG id, use) of the DAGs in force that define this asset, by DAG id."""
        ...

    async def asset_queue_heads(self, dag_id: str | None = None, uri: str | None = None) -> list[QueueHead]:
        """Of which assets events wait to cause runs (of one DAG, of one asset): by DAG, what waits longest first."""
        ...

    async def asset_queue_list(
        self, dag_id: str | None = None, limit: int | None = None
    ) -> list[tuple[str, QueuedEvent]]:
        """(DAG id, event) of the events that wait to cause runs, oldest first; the first `limit`."""
        ...

    async def asset_queue_summary(self, dag_id: str) -> QueueSummary:
        """What waits for the DAG, without the events themselves."""
        ...


class AssetWrites(Protocol):
    """What people change about assets."""

    async def asset_event_add(self, event: ExternalEvent) -> tuple[AssetEvent, bool]:
        """Takes in an event from outside and routes it, in one transaction. False: its key is known, and the
        event of then is returned. Raises NotFoundError for an asset that nobody has named.
        """
        ...

    async def asset_queue_drop(self, dag_id: str, event_ids: Sequence[int]) -> int:
        """Takes events off a DAG's queue: they cause no run any more. Returns how many there were."""
        ...

    async def asset_queue_clear(self, dag_id: str | None = None, uri: str | None = None) -> int:
        """As `asset_queue_drop` for all that waits, for one DAG or of one asset."""
        ...


class AssetStore(AssetReads, AssetWrites, Protocol):
    """What the runtime asks and writes about assets."""

    async def asset_route(self, limit: int = 500) -> int:
        """Addresses events that are not yet: each goes once to every DAG in force that is scheduled on it, and
        DAGs that are not paused get mail. In one transaction; any runtime may do it. Returns how many it took.
        """
        ...
