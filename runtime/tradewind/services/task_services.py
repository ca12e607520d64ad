"""What user code inside an attempt can ask this runtime for, answered from store and scheduler.

Values that attempts of this runtime have committed are kept in a bounded cache, so a task that
reads its upstream's result rarely costs a query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from tradewind.control_ports import Control, TriggerRequest
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import AttemptKey
from tradewind.model.durable import Step
from tradewind.model.errors import Fenced
from tradewind.model.events import RunEvent, Stamp, StepStored, XComStored
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import QUERY_PREFIX, RETURN_KEY, EncodedValue
from tradewind.model.rows import InstanceRow, RunRow, XComEntry
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.ports import Store
from tradewind.services.intake import Intake
from tradewind.services.other_dags import OtherDagsOfSystem
from tradewind.services.secrets import SecretLookups
from tradewind.services.state_stores import StatesOfStore
from tradewind.services.value_spiller import ValueSpiller
from tradewind.services.xcom_cache import XComCache


def latest_keys(entries: Sequence[XComEntry]) -> list[str]:
    """The keys of one instance's values, the latest first; of those stored together `return_value`."""
    own = [one for one in entries if not one.key.startswith(QUERY_PREFIX)]
    own.sort(key=lambda entry: (entry.at is not None and entry.at.timestamp(), entry.key == RETURN_KEY), reverse=True)
    return [entry.key for entry in own]


class RuntimeServices(OtherDagsOfSystem, StatesOfStore):
    """`TaskServices` of the attempts that this runtime's executors carry."""

    def __init__(
        self,
        store: Store,
        control: Control,
        look_ups: SecretLookups | None = None,
    ) -> None:
        """`look_ups`: where variables and connections come from; by default environment and store."""
        self._store = store
        self._look_ups = look_ups or SecretLookups(store)
        self._control = control
        self._intake: Intake | None = None
        self.cache = XComCache()
        self.spiller = ValueSpiller(store)

    def attach(self, intake: Intake) -> None:
        """Names where events go, which is made after its services."""
        self._intake = intake

    @property
    def state_store(self) -> Store:
        """Where state stores keep their values."""
        return self._store

    async def system(self) -> Control:
        """What answers about other DAGs."""
        return self._control

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """A committed value, or None."""
        ask = partial(self._store.xcom_get, run_id, task_id, key, map_index)
        return await self.cache.fetch((run_id, task_id, map_index), key, ask)

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """Map indexes of the task's instances that have a value under `key`, ascending."""
        return await self._store.xcom_indexes(run_id, task_id, key)

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """Keys of the values of a task instance, the latest first."""
        return latest_keys(await self._store.xcom_list(run_id, task_id, map_index, values=False))

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """The committed values of these instances, in this order."""
        known = {index: self.cache.get((run_id, task_id, index), key) for index in map_indexes}
        missing = [index for index, value in known.items() if value is None]
        if missing:
            found = await self._store.xcom_many(run_id, task_id, key, missing)
            known.update(zip(missing, found, strict=True))
        return [known[index] for index in map_indexes]

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """Stores a value before the attempt's end. Durable when it returns. Raises Fenced."""
        await self.spiller.put(value.data)
        await self._commit(attempt, lambda stamp: XComStored(stamp, attempt.attempt, key, value))

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """The steps that a task instance has taken."""
        return await self._store.step_list(run_id, task_id, map_index)

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """Keeps a step. Durable when it returns. Raises Fenced."""
        await self._commit(attempt, lambda stamp: StepStored(stamp, attempt.attempt, step))

    async def _commit(self, attempt: AttemptKey, event: Callable[[Stamp], RunEvent]) -> None:
        """Has what a live attempt says committed. Raises Fenced."""
        if self._intake is None:
            raise Fenced("this runtime has not started")
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def answer(accepted: bool) -> None:
            if not done.done():
                done.set_result(accepted)

        self._intake.post(attempt.run_id, event(self._intake.stamp()), answer)
        if not await done:
            raise Fenced(
                f"attempt {attempt.attempt.hex()} of task {attempt.task_id!r} is no longer the "
                "live one: its values are not taken any more"
            )

    async def variable_get(self, key: str) -> str | None:
        """A variable's text, or None."""
        return await self._look_ups.variable(key)

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Stores a variable; None deletes it."""
        await self._store.variable_set(key, value, description)

    async def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI, or None."""
        return await self._look_ups.connection(conn_id)

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """The run of that name, or None."""
        return await self._store.run_get(dag_id, dag_run_id)

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """The latest run of the DAG with an earlier logical date (in `state`)."""
        return await self._store.run_before(dag_id, logical_date, state)

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """The latest earlier run in which the task succeeded, with its instance."""
        return await self._store.task_success_before(dag_id, task_id, logical_date)

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """Events of assets, oldest first; of more than `limit` the newest."""
        events, _ = await self._store.asset_event_list(replace(where, descending=True))
        return events[::-1]

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """All task instances of a run."""
        return await self._store.instance_list(run_id)

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """Asks for a run of a DAG. While the DAG is paused, the run waits in its queue."""
        request = TriggerRequest(dag_id, conf, dag_run_id=dag_run_id, logical_date=logical_date, while_paused=True)
        return await self._control.run_trigger(request)
