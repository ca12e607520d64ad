"""How much of each pool is in use, from the task instances of the runs that are going on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tradewind.model.errors import ConflictError, NotFoundError
from tradewind.model.rows import PoolRow
from tradewind.model.specs import DEFAULT_POOL, TaskSpec
from tradewind.model.states import TaskState
from tradewind.ports import NamedWrites, StoreReads

TasksOf = Callable[[str, str], Awaitable[Mapping[str, TaskSpec]]]
"""The tasks of a DAG's version, by id."""

_FIELD_OF: Final = {
    TaskState.RUNNING: "running",
    TaskState.RESTARTING: "running",
    TaskState.QUEUED: "queued",
    TaskState.SCHEDULED: "scheduled",
    TaskState.DEFERRED: "deferred",
}


@dataclass(slots=True)
class PoolUsage:
    """Slots by what the tasks that they belong to do."""

    running: int = 0
    queued: int = 0
    scheduled: int = 0
    deferred: int = 0

    def occupied(self, pool: PoolRow) -> int:
        """Slots that are taken."""
        return self.running + self.queued + (self.deferred if pool.include_deferred else 0)

    def open(self, pool: PoolRow) -> int:
        """Slots that are free; -1 for a pool without limit."""
        return -1 if pool.slots < 0 else max(0, pool.slots - self.occupied(pool))

    @property
    def any(self) -> bool:
        """Whether any task has a slot or waits for one."""
        return bool(self.running or self.queued or self.scheduled or self.deferred)


async def pool_usage(reads: StoreReads, tasks_of: TasksOf | None = None) -> dict[str, PoolUsage]:
    """Pool to its use; pools that nobody uses are missing."""
    tasks_of = tasks_of or _reading(reads)
    usage: dict[str, PoolUsage] = {}
    for found in await reads.instance_tally(tuple(_FIELD_OF)):
        task = (await tasks_of(found.dag_id, found.version_hash)).get(found.task_id)
        if task is not None:
            used, name = usage.setdefault(task.pool, PoolUsage()), _FIELD_OF[found.state]
            setattr(used, name, getattr(used, name) + found.number * task.pool_slots)
    return usage


async def delete_pool(reads: StoreReads, writes: NamedWrites, name: str) -> PoolRow:
    """Deletes the pool and returns it as it was. Raises NotFoundError, and ConflictError for the default pool and
    while tasks have slots of it or wait for some.
    """
    row = next((pool for pool in await reads.pool_list() if pool.name == name), None)
    if row is None:
        raise NotFoundError(f"there is no pool {name!r}")
    if name == DEFAULT_POOL:
        raise ConflictError(f"{DEFAULT_POOL} cannot be deleted: it is the pool of every task that names none")
    used = (await pool_usage(reads)).get(name)
    if used is not None and used.any:
        raise ConflictError(
            f"pool {name!r} is in use: {used.running} slots running, {used.queued} queued, {used.scheduled} waited "
            f"for, {used.deferred} deferred. Its tasks would wait for ever: give them another pool, or wait for "
            "their end"
        )
    await writes.pool_delete(name)
    return row


def _reading(reads: StoreReads) -> TasksOf:
    known: dict[tuple[str, str], Mapping[str, TaskSpec]] = {}

    async def tasks_of(dag_id: str, version_hash: str) -> Mapping[str, TaskSpec]:
        found = known.get((dag_id, version_hash))
        if found is None:
            version = await reads.dag_version_get(dag_id, version_hash)
            tasks = () if version is None else version.spec.tasks
            found = known[dag_id, version_hash] = {task.task_id: task for task in tasks}
        return found

    return tasks_of
