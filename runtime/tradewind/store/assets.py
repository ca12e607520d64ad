"""Assets in PostgreSQL: what DAGs say of them, events, routing, queues."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tradewind.failpoints import failpoint
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
from tradewind.model.errors import NotFoundError
from tradewind.model.rows import RunRow
from tradewind.store.bounds import known_assets
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.connection import Line, Row, Session
from tradewind.store.decode import run_of
from tradewind.store.lines import Lines
from tradewind.store.publication import Publication
from tradewind.store.statements import fragments, statement

_FILTER = (
    "uri", "name", "alias", "asset_id", "source_dag_id", "source_task_id", "source_run_id", "source_map_index",
    "caused_run",
)  # fmt: skip


class Assets(Lines):
    """`AssetStore` over the readers' lines: none of it is on the way of a batch."""

    async def asset_route(self, limit: int = 500) -> int:
        """As `AssetStore.asset_route`."""
        failpoint("store.asset_route.before_commit")
        async with self._readers.line() as line, line.session() as session:
            taken, mine = await self._route(line, session, limit)
        failpoint("store.asset_route.after_commit")
        if mine:
            self._life.on_mail()
        return taken

    async def asset_event_add(self, event: ExternalEvent) -> tuple[AssetEvent, bool]:
        """As `AssetStore.asset_event_add`."""
        key = None if event.key is None else text_bytes(event.key)
        given = {
            "at": event.at,
            "uri": event.uri,
            "extra": event.extra,
            "key": key,
            "partition": None if event.partition_key is None else text_bytes(event.partition_key),
        }
        async with self._readers.line() as line, line.session() as session, session.transaction():
            row = await _prepared(line, session, "asset_event_insert", **given)
            fresh, mine = row is not None, False
            if row is None and key is not None:
                row = await _prepared(line, session, "asset_event_known", key=key)
            if row is None:
                raise NotFoundError(
                    f"there is no asset {event.uri!r}: name it in a DAG's schedule, inlets or outlets first"
                )
            if fresh:
                _, mine = await self._route(line, session, 500)
            found = await _prepared(line, session, "asset_event_get", event_id=row["event_id"])
            assert found is not None, "the row is locked or committed"
        if mine:  # after the commit: whoever reads mail before it would find none, and sleep
            self._life.on_mail()
        return event_of(found), fresh

    async def asset_queue_drop(self, dag_id: str, event_ids: Sequence[int]) -> int:
        """As `AssetStore.asset_queue_drop`."""
        query = statement("asset", "asset_queue_drop")
        return len(await self._readers.fetch(query, *query.values({"dag_id": dag_id, "event_ids": list(event_ids)})))

    async def asset_queue_clear(self, dag_id: str | None = None, uri: str | None = None) -> int:
        """As `AssetStore.asset_queue_clear`."""
        query = statement("asset", "asset_queue_clear")
        row = await self._readers.fetchrow(query, *query.values({"dag_id": dag_id, "uri": uri}))
        return 0 if row is None else int(row["gone"])

    async def asset_list(self) -> list[AssetRow]:
        """As `AssetReads.asset_list`."""
        return await self._assets(None)

    async def asset_get(self, uri: str) -> AssetRow | None:
        """As `AssetReads.asset_get`."""
        found = await self._assets(uri)
        return found[0] if found else None

    async def asset_event_list(self, where: AssetEventFilter) -> tuple[list[AssetEvent], int]:
        """As `AssetReads.asset_event_list`."""
        given: dict[str, object] = {name: getattr(where, name) for name in _FILTER}
        given |= {"limit": where.limit, "offset": where.offset}
        page = statement("asset", "asset_event_list", direction="DESC" if where.descending else "ASC")
        count = statement("asset", "asset_event_count")
        rows, total = await self._readers.page(page, count, given)
        return [event_of(row) for row in rows], total

    async def asset_event_runs(self, event_ids: Sequence[int]) -> list[tuple[int, RunRow]]:
        """As `AssetReads.asset_event_runs`."""
        query = statement("asset", "asset_event_runs", run_columns=fragments("run")["run_columns"])
        rows = await self._readers.fetch(query, *query.values({"event_ids": list(event_ids)}))
        return [(row["event_id"], run_of(row)) for row in rows]

    async def asset_uses(self, uri: str) -> list[tuple[str, AssetUse]]:
        """As `AssetReads.asset_uses`."""
        rows = await self._readers.fetch(statement("asset", "asset_uses"), uri)
        return [(row["dag_id"], _use_of(row)) for row in rows]

    async def asset_queue_summary(self, dag_id: str) -> QueueSummary:
        """As `AssetReads.asset_queue_summary`."""
        row = await self._readers.fetchrow(statement("asset", "asset_queue_summary"), dag_id)
        return QueueSummary() if row is None else QueueSummary(*row)

    async def asset_queue_heads(self, dag_id: str | None = None, uri: str | None = None) -> list[QueueHead]:
        """As `AssetReads.asset_queue_heads`."""
        query = statement("asset", "asset_queue_heads")
        return [
            QueueHead(*row) for row in await self._readers.fetch(query, *query.values({"dag_id": dag_id, "uri": uri}))
        ]

    async def asset_queue_list(
        self, dag_id: str | None = None, limit: int | None = None
    ) -> list[tuple[str, QueuedEvent]]:
        """As `AssetReads.asset_queue_list`."""
        query = statement("asset", "asset_queue_list" if dag_id is None else "asset_queue_of")
        rows = await self._readers.fetch(query, *query.values({"dag_id": dag_id, "limit": limit}))
        return [(row["dag_id"], _queued_of(row)) for row in rows]

    async def _assets(self, uri: str | None) -> list[AssetRow]:
        listing, using = statement("asset", "asset_list"), statement("asset", "asset_use_list")
        async with self._readers.line() as line:
            rows = await line.fetch(listing, *listing.values({"uri": uri}))
            uses = [(row["dag_id"], _use_of(row)) for row in await line.fetch(using)]
        assets = [
            AssetRow(number, uri, name, group, extra, created, updated, (), tuple(aliases))
            for number, uri, name, group, extra, created, updated, aliases in rows
        ]
        return known_assets(assets, uses)

    async def _route(self, line: Line, session: Session, limit: int) -> tuple[int, bool]:
        """How many events it took, and whether DAGs of this runtime have mail now."""
        own = None if self._lease is None else self._lease.runtime_id
        given = {"limit": limit, "sender": self._sender, "own": own, "channel": self._mail_channel}
        row = await _prepared(line, session, "asset_route", **given)
        return (0, False) if row is None else (int(row["taken"]), bool(row["mine"]))


