"""What attempts ask about other DAGs than their own, answered from the store and by whoever owns them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from tradewind.authoring.other_dags import LONGEST_WAIT, DagFacts
from tradewind.control_ports import Control
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSpec
from tradewind.ports import RunFilter


class OtherDagsOfSystem(ABC):
    """`OtherDags` over a `Control`."""

    @abstractmethod
    async def system(self) -> Control:
        """Who answers."""

    async def dag_facts(self, dag_id: str) -> DagFacts | None:
        """The DAG in its current version, or None."""
        reads = (await self.system()).reads
        row = await reads.dag_get(dag_id)
        version = None if row is None else await reads.dag_version_get(dag_id)
        if row is None or version is None:
            return None
        tasks = tuple(task.task_id for task in version.spec.tasks)
        return DagFacts(dag_id, row.is_paused, row.is_active, row.source.fileloc, tasks, groups_of(version.spec))

    async def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """The runs of the DAG with exactly this logical date."""
        where = RunFilter(dag_id, logical_from=logical_date, logical_to=logical_date)
        return (await (await self.system()).reads.run_list(where))[0]

    async def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """The run once it has ended; None where it has not in time."""
        try:
            return await (await self.system()).run_wait(run_id, min(seconds, LONGEST_WAIT))
        except TimeoutError:
            return None

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """As `Control.changes`."""
        return await (await self.system()).changes(what, dag_id, since, seconds)

    async def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Clears all tasks of a run. Raises NotFoundError."""
        system = await self.system()
        await system.instances_clear(dag_id, dag_run_id, ())
        run = await system.reads.run_get(dag_id, dag_run_id)
        if run is None:
            raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
        return run


def groups_of(spec: DagSpec) -> dict[str, tuple[str, ...]]:
    """Each task group's id, with the ids of the tasks in it and in the groups inside it."""
    children = {group.group_id: group.children for group in spec.groups}

    def tasks_in(group_id: str) -> list[str]:
        found: list[str] = []
        for child in children[group_id]:
            found += tasks_in(child) if child in children else [child]
        return found

    return {group_id: tuple(tasks_in(group_id)) for group_id in children}
