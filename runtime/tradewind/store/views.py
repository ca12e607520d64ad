"""What views read: lists, single rows, values. Over the readers, never in the way of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from tradewind.instance_ports import FoundWait, WaitFilter, XComFilter
from tradewind.model.durable import Step
from tradewind.model.errors import XComError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.rows import (
    AttemptRow,
    DagRow,
    DagVersionLine,
    DagVersionRow,
    HistoryEntry,
    ImportErrorRow,
    InstanceRow,
    RunRow,
    XComEntry,
)
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.store.bounds import run_order, visible
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.connection import Row
from tradewind.store.decode import (
    attempt_of,
    dag_of,
    history_of,
    import_error_of,
    instance_of,
    run_of,
    version_line_of,
    version_of,
    xcom_of,
)
from tradewind.store.lines import Lines
from tradewind.store.statements import statement
from tradewind.store.waits import step_of, wait_of

_RUN_CONDITIONS: Final = (
    "dag_id", "states", "logical_from", "logical_to", "dag_ids", "dag_run_ids", "types", "limit", "offset",
)  # fmt: skip
_XCOM_CONDITIONS: Final = ("run_id", "task_id", "map_index", "limit", "offset")
_WAIT_CONDITIONS: Final = ("dag_id", "run_id", "task_id", "map_index", "answered", "limit", "offset")


class Views(Lines):
    """`StoreReads` without the named things."""

    async def dag_list(self) -> list[DagRow]:
        """As `StoreReads.dag_list`."""
        return [dag_of(row) for row in await self._dag_rows("dag_list")]

    async def dag_get(self, dag_id: str) -> DagRow | None:
        """As `StoreReads.dag_get`."""
        rows = await self._dag_rows("dag_get", dag_id=dag_id)
        return dag_of(rows[0]) if rows else None

    async def dag_version_get(self, dag_id: str, version_hash: str | None = None) -> DagVersionRow | None:
        """As `StoreReads.dag_version_get`."""
        rows = await self._dag_rows("dag_version_get", dag_id=dag_id, version_hash=version_hash)
        return await version_of(rows[0]) if rows else None

    async def dag_version_list(self, dag_id: str, limit: int, offset: int = 0) -> tuple[list[DagVersionLine], int]:
        """As `StoreReads.dag_version_list`."""
        page, count = statement("dag", "dag_version_list"), statement("dag", "dag_version_count")
        rows, total = await self._readers.page(page, count, {"dag_id": dag_id, "limit": limit, "offset": offset})
        return [version_line_of(row) for row in rows], total

    async def dag_code_get(self, dag_id: str, version_hash: str | None = None) -> str | None:
        """As `StoreReads.dag_code_get`."""
        rows = await self._dag_rows("dag_code_get", dag_id=dag_id, version_hash=version_hash)
        return text_of(rows[0]["code"]) if rows else None

    async def import_error_list(self) -> list[ImportErrorRow]:
        """As `StoreReads.import_error_list`."""
        return [import_error_of(row) for row in await self._dag_rows("import_error_list")]

    async def run_list(self, where: RunFilter) -> tuple[list[RunRow], int]:
        """As `StoreReads.run_list`. Runs without the ordering value come last."""
        column, descends = run_order(where.order_by)
        way = "DESC" if descends else "ASC"
        order = f"r.{column} {way} NULLS LAST, r.run_id {way}"
        given = {name: getattr(where, name) for name in _RUN_CONDITIONS}
        for name, bounds in (("started", where.started), ("ended", where.ended)):
            given |= {f"{name}_from": bounds[0], f"{name}_to": bounds[1]}
        page = statement("run", "run_list", order=order)
        count = statement("run", "run_count")
        rows, total = await self._readers.page(page, count, given)
        return [run_of(row) for row in rows], total

    async def run_get(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """As `StoreReads.run_get`."""
        rows = await self._run_rows("run_get", dag_id=dag_id, dag_run_id=dag_run_id)
        return run_of(rows[0]) if rows else None

    async def run_by_id(self, run_id: RunId) -> RunRow | None:
        """As `StoreReads.run_by_id`."""
        rows = await self._run_rows("run_by_id", run_id=run_id)
        return run_of(rows[0]) if rows else None

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """As `StoreReads.run_before`."""
        rows = await self._run_rows("run_before", dag_id=dag_id, before=logical_date, state=state)
        return run_of(rows[0]) if rows else None

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """As `StoreReads.instance_list`."""
        return visible(instance_of(row) for row in await self._run_rows("instance_list", run_id=run_id))

    async def instance_get(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> InstanceRow | None:
        """As `StoreReads.instance_get`."""
        rows = await self._run_rows("instance_get", run_id=run_id, task_id=task_id, map_index=map_index)
        return instance_of(rows[0]) if rows else None

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """As `StoreReads.task_success_before`."""
        rows = await self._run_rows("instance_success_before", dag_id=dag_id, task_id=task_id, before=logical_date)
        if not rows:
            return None
        run_id, map_index = rows[0]
        run = await self.run_by_id(run_id)
        instance = await self.instance_get(run_id, task_id, map_index)
        return None if run is None or instance is None else (run, instance)

    async def attempt_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None
    ) -> list[AttemptRow]:
        """As `StoreReads.attempt_list`."""
        rows = await self._run_rows("attempt_list", run_id=run_id, task_id=task_id, map_index=map_index)
        return [attempt_of(row) for row in rows]

    async def history_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[HistoryEntry]:
        """As `StoreReads.history_list`."""
        rows = await self._run_rows("history_list", run_id=run_id, task_id=task_id, map_index=map_index)
        return [history_of(row) for row in rows]

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """As `StoreReads.xcom_get`."""
        rows = await self._run_rows(
            "xcom_get", run_id=run_id, task_id=task_id, key=text_bytes(key), map_index=map_index
        )
        return await self._value(rows[0]) if rows else None

    async def step_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[Step]:
        """As `StoreReads.step_list`."""
        rows = await self._run_rows("step_list", run_id=run_id, task_id=task_id, map_index=map_index)
        return [step_of(row) for row in rows]

    async def wait_page(self, where: WaitFilter) -> tuple[list[FoundWait], int]:
        """As `StoreReads.wait_page`."""
        given = {name: getattr(where, name) for name in _WAIT_CONDITIONS}
        given["kinds"] = [text_bytes(kind) for kind in where.kinds]
        page, count = statement("run", "wait_page"), statement("run", "wait_count")
        rows, total = await self._readers.page(page, count, given)
        found = await asyncio.to_thread(  # a page of sealed arguments takes a while to open
            lambda: [
                FoundWait(row["dag_id"], row["dag_run_id"], row["run_id"], wait_of(row, self._vault)) for row in rows
            ]
        )
        return found, total

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """As `StoreReads.xcom_indexes`."""
        rows = await self._run_rows("xcom_indexes", run_id=run_id, task_id=task_id, key=text_bytes(key))
        return [row["map_index"] for row in rows]

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """As `StoreReads.xcom_many`."""
        wanted = list(map_indexes)
        rows = await self._run_rows(
            "xcom_many", run_id=run_id, task_id=task_id, key=text_bytes(key), map_indexes=wanted
        )
        values = await self._values(rows)
        found = {row["map_index"]: value for row, value in zip(rows, values, strict=True)}
        return [found.get(index) for index in wanted]

    async def xcom_page(self, where: XComFilter) -> tuple[list[XComEntry], int]:
        """As `StoreReads.xcom_page`."""
        given = {name: getattr(where, name) for name in _XCOM_CONDITIONS}
        given["key"] = None if where.key is None else text_bytes(where.key)
        page, count = statement("run", "xcom_page"), statement("run", "xcom_count")
        rows, total = await self._readers.page(page, count, given)
        return [xcom_of(row, EncodedValue(row["codec"], b"")) for row in rows], total

    async def xcom_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None, *, values: bool = True
    ) -> list[XComEntry]:
        """As `StoreReads.xcom_list`."""
        rows = await self._run_rows(
            "xcom_list", run_id=run_id, task_id=task_id, map_index=map_index, with_values=values
        )
        found = await self._values(rows, excuse=True)
        return [xcom_of(row, value) for row, value in zip(rows, found, strict=True)]

    async def _values(self, rows: Sequence[Row], *, excuse: bool = False) -> list[EncodedValue]:
        """As `_value`. Only those that lie outside are fetched side by side: of all others there may be 100,000."""
        outside = [row for row in rows if _is_outside(row)]
        fetched = iter(await asyncio.gather(*(self._value(row, excuse=excuse) for row in outside)))
        return [next(fetched) if _is_outside(row) else await self._value(row) for row in rows]

    async def _value(self, row: Row, *, excuse: bool = False) -> EncodedValue:
        """The value of a row, wherever it lies. Raises XComError where it cannot be read; with `excuse` the value
        is a text that says so.
        """
        if _is_outside(row):
            try:
                data = await self._outside.read(row["blob_hash"], row["place"])
            except XComError as error:
                if not excuse:
                    raise
                return EncodedValue(CODEC_JSON, orjson.dumps(f"<{error}>"))
        else:
            data = row["data"]
        return EncodedValue(row["codec"], b"" if data is None else data)

    async def _dag_rows(self, name: str, **given: object) -> list[Row]:
        query = statement("dag", name)
        return await self._readers.fetch(query, *query.values(given))

    async def _run_rows(self, name: str, **given: object) -> list[Row]:
        query = statement("run", name)
        return await self._readers.fetch(query, *query.values(given))


def _is_outside(row: Row) -> bool:
    return row["data"] is None and row["place"] is not None
