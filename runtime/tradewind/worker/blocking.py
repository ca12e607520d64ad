"""Faces between the two kinds of code: sync code beside a loop, async code in a process of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from tradewind.authoring.access import BlockingServices, TaskServices
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import AttemptKey
from tradewind.model.durable import Step
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.worker.other_dags import OtherDagsInProcess, OtherDagsOnLoop
from tradewind.worker.state_calls import StatesInProcess, StatesOnLoop

T = TypeVar("T")
P = ParamSpec("P")


class BlockingOnLoop(OtherDagsOnLoop, StatesOnLoop):
    """`BlockingServices` for threads beside a loop: each call is carried out on the loop.

    Called on the loop itself it would wait for itself; there it raises RuntimeError.
    """

    __slots__ = ("_loop", "_services", "_thread")

    def __init__(self, services: TaskServices, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop
        self._thread = threading.get_ident()

    @property
    def other_dags(self) -> TaskServices:
        """What answers on the loop."""
        return self._services

    @property
    def state_stores(self) -> TaskServices:
        """What answers on the loop."""
        return self._services

    def wait_for(self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carries the call out on the loop and blocks until it has answered."""
        if threading.get_ident() == self._thread:
            raise RuntimeError(
                f"an async task cannot wait for {call.__name__} without await, it would stop the whole loop: "
                f"use the async form (`await ti.pull(…)`, `await ti.push(…)`, `await services.{call.__name__}(…)`), "
                "or make the task a plain `def`"
            )
        return asyncio.run_coroutine_threadsafe(call(*args, **kwargs), self._loop).result()

    def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """See TaskServices."""
        return self.wait_for(self._services.xcom_get, run_id, task_id, key, map_index)

    def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """See TaskServices."""
        return self.wait_for(self._services.xcom_indexes, run_id, task_id, key)

    def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """See TaskServices."""
        return self.wait_for(self._services.xcom_keys, run_id, task_id, map_index)

    def xcom_many(self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]) -> list[EncodedValue | None]:
        """See TaskServices."""
        return self.wait_for(self._services.xcom_many, run_id, task_id, key, map_indexes)

    def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """See TaskServices."""
        return self.wait_for(self._services.xcom_put, attempt, key, value)

    def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """See TaskServices."""
        return self.wait_for(self._services.step_list, run_id, task_id, map_index)

    def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """See TaskServices."""
        return self.wait_for(self._services.step_put, attempt, step)

    def variable_get(self, key: str) -> str | None:
        """See TaskServices."""
        return self.wait_for(self._services.variable_get, key)

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """See TaskServices."""
        return self.wait_for(self._services.variable_set, key, value, description)

    def connection_get(self, conn_id: str) -> str | None:
        """See TaskServices."""
        return self.wait_for(self._services.connection_get, conn_id)

    def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """See TaskServices."""
        return self.wait_for(self._services.run_find, dag_id, dag_run_id)

    def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """See TaskServices."""
        return self.wait_for(self._services.run_before, dag_id, logical_date, state)

    def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """See TaskServices."""
        return self.wait_for(self._services.task_success_before, dag_id, task_id, logical_date)

    def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """See TaskServices."""
        return self.wait_for(self._services.asset_events, where)

    def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """See TaskServices."""
        return self.wait_for(self._services.instance_list, run_id)

    def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """See TaskServices."""
        return self.wait_for(self._services.run_trigger, dag_id, conf, dag_run_id=dag_run_id, logical_date=logical_date)


class AsyncInProcess(OtherDagsInProcess, StatesInProcess):
    """`TaskServices` for an async task in a process of its own: each call blocks a thread, not its loop."""

    __slots__ = ("_blocking",)

    def __init__(self, blocking: BlockingServices) -> None:
        self._blocking = blocking

    @property
    def other_dags(self) -> BlockingServices:
        """What answers, blocking a thread."""
        return self._blocking

    @property
    def state_stores(self) -> BlockingServices:
        """What answers, blocking a thread."""
        return self._blocking

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.xcom_get, run_id, task_id, key, map_index)

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.xcom_indexes, run_id, task_id, key)

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.xcom_keys, run_id, task_id, map_index)

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.xcom_many, run_id, task_id, key, map_indexes)

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """See TaskServices."""
        await asyncio.to_thread(self._blocking.xcom_put, attempt, key, value)

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.step_list, run_id, task_id, map_index)

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """See TaskServices."""
        await asyncio.to_thread(self._blocking.step_put, attempt, step)

    async def variable_get(self, key: str) -> str | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.variable_get, key)

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """See TaskServices."""
        await asyncio.to_thread(self._blocking.variable_set, key, value, description)

    async def connection_get(self, conn_id: str) -> str | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.connection_get, conn_id)

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.run_find, dag_id, dag_run_id)

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.run_before, dag_id, logical_date, state)

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.task_success_before, dag_id, task_id, logical_date)

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.asset_events, where)

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """See TaskServices."""
        return await asyncio.to_thread(self._blocking.instance_list, run_id)

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """See TaskServices."""

        def trigger() -> RunRow:
            return self._blocking.run_trigger(dag_id, conf, dag_run_id=dag_run_id, logical_date=logical_date)

        return await asyncio.to_thread(trigger)