async def write_uses(session: Session, plan: Publication) -> None:
    """Has the changed DAGs of a publication say of assets what their new versions say."""
    changed = set(plan.changed)
    specs = [item.dag.spec for item in plan.dags if item.dag.spec.dag_id in changed]
    if not specs:
        return
    await _row(session, "asset_use_delete", dag_ids=[spec.dag_id for spec in specs])
    uses = [(spec.dag_id, use) for spec in specs for use in spec.assets]
    if not uses:
        return
    await _row(session, "asset_use_insert", **_use_columns(uses))
    defined = [use for _, use in uses if use.kind == "asset"]
    if defined:
        await _row(
            session,
            "asset_define",
            uri=[use.ref for use in defined],
            name=[use.name for use in defined],
            group=[use.group for use in defined],
            extra=[orjson.dumps(dict(use.extra)) for use in defined],
        )
    aliases = [use for _, use in uses if use.kind == "alias"]
    if aliases:
        names, groups = [use.ref for use in aliases], [use.group for use in aliases]
        await _row(session, "asset_alias_define", name=names, group=groups)


def _use_columns(uses: Sequence[tuple[str, AssetUse]]) -> dict[str, list[object]]:
    return {
        "dag": [dag_id for dag_id, _ in uses],
        "role": [use.role for _, use in uses],
        "kind": [use.kind for _, use in uses],
        "ref": [use.ref for _, use in uses],
        "task": [use.task_id for _, use in uses],
        "name": [use.name for _, use in uses],
        "group": [use.group for _, use in uses],
        "extra": [orjson.dumps(dict(use.extra)) for _, use in uses],
    }


def event_of(row: Row) -> AssetEvent:
    """An event from the columns of `asset_event_columns`, wherever they stand in the row."""
    partition = row["partition_key"]
    return AssetEvent(
        event_id=row["event_id"],
        asset_id=row["asset_id"],
        uri=row["uri"],
        name=row["name"],
        at=row["at"],
        extra=row["extra"],
        source_dag_id=row["source_dag_id"],
        source_task_id=row["source_task_id"],
        source_run_id=row["dag_run_id"],
        source_map_index=row["source_map_index"],
        source_interval_start=row["interval_start"],
        source_interval_end=row["interval_end"],
        aliases=tuple(row["aliases"]),
        partition_key=None if partition is None else text_of(partition),
        source_partition_date=row["partition_date"],
    )


def _queued_of(row: Row) -> QueuedEvent:
    served = tuple(text_of(key) for key in row["served"])
    return QueuedEvent(event_of(row), row["wakes"], row["queued_at"], tuple(row["linked"]), served)


def _use_of(row: Row) -> AssetUse:
    extra = orjson.loads(row["extra"])
    return AssetUse(row["role"], row["kind"], row["ref"], row["task_id"], row["name"], row["group_name"], extra)


async def _prepared(line: Line, session: Session, name: str, /, **given: object) -> Row | None:
    """As `_row`, without having the server parse it again: for what is on the way of an event."""
    query = statement("asset", name)
    return await (await line.prepared(session, query)).fetchrow(*query.values(given))


async def _row(session: Session, name: str, /, **given: object) -> Row | None:
    query = statement("asset", name)
    return await session.fetchrow(query.text, *query.values(given))
