"""How user code inside an attempt reaches the system.

Two faces of the same calls: `TaskServices` for code on a loop, `BlockingServices` for sync code
in a process or thread of its own. The worker that carries the attempt puts both into
`current_attempt`; `Variable.get`, `ti.xcom_pull` and the template context read them from there,
so nothing in `authoring` knows how the calls travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from threading import get_ident
from time import monotonic
from typing import Protocol

from tradewind.authoring.other_dags import BlockingOtherDags, OtherDags
from tradewind.authoring.state_access import BlockingStateStores, StateStores
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.durable import Step
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState


class TaskServices(OtherDags, StateStores, Protocol):
    """What user code may ask the system for. Every call is one round trip."""

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """A committed value, or None."""
        ...

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """Map indexes of the task's instances that have a value under `key`, ascending; [-1] of a task not mapped."""
        ...

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """The keys under which a task instance has stored values, the latest first; `return_value` before all that
        were stored with it.
        """
        ...

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """The committed values of these instances, in this order; None where there is none."""
        ...

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """Durable when it returns. Raises Fenced if the attempt is no longer the live one."""
        ...

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """The steps that a task instance has taken, in the order of their making."""
        ...

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """Durable when it returns. Raises Fenced if the attempt is no longer the live one."""
        ...

    async def variable_get(self, key: str) -> str | None:
        """A variable's text, or None."""
        ...

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Stores a variable; None deletes it."""
        ...

    async def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI, or None."""
        ...

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """The run of that name, or None."""
        ...

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """The latest run of the DAG with an earlier logical date (in `state`)."""
        ...

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """The latest earlier run in which the task succeeded, with its instance."""
        ...

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """Events of assets, oldest first."""
        ...

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """All task instances of a run."""
        ...

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """Asks for a run of a DAG. Raises NotFoundError, ConflictError, DagPausedError."""
        ...


class BlockingServices(BlockingOtherDags, BlockingStateStores, Protocol):
    """`TaskServices` for sync code: the same calls, each blocks until its answer is there."""

    def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """A committed value, or None."""
        ...

    def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """Map indexes of the task's instances that have a value under `key`, ascending; [-1] of a task not mapped."""
        ...

    def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """The keys under which a task instance has stored values, the latest first; `return_value` before all that
        were stored with it.
        """
        ...

    def xcom_many(self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]) -> list[EncodedValue | None]:
        """The committed values of these instances, in this order; None where there is none."""
        ...

    def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """Stores a value under one of the attempt's own keys."""
        ...

    def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """The steps that a task instance has taken, in the order of their making."""
        ...

    def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """Keeps a step of the attempt's own task instance."""
        ...

    def variable_get(self, key: str) -> str | None:
        """A variable's text, or None."""
        ...

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Stores a variable; None deletes it."""
        ...

    def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI, or None."""
        ...

    def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """The run of that name, or None."""
        ...

    def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """The latest run of the DAG with an earlier logical date (in `state`)."""
        ...

    def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """The latest earlier run in which the task succeeded, with its instance."""
        ...

    def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """Events of assets, oldest first."""
        ...

    def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """All task instances of a run."""
        ...

    def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """Asks for a run of a DAG."""
        ...


@dataclass(frozen=True, slots=True)
class CurrentAttempt:
    """The attempt whose code is running, and its two faces of the system."""

    attempt: Attempt
    services: TaskServices
    blocking: BlockingServices
    """On the loop its calls raise RuntimeError and name the async call to use instead."""
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    """Lengths of what the code has pushed itself, under the keys in `TaskSpec.measured`."""
    began: float = field(default_factory=monotonic)
    """When, on the monotonic clock: what was changed before is seen."""
    thread: int = field(default_factory=get_ident)
    """The thread in which `services` may be awaited."""


current_attempt: ContextVar[CurrentAttempt] = ContextVar("tradewind_current_attempt")
