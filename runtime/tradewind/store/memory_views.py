"""What views read, from memory: `StoreReads`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from tradewind.instance_ports import FoundWait, InstanceFilter, InstanceTally, ManyRuns, WaitFilter, XComFilter
from tradewind.model.durable import Step
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import (
    AttemptRow,
    ConnectionRow,
    DagRow,
    DagVersionLine,
    DagVersionRow,
    HistoryEntry,
    ImportErrorRow,
    InstanceRow,
    PoolRow,
    RunRow,
    UserRow,
    VariableRow,
    XComEntry,
)
from tradewind.model.states import RunState, TaskState
from tradewind.model.waits import WaitRow
from tradewind.ports import RunFilter
from tradewind.store.bounds import instance_order, run_order, visible
from tradewind.store.memory_tables import MemoryDatabase, RunTables

_RUN_STATES = list(RunState)


class MemoryViews:
    """Reads of a `MemoryDatabase`."""

    def __init__(self, database: MemoryDatabase) -> None:
        """Reads `database`, which other stores may share."""
        self.database = database

    async def dag_list(self) -> list[DagRow]:
        """As `StoreReads.dag_list`."""
        return [self._with_errors(self.database.dags[dag_id]) for dag_id in sorted(self.database.dags)]

    async def dag_get(self, dag_id: str) -> DagRow | None:
        """As `StoreReads.dag_get`."""
        dag = self.database.dags.get(dag_id)
        return None if dag is None else self._with_errors(dag)

    async def dag_version_get(self, dag_id: str, version_hash: str | None = None) -> DagVersionRow | None:
        """As `StoreReads.dag_version_get`."""
        return self.database.versions.get((dag_id, self._version(dag_id, version_hash)))

    async def dag_version_list(self, dag_id: str, limit: int, offset: int = 0) -> tuple[list[DagVersionLine], int]:
        """As `StoreReads.dag_version_list`."""
        rows = [row for row in self.database.versions.values() if row.dag_id == dag_id]
        rows.sort(key=lambda row: -row.number)
        lines = [DagVersionLine(row.dag_id, row.version_hash, row.number, row.source, row.created_at) for row in rows]
        return lines[offset : offset + limit], len(lines)

    async def dag_code_get(self, dag_id: str, version_hash: str | None = None) -> str | None:
        """As `StoreReads.dag_code_get`."""
        return self.database.codes.get((dag_id, self._version(dag_id, version_hash)))

    async def import_error_list(self) -> list[ImportErrorRow]:
        """As `StoreReads.import_error_list`."""
        return [self.database.import_errors[key] for key in sorted(self.database.import_errors)]

    async def run_list(self, where: RunFilter) -> tuple[list[RunRow], int]:
        """As `StoreReads.run_list`."""
        column, descends = run_order(where.order_by)
        runs = [run for run in (tables.run() for tables in self.database.runs.values()) if _fits(run, where)]

        def value(run: RunRow) -> Any:
            found = getattr(run, column)
            return _RUN_STATES.index(found) if isinstance(found, RunState) else found

        known = [run for run in runs if value(run) is not None]
        unknown = [run for run in runs if value(run) is None]
        known.sort(key=lambda run: (value(run), run.run_id), reverse=descends)
        unknown.sort(key=lambda run: run.run_id, reverse=descends)
        ordered = [*known, *unknown]
        return ordered[where.offset : where.offset + where.limit], len(ordered)

    async def run_get(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """As `StoreReads.run_get`."""
        run_id = self.database.run_names.get((dag_id, dag_run_id))
        return None if run_id is None else self.database.runs[run_id].run()

    async def run_by_id(self, run_id: RunId) -> RunRow | None:
        """As `StoreReads.run_by_id`."""
        tables = self.database.runs.get(run_id)
        return None if tables is None else tables.run()

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """As `StoreReads.run_before`."""
        for tables in self._earlier(dag_id, logical_date):
            run = tables.run()
            if state is None or run.state is state:
                return run
        return None

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """As `StoreReads.instance_list`."""
        tables = self.database.runs.get(run_id)
        return [] if tables is None else visible(tables.instance_rows())

    async def instance_page(self, where: InstanceFilter) -> tuple[list[InstanceRow], int]:
        """As `StoreReads.instance_page`."""
        name, descends = instance_order(where.order_by)
        runs = self._runs_of(where.of) if isinstance(where.of, ManyRuns) else {where.of: None}
        rows: list[InstanceRow] = []
        for run_id, tasks in sorted(runs.items()):
            every = [row for row in await self.instance_list(run_id) if tasks is None or row.task_id in tasks]
            rows += [row for row in every if _is_wanted(row, where)]
        known = [row for row in rows if _order_value(row, name) is not None]
        known.sort(key=lambda row: _order_value(row, name), reverse=descends)  # equal ones keep their order
        ordered = [*known, *(row for row in rows if _order_value(row, name) is None)]
        return ordered[where.offset : where.offset + where.limit], len(ordered)

    def _runs_of(self, many: ManyRuns) -> dict[RunId, set[str] | None]:
        """The runs, with the tasks that are wanted of each (None: all)."""
        found: dict[RunId, set[str] | None] = {}
        for tables in self.database.runs.values():
            run = tables.run()
            if (
                (many.dag_ids is None or run.dag_id in many.dag_ids)
                and (many.dag_run_ids is None or run.dag_run_id in many.dag_run_ids)
                and is_within(run.logical_date, many.logical)
            ):
                wanted = many.tasks
                found[run.run_id] = (
                    None if wanted is None else {task for version, task in wanted if version == run.version_hash}
                )
        return found

    async def run_many(self, run_ids: Sequence[RunId]) -> list[RunRow]:
        """As `StoreReads.run_many`."""
        return [self.database.runs[run_id].run() for run_id in run_ids if run_id in self.database.runs]

    async def instance_tally(self, states: Sequence[TaskState]) -> list[InstanceTally]:
        """As `StoreReads.instance_tally`."""
        found: Counter[tuple[str, str, str, TaskState]] = Counter()
        for run_id, tables in self.database.runs.items():
            run = tables.run()
            if run.state is RunState.RUNNING:
                rows = await self.instance_list(run_id)
                found.update((run.dag_id, run.version_hash, row.task_id, row.state) for row in rows)
        return [InstanceTally(*place, number) for place, number in found.items() if place[-1] in states]

    async def run_versions(self, dag_ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """As `StoreReads.run_versions`."""
        runs = [tables.run() for tables in self.database.runs.values()]
        return sorted({(run.dag_id, run.version_hash) for run in runs if dag_ids is None or run.dag_id in dag_ids})

    async def attempt_latest(self, of: Sequence[InstanceRow]) -> list[AttemptRow]:
        """As `StoreReads.attempt_latest`."""
        latest: list[AttemptRow] = []
        for row in of:
            latest += (await self.attempt_list(row.run_id, row.task_id, row.map_index))[-1:]
        return latest

    async def instance_get(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> InstanceRow | None:
        """As `StoreReads.instance_get`."""
        tables = self.database.runs.get(run_id)
        return None if tables is None else tables.instance((task_id, map_index))

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """As `StoreReads.task_success_before`."""
        for tables in self._earlier(dag_id, logical_date):
            for row in tables.instance_rows():
                if row.task_id == task_id and row.state is TaskState.SUCCESS:
                    return tables.run(), row
        return None

    async def attempt_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None
    ) -> list[AttemptRow]:
        """As `StoreReads.attempt_list`."""
        tables = self.database.runs.get(run_id)
        rows = [] if tables is None else tables.attempt_rows()
        return [r for r in rows if task_id in (None, r.task_id) and map_index in (None, r.map_index)]

    async def history_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[HistoryEntry]:
        """As `StoreReads.history_list`."""
        tables = self.database.runs.get(run_id)
        lines = [] if tables is None else tables.history.get((task_id, map_index), [])
        return [HistoryEntry(run_id, task_id, map_index, x.try_number, orjson.loads(x.story)) for x in lines]

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """As `StoreReads.xcom_get`."""
        tables = self.database.runs.get(run_id)
        found = None if tables is None else tables.xcoms.get((task_id, map_index), {}).get(key)
        return None if found is None else found[0]

    async def step_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[Step]:
        """As `StoreReads.step_list`."""
        tables = self.database.runs.get(run_id)
        return [] if tables is None else list(tables.steps.get((task_id, map_index), {}).values())

    async def wait_page(self, where: WaitFilter) -> tuple[list[FoundWait], int]:
        """As `StoreReads.wait_page`."""
        found = [
            FoundWait(tables.row.dag_id, tables.row.dag_run_id, run_id, row)
            for run_id, tables in sorted(self.database.runs.items())
            for _, row in sorted(tables.waits.items(), key=lambda item: (*item[0][:2], as_bytes(item[0][2])))
            if _is_shown(tables.row, row, where)
        ]
        return found[where.offset : where.offset + where.limit], len(found)

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """As `StoreReads.xcom_indexes`."""
        tables = self.database.runs.get(run_id)
        if tables is None:
            return []
        places = tables.xcoms.items()
        return sorted(map_index for (task, map_index), values in places if task == task_id and key in values)

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """As `StoreReads.xcom_many`."""
        return [await self.xcom_get(run_id, task_id, key, index) for index in map_indexes]

    async def xcom_page(self, where: XComFilter) -> tuple[list[XComEntry], int]:
        """As `StoreReads.xcom_page`."""
        every = await self.xcom_list(where.run_id, where.task_id, where.map_index, values=False)
        found = [entry for entry in every if where.key in (None, entry.key)]
        return found[where.offset : where.offset + where.limit], len(found)

    async def xcom_list(
        self, run_id: RunId, task_id: str | None = None, map_index: int | None = None, *, values: bool = True
    ) -> list[XComEntry]:
        """As `StoreReads.xcom_list`."""
        tables = self.database.runs.get(run_id)
        places = [] if tables is None else sorted(tables.xcoms.items())
        return [
            XComEntry(run_id, task, index, key, value if values else value._replace(data=b""), at)
            for (task, index), kept in places
            if task_id in (None, task) and map_index in (None, index)
            for key, (value, at) in sorted(kept.items(), key=lambda item: as_bytes(item[0]))
        ]

    async def pool_list(self) -> list[PoolRow]:
        """As `StoreReads.pool_list`."""
        return [self.database.pools[name] for name in sorted(self.database.pools)]

    async def variable_get(self, key: str) -> str | None:
        """As `StoreReads.variable_get`."""
        row = self.database.variables.get(key)
        return None if row is None else row.value

    async def variable_list(self, key: str | None = None) -> list[VariableRow]:
        """As `StoreReads.variable_list`."""
        found = self.database.variables
        return [found[name] for name in sorted(found, key=as_bytes) if key in (None, name)]

    async def connection_get(self, conn_id: str) -> str | None:
        """As `StoreReads.connection_get`."""
        return self.database.connections.get(conn_id)

    async def connection_list(self, conn_id: str | None = None) -> list[ConnectionRow]:
        """As `StoreReads.connection_list`."""
        found = self.database.connections
        return [ConnectionRow(name, found[name]) for name in sorted(found, key=as_bytes) if conn_id in (None, name)]

    async def user_get(self, username: str) -> UserRow | None:
        """As `StoreReads.user_get`."""
        return self.database.users.get(username)

    def _version(self, dag_id: str, version_hash: str | None) -> str:
        if version_hash is not None:
            return version_hash
        dag = self.database.dags.get(dag_id)
        return "" if dag is None else dag.version_hash

    def _with_errors(self, dag: DagRow) -> DagRow:
        broken = (dag.source.bundle, dag.source.relative_fileloc) in self.database.import_errors
        return replace(dag, has_import_errors=True) if broken else dag

    def _earlier(self, dag_id: str, before: datetime) -> list[RunTables]:
        """Runs of a DAG with an earlier logical date, the latest first."""
        found = [t for t in self.database.runs.values() if t.row.dag_id == dag_id and t.row.logical_date < before]
        return sorted(found, key=lambda tables: (tables.row.logical_date, tables.row.run_id), reverse=True)


def as_bytes(text: str) -> bytes:
    """What texts of users are ordered by."""
    return text.encode("utf-8", "surrogatepass")


def _order_value(row: InstanceRow, name: str) -> Any:
    if name == "duration":
        return _duration(row)
    if name == "state":
        return None if row.state is TaskState.NONE else row.state.value
    return getattr(row, name)


def _duration(row: InstanceRow) -> float | None:
    if row.started_at is None or row.ended_at is None:
        return None
    return (row.ended_at - row.started_at).total_seconds()


def _is_shown(run: RunRow, row: WaitRow, where: WaitFilter) -> bool:
    return (
        row.wait.kind in where.kinds
        and where.dag_id in (None, run.dag_id)
        and where.run_id in (None, run.run_id)
        and where.task_id in (None, row.task_id)
        and where.map_index in (None, row.map_index)
        and where.answered in (None, row.answer is not None)
    )


def _is_wanted(row: InstanceRow, where: InstanceFilter) -> bool:
    return (
        (where.task_ids is None or row.task_id in where.task_ids)
        and (where.states is None or row.state in where.states)
        and where.map_index in (None, row.map_index)
        and not (where.mapped_only and row.map_index < 0)
        and is_within(row.started_at, where.started)
        and is_within(row.ended_at, where.ended)
        and is_within(_duration(row), where.lasted)
    )


def is_within(value: Any, bounds: tuple[Any, Any]) -> bool:
    """Whether a value lies between two bounds, which count as well; None: no bound."""
    low, high = bounds
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _fits(run: RunRow, where: RunFilter) -> bool:
    return (
        where.dag_id in (None, run.dag_id)
        and (where.states is None or run.state in where.states)
        and (where.logical_from is None or run.logical_date >= where.logical_from)
        and (where.logical_to is None or run.logical_date <= where.logical_to)
        and (where.dag_ids is None or run.dag_id in where.dag_ids)
        and (where.dag_run_ids is None or run.dag_run_id in where.dag_run_ids)
        and (where.types is None or run.run_type in where.types)
        and is_within(run.started_at, where.started)
        and is_within(run.ended_at, where.ended)
    )
