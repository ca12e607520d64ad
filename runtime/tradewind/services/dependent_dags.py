"""Clearing across DAGs: what `ExternalTaskMarker`s among the cleared tasks say depends on them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradewind.model.errors import ConflictError
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSpec
from tradewind.ports import RunFilter, StoreReads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dependent:
    """A task of a run of another DAG that has to run again, with what follows it."""

    dag_id: str
    dag_run_id: str
    task_id: str


async def dependents(
    reads: StoreReads, dag_id: str, dag_run_id: str, task_ids: Sequence[str], *, downstream: bool
) -> list[Dependent]:
    """What a clear of these tasks (none: all of the run) reaches in other DAGs, the nearest first, each once.

    Raises ConflictError where a marker's `recursion_depth` is used up. Changes nothing.
    """
    found: dict[Dependent, None] = {}
    waiting: deque[tuple[str, str, Collection[str], bool, int | None]] = deque()
    waiting.append((dag_id, dag_run_id, task_ids, downstream, None))
    while waiting:
        at_dag, at_run, ids, follows, depth = waiting.popleft()
        run = await reads.run_get(at_dag, at_run)
        version = None if run is None else await reads.dag_version_get(at_dag, run.version_hash)
        if run is None or version is None:
            continue
        for task_id, marker in _markers(version.spec, ids, downstream=follows):
            left = int(marker["depth"]) if depth is None else depth
            if left <= 0:
                raise ConflictError(
                    f"Maximum recursion depth reached for ExternalTaskMarker {task_id} of DAG {at_dag}. "
                    "Attempted to clear too many tasks or there may be a cyclic dependency."
                )
            for target in await _targets(reads, run, task_id, marker):
                if target not in found:
                    found[target] = None
                    waiting.append((target.dag_id, target.dag_run_id, (target.task_id,), True, left - 1))
    return list(found)


def _markers(spec: DagSpec, ids: Collection[str], *, downstream: bool) -> list[tuple[str, Any]]:
    """The markers among these tasks and, with `downstream`, among all that follow them."""
    marked = [(task.task_id, task.extra["clears"]) for task in spec.tasks if "clears" in task.extra]
    if not marked or not ids:
        return marked
    reached = set(ids)
    if downstream:
        followers: dict[str, list[str]] = {}
        for task in spec.tasks:
            for before in task.upstream:
                followers.setdefault(before, []).append(task.task_id)
        stack = list(reached)
        while stack:
            fresh = [after for after in followers.get(stack.pop(), ()) if after not in reached]
            reached.update(fresh)
            stack += fresh
    return [(task_id, marker) for task_id, marker in marked if task_id in reached]


async def _targets(reads: StoreReads, run: RunRow, task_id: str, marker: Any) -> list[Dependent]:
    """The marked task in all runs of the marked date. None, and a warning, for a date that is a template."""
    at = run.logical_date
    if marker.get("logical_date"):
        try:
            at = datetime.fromisoformat(marker["logical_date"])
        except ValueError:
            log.warning(
                "clearing: ExternalTaskMarker %s of DAG %s names its date by a template (%s): what depends on it is "
                "not cleared", task_id, run.dag_id, marker["logical_date"],
            )  # fmt: skip
            return []
    dag_id = str(marker["dag_id"])
    runs, _ = await reads.run_list(RunFilter(dag_id, logical_from=at, logical_to=at, order_by="run_id"))
    return [Dependent(dag_id, found.dag_run_id, str(marker["task_id"])) for found in runs]
