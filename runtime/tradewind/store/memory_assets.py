"""Assets of a memory store: the same promises as `store.assets`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from tradewind.failpoints import failpoint
from tradewind.model.assets import (
    SCHEDULE,
    AssetEvent,
    AssetEventFilter,
    AssetRow,
    AssetUse,
    ExternalEvent,
    QueuedEvent,
    QueueHead,
    QueueSummary,
)
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import MailRow, RunRow
from tradewind.model.states import RunType
from tradewind.store.bounds import known_assets
from tradewind.store.memory_asset_tables import StoredEvent
from tradewind.store.memory_process import MemoryProcess
from tradewind.store.memory_tables import MemoryDatabase, StoredMail
from tradewind.store.publication import Publication

_EQUAL = ("uri", "name", "asset_id", "source_dag_id", "source_task_id", "source_run_id", "source_map_index")


class MemoryAssets(MemoryProcess):
    """`AssetStore` in memory."""

    async def asset_route(self, limit: int = 500) -> int:
        """As `AssetStore.asset_route`."""
        failpoint("store.asset_route.before_commit")
        await self._call("asset_route")
        taken, woken = self.database.assets.route(limit, self.database.dags, self.database.clock)
        for dag_id, event_id in woken.items():
            self._mail_for_assets(dag_id, event_id)
        await self._called("asset_route")
        failpoint("store.asset_route.after_commit")
        for dag_id in woken:
            owner = self.database.dags[dag_id].owner
            if owner is not None and owner in self.database.watchers:
                self.database.watchers[owner]()
        return taken

    async def asset_event_add(self, event: ExternalEvent) -> tuple[AssetEvent, bool]:
        """As `AssetStore.asset_event_add`."""
        self._live()
        tables = self.database.assets
        known = None if event.key is None else tables.keys.get(event.key)
        if known is not None:
            return tables.event(known), False
        if event.uri not in tables.assets:
            raise NotFoundError(
                f"there is no asset {event.uri!r}: name it in a DAG's schedule, inlets or outlets first"
            )
        number = tables.next_id()
        stored = StoredEvent(number, event.at or self.database.clock(), event.uri, event.extra)
        stored.partition_key = event.partition_key
        tables.add_event(stored)
        if event.key is not None:
            tables.keys[event.key] = number
        await self.asset_route()
        return tables.event(number), True

    async def asset_queue_drop(self, dag_id: str, event_ids: Sequence[int]) -> int:
        """As `AssetStore.asset_queue_drop`."""
        await self._call("asset_queue_drop")
        queue = self.database.assets.queues.get(dag_id, {})
        return sum(queue.pop(event_id, None) is not None for event_id in event_ids)

    async def asset_queue_clear(self, dag_id: str | None = None, uri: str | None = None) -> int:
        """As `AssetStore.asset_queue_clear`."""
        waiting = [one for one in await self.asset_queue_list(dag_id) if uri in (None, one[1].event.uri)]
        return sum([await self.asset_queue_drop(name, [one.event.event_id]) for name, one in waiting])

    async def asset_list(self) -> list[AssetRow]:
        """As `AssetReads.asset_list`."""
        self._live()
        return self._assets(None)

    async def asset_get(self, uri: str) -> AssetRow | None:
        """As `AssetReads.asset_get`."""
        self._live()
        found = self._assets(uri)
        return found[0] if found else None

    async def asset_event_list(self, where: AssetEventFilter) -> tuple[list[AssetEvent], int]:
        """As `AssetReads.asset_event_list`."""
        self._live()
        tables = self.database.assets
        caused = None if where.caused_run is None else set(tables.causes.get(RunId(where.caused_run), ()))
        wanted = [(name, getattr(where, name)) for name in _EQUAL if getattr(where, name) is not None]
        events = [tables.event(number) for number in sorted(tables.events)]
        found = [
            event
            for event in events
            if (caused is None or event.event_id in caused)
            and (where.alias is None or where.alias in event.aliases)
            and all(getattr(event, name) == value for name, value in wanted)
        ]
        if where.descending:
            found.reverse()
        return found[where.offset : where.offset + where.limit], len(found)

    async def asset_event_runs(self, event_ids: Sequence[int]) -> list[tuple[int, RunRow]]:
        """As `AssetReads.asset_event_runs`."""
        self._live()
        causes, runs = self.database.assets.causes, self.database.runs
        wanted = set(event_ids)
        return sorted(
            (
                (event_id, runs[run_id].run())
                for run_id, ids in causes.items()
                for event_id in ids
                if event_id in wanted
            ),
            key=lambda pair: (pair[0], pair[1].run_id),
        )

    async def asset_uses(self, uri: str) -> list[tuple[str, AssetUse]]:
        """As `AssetReads.asset_uses`."""
        self._live()
        return [
            (dag_id, use)
            for dag_id, uses in sorted(self.database.assets.uses.items())
            if self.database.dags[dag_id].is_active
            for use in uses
            if (use.kind, use.role, use.ref) == ("asset", SCHEDULE, uri)
        ]

    async def asset_queue_summary(self, dag_id: str) -> QueueSummary:
        """As `AssetReads.asset_queue_summary`."""
        self._live()
        times = [mark.queued_at for mark in self.database.assets.queues.get(dag_id, {}).values()]
        runs = (tables.run() for tables in self.database.runs.values())
        caused = (run for run in runs if run.dag_id == dag_id and run.run_type is RunType.ASSET_TRIGGERED)
        last_at = max((run.queued_at for run in caused), default=None)
        return QueueSummary(len(times), min(times, default=None), max(times, default=None), last_at)

    async def asset_queue_heads(self, dag_id: str | None = None, uri: str | None = None) -> list[QueueHead]:
        """As `AssetReads.asset_queue_heads`."""
        heads: dict[tuple[str, str], QueueHead] = {}
        for name, one in await self.asset_queue_list(dag_id):
            if uri in (None, one.event.uri):
                heads.setdefault((name, one.event.uri), QueueHead(name, one.event.uri, one.queued_at))
        return list(heads.values())

    async def asset_queue_list(
        self, dag_id: str | None = None, limit: int | None = None
    ) -> list[tuple[str, QueuedEvent]]:
        """As `AssetReads.asset_queue_list`."""
        self._live()
        tables = self.database.assets
        return [
            (name, QueuedEvent(event, mark.wakes, mark.queued_at, tables.linked(event.uri), mark.served))
            for name, queue in sorted(tables.queues.items())
            if dag_id in (None, name)
            for event, mark in ((tables.event(number), mark) for number, mark in sorted(queue.items()))
        ][:limit]

    def _assets(self, uri: str | None) -> list[AssetRow]:
        tables = self.database.assets
        rows = [
            replace(row, aliases=tables.linked(row.uri))
            for row in sorted(tables.assets.values(), key=_number)
            if uri in (None, row.uri)
        ]
        active = [dag_id for dag_id in sorted(tables.uses) if self.database.dags[dag_id].is_active]
        return known_assets(rows, [(dag_id, use) for dag_id in active for use in _in_order(tables.uses[dag_id])])

    def _mail_for_assets(self, dag_id: str, event_id: int) -> None:
        db = self.database
        key = f"assets:{event_id}:{dag_id}"
        mail_id = db.mail_keys[key] = db.next_id()
        db.inbox[mail_id] = StoredMail(MailRow(mail_id, dag_id, "assets", b"{}", key), self._reply_arrived)


def publish_uses(db: MemoryDatabase, plan: Publication) -> None:
    """Has the changed DAGs of a publication say of assets what their new versions say."""
    changed = set(plan.changed)
    for item in plan.dags:
        spec = item.dag.spec
        if spec.dag_id not in changed:
            continue
        db.assets.uses[spec.dag_id] = spec.assets
        for use in spec.assets:
            if use.kind == "asset":
                db.assets.define(use, orjson.dumps(dict(use.extra)), db.clock())


def _in_order(uses: Sequence[AssetUse]) -> list[AssetUse]:
    return sorted(uses, key=lambda use: (use.role, use.task_id, use.kind, use.ref))


def _number(row: AssetRow) -> int:
    return row.asset_id
