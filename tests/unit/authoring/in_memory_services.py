"""A whole system in memory, small: runs, instances, XComs, variables and connections of one DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tradewind.authoring.other_dags import Alone, DagFacts
from tradewind.authoring.state_access import BlockingStatesInMemory, StatesInMemory
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import AttemptKey
from tradewind.model.durable import Step
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState, TaskState


class BlockingAlone:
    """There are no other DAGs."""

    def dag_facts(self, dag_id: str) -> DagFacts | None:
        """None."""
        return None

    def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """Nothing."""
        return []

    def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """Raises NotFoundError."""
        raise NotFoundError(f"there is no run {run_id}")

    def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """0: nothing changes."""
        return 0

    def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Raises NotFoundError."""
        raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")


class InMemoryServices(BlockingAlone, BlockingStatesInMemory):
    """`BlockingServices` over plain dicts. Counts its calls, so that laziness can be tested."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[RunRow] = []
        self.events: list[AssetEvent] = []
        self.instances: dict[tuple[RunId, str, int], InstanceRow] = {}
        self.xcoms: dict[tuple[RunId, str, str, int], EncodedValue] = {}
        self.steps: dict[str, Step] = {}
        self.variables: dict[str, str] = {}
        self.connections: dict[str, str] = {}
        self.calls: list[str] = []

    def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        self.calls.append("xcom_get")
        return self.xcoms.get((run_id, task_id, key, map_index))

    def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        self.calls.append("xcom_indexes")
        return sorted(place[3] for place in self.xcoms if place[:3] == (run_id, task_id, key))

    def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        self.calls.append("xcom_keys")
        stored = [(r, t, k, m) for (r, t, k, m), value in self.xcoms.items() if value.codec]
        return [k for r, t, k, m in reversed(stored) if (r, t, m) == (run_id, task_id, map_index)]

    def xcom_many(self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]) -> list[EncodedValue | None]:
        self.calls.append("xcom_many")
        return [self.xcoms.get((run_id, task_id, key, index)) for index in map_indexes]

    def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        self.calls.append("xcom_put")
        self.xcoms[(attempt.run_id, attempt.task_id, key, attempt.map_index)] = value

    def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        return list(self.steps.values())

    def step_put(self, attempt: AttemptKey, step: Step) -> None:
        self.steps[step.key] = step

    def variable_get(self, key: str) -> str | None:
        self.calls.append("variable_get")
        return self.variables.get(key)

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        self.calls.append("variable_set")
        if value is None:
            self.variables.pop(key, None)
        else:
            self.variables[key] = value

    def connection_get(self, conn_id: str) -> str | None:
        self.calls.append("connection_get")
        return self.connections.get(conn_id)

    def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        self.calls.append("run_find")
        found = [run for run in self.runs if (run.dag_id, run.dag_run_id) == (dag_id, dag_run_id)]
        return found[0] if found else None

    def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        self.calls.append("run_before")
        earlier = [
            run
            for run in self.runs
            if run.dag_id == dag_id and run.logical_date < logical_date and state in (None, run.state)
        ]
        return max(earlier, key=lambda run: run.logical_date, default=None)

    def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        self.calls.append("task_success_before")
        for run in sorted(self.runs, key=lambda r: r.logical_date, reverse=True):
            instance = self.instances.get((run.run_id, task_id, UNMAPPED))
            ended_well = instance is not None and instance.state is TaskState.SUCCESS
            if run.dag_id == dag_id and run.logical_date < logical_date and instance is not None and ended_well:
                return run, instance
        return None

    def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        self.calls.append("asset_events")
        return [
            e for e in self.events if where.uri in (None, e.uri) and (where.alias is None or where.alias in e.aliases)
        ]

    def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        self.calls.append("instance_list")
        return [row for (owner, _, _), row in self.instances.items() if owner == run_id]

    def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        raise NotImplementedError(f"this system runs nothing: {dag_id} {conf} {dag_run_id} {logical_date}")


class OnALoop(Alone, StatesInMemory):
    """The same services awaited."""

    def __init__(self, blocking: InMemoryServices) -> None:
        self._blocking = self.kept = blocking

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        return self._blocking.xcom_get(run_id, task_id, key, map_index)

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        return self._blocking.xcom_indexes(run_id, task_id, key)

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        return self._blocking.xcom_keys(run_id, task_id, map_index)

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        return self._blocking.xcom_many(run_id, task_id, key, map_indexes)

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        self._blocking.xcom_put(attempt, key, value)

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        return self._blocking.step_list(run_id, task_id, map_index)

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        self._blocking.step_put(attempt, step)

    async def variable_get(self, key: str) -> str | None:
        return self._blocking.variable_get(key)

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        self._blocking.variable_set(key, value, description)

    async def connection_get(self, conn_id: str) -> str | None:
        return self._blocking.connection_get(conn_id)

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        return self._blocking.run_find(dag_id, dag_run_id)

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        return self._blocking.run_before(dag_id, logical_date, state)

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        return self._blocking.task_success_before(dag_id, task_id, logical_date)

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        return self._blocking.asset_events(where)

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        return self._blocking.instance_list(run_id)

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        return self._blocking.run_trigger(dag_id, conf, dag_run_id=dag_run_id, logical_date=logical_date)
