"""Clearing across DAGs: what `ExternalTaskMarker`s among the cleared tasks say depends on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tradewind.model.errors import ConflictError
from tradewind.model.rows import DagVersionRow, RunRow
from tradewind.model.specs import DagSpec
from tradewind.ports import RunFilter, StoreReads
from tradewind.services.callbacks import facts_for_code
from tradewind.services.custom_schedules import Ask

_NAMES: Final = ("dag_id", "task_id", "logical_date")
"""What a marker says, and what may be a template."""


@dataclass(frozen=True, slots=True)
class Dependent:
    """A task of a run of another DAG that has to run again, with what follows it."""

    dag_id: str
    dag_run_id: str
    task_id: str


async def dependents(
    reads: StoreReads, ask: Ask, dag_id: str, dag_run_id: str, task_ids: Sequence[str], *, downstream: bool
) -> list[Dependent]:
    """What a clear of these tasks (none: all of the run) reaches in other DAGs, the nearest first, each once.

    `ask`: has code of a DAG's file render templates. Raises ConflictError where a marker's `recursion_depth` is used
    up, or it cannot be said what it names. Changes nothing.
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
            for target in await _targets(reads, ask, run, version, (task_id, marker)):
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


async def _targets(
    reads: StoreReads, ask: Ask, run: RunRow, version: DagVersionRow, marker: tuple[str, Any]
) -> list[Dependent]:
    """The marked task in all runs of the marked date."""
    task_id, said = marker
    dag_id, name, date = (said.get(key) for key in _NAMES)
    if any(_is_template(text) for text in (dag_id, name, date)):
        dag_id, name, date = await _rendered(ask, run, version, task_id)
    at = run.logical_date
    if date:
        try:
            at = datetime.fromisoformat(date)
        except ValueError as error:
            raise _unclear(run, task_id, f"{date!r} is no date") from error
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    runs, _ = await reads.run_list(RunFilter(str(dag_id), logical_from=at, logical_to=at, order_by="run_id"))
    return [Dependent(str(dag_id), found.dag_run_id, str(name)) for found in runs]


async def _rendered(ask: Ask, run: RunRow, version: DagVersionRow, task_id: str) -> list[str]:
    wanted = {"ask": "marker", **facts_for_code(run, version), "callback": {"which": "marker", "task_id": task_id}}
    reply: dict[str, Any] = await ask(orjson.loads(orjson.dumps(wanted)))
    if "error" in reply:
        raise _unclear(run, task_id, reply["error"])
    return list(reply["ok"])


def _is_template(text: object) -> bool:
    return isinstance(text, str) and ("{{" in text or "{%" in text)


def _unclear(run: RunRow, task_id: str, why: str) -> ConflictError:
    return ConflictError(
        f"nothing is cleared: what ExternalTaskMarker {task_id} of DAG {run.dag_id} names cannot be said: {why}"
    )
