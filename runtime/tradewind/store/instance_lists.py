"""Lists of task instances in PostgreSQL, of one run or across runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tradewind.instance_ports import InstanceFilter, InstanceTally, ManyRuns
from tradewind.model.keys import RunId
from tradewind.model.rows import AttemptRow, InstanceRow, RunRow
from tradewind.model.states import TaskState
from tradewind.store.bounds import instance_order
from tradewind.store.decode import attempt_of, instance_of, run_of
from tradewind.store.lines import Lines
from tradewind.store.statements import expanded, statement

_CONDITIONS: Final = ("task_ids", "states", "map_index", "mapped_only", "limit", "offset")
_ORDERS: Final = {
    "state": "nullif(t.state::text, 'none') COLLATE \"C\"",
    "duration": "t.ended_at - t.started_at",
}


class InstanceLists(Lines):
    """A part of `StoreReads`."""

    async def instance_page(self, where: InstanceFilter) -> tuple[list[InstanceRow], int]:
        """As `StoreReads.instance_page`."""
        name, descends = instance_order(where.order_by)
        way = "DESC" if descends else "ASC"
        column = _ORDERS.get(name, f"t.{name}")
        given = {name: getattr(where, name) for name in _CONDITIONS}
        for name, bounds in (("started", where.started), ("ended", where.ended), ("lasted", where.lasted)):
            given |= {f"{name}_from": bounds[0], f"{name}_to": bounds[1]}
        given |= _of_many(where.of) if isinstance(where.of, ManyRuns) else {"run_id": where.of}
        which = "_of_many" if isinstance(where.of, ManyRuns) else ""
        order = f"{column} {way} NULLS LAST, t.run_id, t.task_id, t.map_index"
        page = statement("instance", f"instance_page{which}", columns=_columns("instance"), order=order)
        count = statement("instance", f"instance_count{which}")
        rows, total = await self._readers.page(page, count, given)
        return [instance_of(row) for row in rows], total

    async def run_many(self, run_ids: Sequence[RunId]) -> list[RunRow]:
        """As `StoreReads.run_many`."""
        query = statement("instance", "run_many", columns=_columns("run"))
        return [run_of(row) for row in await self._readers.fetch(query, *query.values({"run_ids": list(run_ids)}))]

    async def instance_tally(self, states: Sequence[TaskState]) -> list[InstanceTally]:
        """As `StoreReads.instance_tally`."""
        rows = await self._readers.fetch(statement("instance", "instance_tally"), list(states))
        return [
            InstanceTally(dag_id, version, task_id, TaskState(state), number)
            for dag_id, version, task_id, state, number in rows
        ]

    async def run_versions(self, dag_ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """As `StoreReads.run_versions`."""
        query = statement("instance", "run_versions")
        given = {"dag_ids": None if dag_ids is None else list(dag_ids)}
        rows = await self._readers.fetch(query, *query.values(given))
        return [(row["dag_id"], row["version_hash"]) for row in rows]

    async def attempt_latest(self, of: Sequence[InstanceRow]) -> list[AttemptRow]:
        """As `StoreReads.attempt_latest`."""
        query = statement("instance", "attempt_latest")
        given = {
            "run_ids": [row.run_id for row in of],
            "task_ids": [row.task_id for row in of],
            "map_indexes": [row.map_index for row in of],
        }
        return [attempt_of(row) for row in await self._readers.fetch(query, *query.values(given))]


def _columns(of: str) -> str:
    return expanded("run", f"{of}_columns")


def _of_many(runs: ManyRuns) -> dict[str, object]:
    return {
        "dag_ids": runs.dag_ids,
        "dag_run_ids": runs.dag_run_ids,
        "logical_from": runs.logical[0],
        "logical_to": runs.logical[1],
        "versions": None if runs.tasks is None else [version for version, _ in runs.tasks],
        "tasks": None if runs.tasks is None else [task for _, task in runs.tasks],
    }
