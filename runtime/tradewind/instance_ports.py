"""The store's lists of task instances, and what these and assets keep: parts of `ports.Store`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from tradewind.model.attempts import AttemptKey
from tradewind.model.durable import Step
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.rows import AttemptRow, InstanceRow, MissedDeadlineRow, RunRow, XComEntry
from tradewind.model.state_stores import KeptState, StateScope
from tradewind.model.states import TaskState
from tradewind.model.waits import INPUT_KIND, WaitRow


@dataclass(frozen=True, slots=True)
class ManyRuns:
    """Runs whose task instances a list shows together. None: no condition."""

    dag_ids: tuple[str, ...] | None = None
    dag_run_ids: tuple[str, ...] | None = None
    logical: tuple[datetime | None, datetime | None] = (None, None)
    """Not before, not after."""
    tasks: tuple[tuple[str, str], ...] | None = None
    """Only these tasks: (version hash of the run, task id)."""


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which task instances, of a run or of many, a list shows. None: no condition. Times are inclusive, durations in
    seconds.
    """

    of: RunId | ManyRuns
    task_ids: tuple[str, ...] | None = None
    states: tuple[TaskState, ...] | None = None
    map_index: int | None = None
    mapped_only: bool = False
    """Leave out instances that are not mapped, or not yet."""
    started: tuple[datetime | None, datetime | None] = (None, None)
    """Not before, not after."""
    ended: tuple[datetime | None, datetime | None] = (None, None)
    lasted: tuple[float | None, float | None] = (None, None)
    limit: int = 100
    offset: int = 0
    order_by: str = "task_id"
    """One of task_id, map_index, state, started_at, ended_at, try_number, duration ('-' in front: descending). Those
    without a value come last, equal ones by run, task id and map index."""


@dataclass(frozen=True, slots=True)
class WaitFilter:
    """Which waits a list shows. None: no condition."""

    kinds: tuple[str, ...] = (INPUT_KIND,)
    dag_id: str | None = None
    run_id: RunId | None = None
    task_id: str | None = None
    map_index: int | None = None
    answered: bool | None = False
    """Those that are answered stay until the try that asked is over."""
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class MissFilter:
    """Which missed deadlines and SLAs a list shows. None: no condition. Times are inclusive: not before, not after."""

    kind: str | None = None
    """`sla` or `deadline`."""
    dag_id: str | None = None
    run_ids: tuple[RunId, ...] | None = None
    due: tuple[datetime | None, datetime | None] = (None, None)
    at: tuple[datetime | None, datetime | None] = (None, None)
    limit: int = 100
    offset: int = 0
    order_by: str = "-at"
    """`at` (when it was recorded) or `due`, `-` in front: descending; equal ones by run and name."""


@dataclass(frozen=True, slots=True)
class XComFilter:
    """Which XComs of a run a list shows. None: no condition."""

    run_id: RunId
    task_id: str | None = None
    map_index: int | None = None
    key: str | None = None
    limit: int = 100
    offset: int = 0


class InstanceTally(NamedTuple):
    """So many instances of a task of a version are in a state."""

    dag_id: str
    version_hash: str
    task_id: str
    state: TaskState
    number: int


class FoundMiss(NamedTuple):
    """A miss and whose it is."""

    dag_run_id: str
    logical_date: datetime
    row: MissedDeadlineRow


class FoundWait(NamedTuple):
    """A wait and whose it is."""

    dag_id: str
    dag_run_id: str
    run_id: RunId
    row: WaitRow


class InstanceReads(Protocol):
    """What views read of runs that may be large."""

    async def instance_page(self, where: InstanceFilter) -> tuple[list[InstanceRow], int]:
        """A page of task instances and how many there are in all."""
        ...

    async def run_many(self, run_ids: Sequence[RunId]) -> list[RunRow]:
        """The runs of these numbers that there are, in no order."""
        ...

    async def instance_tally(self, states: Sequence[TaskState]) -> list[InstanceTally]:
        """How many instances of each task are in these states, in all runs that are running, in no order."""
        ...

    async def run_versions(self, dag_ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """The versions that runs (of these DAGs) began with, each once: DAG and hash, in this order."""
        ...

    async def attempt_latest(self, of: Sequence[InstanceRow]) -> list[AttemptRow]:
        """The attempt that began last of each of these task instances that has had one."""
        ...

    async def step_list(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[Step]:
        """The steps that a task instance has taken, in the order of their making."""
        ...

    async def xcom_page(self, where: XComFilter) -> tuple[list[XComEntry], int]:
        """A page of a run's XComs, by task, map index and key, and how many there are in all. Their values are empty:
        large ones need not be fetched from wherever they lie.
        """
        ...

    async def wait_page(self, where: WaitFilter) -> tuple[list[FoundWait], int]:
        """A page of what task instances wait for, by run (the oldest first), task, map index and key, and how many
        there are in all. Of a wait whose arguments no key opens, the answer is that error.
        """
        ...

    async def deadline_page(self, where: MissFilter) -> tuple[list[FoundMiss], int]:
        """A page of missed deadlines and SLAs, and how many there are in all."""
        ...

    async def state_page(
        self, scope: StateScope, limit: int, offset: int = 0, key: str | None = None
    ) -> tuple[list[KeptState], int]:
        """A page of what a task instance or an asset keeps, by key (or the one under `key`), and how many there are
        in all. What has expired is not among them.
        """
        ...


class StateWrites(Protocol):
    """What people change of kept values: whether an attempt is live does not matter."""

    async def state_put(self, scope: StateScope, key: str, value: str, expires_at: datetime | None = None) -> None:
        """Stores a value in place of the one that is there."""
        ...

    async def state_drop(self, scope: StateScope, key: str | None = None, *, every_index: bool = False) -> None:
        """Deletes a value, or all of the scope; with `every_index` those of all instances of a mapped task."""
        ...


class KeptStates(Protocol):
    """Values are JSON texts. No lease is needed: what counts is that the attempt that writes is live."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        ...

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> bool:
        """Stores a value in place of the one that is there. False: the attempt is not live, nothing was stored."""
        ...

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> bool:
        """Deletes a value, or all of the scope. False: the attempt is not live, nothing was deleted."""
        ...

    async def state_sweep(self) -> int:
        """Deletes the values whose time is over, and says how many there were."""
        ...
