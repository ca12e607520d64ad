"""What command line, web and embedding services ask of a runtime. Each method says its contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tradewind.authoring.instants import utc
from tradewind.model.assets import AssetEvent
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.loop import LoopReport
from tradewind.model.metrics import Metric
from tradewind.model.rows import DagRow, InstanceRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunType
from tradewind.model.waits import Signal
from tradewind.model.watches import WatchFacts
from tradewind.ports import NamedWrites, StoreReads


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """A wish for a run. Missing parts are made up: the logical date is now, the id
    ``manual__<logical date>``. `unpause` also switches a paused DAG on; with `while_paused` the
    run waits in the queue of a paused one. `external=False`: the run takes the place of a scheduled one, so
    templates see the schedule's dates before and after it.
    """

    dag_id: str
    conf: Mapping[str, Json] | None = None
    dag_run_id: str | None = None
    logical_date: datetime | None = None
    unpause: bool = False
    note: str | None = None
    run_type: RunType = RunType.MANUAL
    while_paused: bool = False
    external: bool = True
    data_interval: tuple[datetime, datetime] | None = None
    """Start and end; by default what the timetable gives a run by hand."""
    partition_key: str | None = None
    """Which part of the data the run is about. What its tasks send has this key, too."""
    run_after: datetime | None = None
    """From when on it may run, as its tasks see it; by default the logical date. It begins at once all the same."""

    def __post_init__(self) -> None:
        # Callers give dates of pendulum, too; the run's row goes to processes, which read plain ones only.
        object.__setattr__(self, "logical_date", utc(self.logical_date))
        object.__setattr__(self, "run_after", utc(self.run_after))
        if self.data_interval is not None:
            object.__setattr__(self, "data_interval", tuple(map(utc, self.data_interval)))


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that has just been committed. `kind`: dag, run, task or import_errors; or what a viewer fetches anew:
    queries (of a run's tasks), deadlines, watchers, loop.
    """

    kind: str
    dag_id: str = ""
    dag_run_id: str = ""
    dag: DagRow | None = None
    run: RunRow | None = None
    items: tuple[InstanceRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the parts work. `scheduler_beat` is the wall clock of the last beat."""

    database: bool
    scheduler: bool
    scheduler_beat: datetime | None
    version: str


class Control(Protocol):
    """What CLI, web and embedding services ask of a runtime (implemented by `host.Runtime`).

    Wishes go to the owner of the DAG, wherever it is, and return when it has committed them.
    """

    @property
    def reads(self) -> StoreReads:
        """What views read."""
        ...

    @property
    def named(self) -> NamedWrites:
        """Changes pools, variables and connections."""
        ...

    @property
    def log_root(self) -> str:
        """Folder of the attempt logs."""
        ...

    async def run_trigger(self, request: TriggerRequest) -> RunRow:
        """Raises NotFoundError, DagPausedError, ConflictError (the run exists),
        ParamValidationError (conf does not fit the DAG's params).
        """
        ...

    async def run_request(self, request: TriggerRequest, key: str) -> str:
        """Asks for the one run that there is for a key and does not wait for it: the wish is durable when this
        returns the run's id. It waits while the DAG is paused. Raises NotFoundError, ParamValidationError.
        """
        ...

    async def event_take_in(
        self, name: str, payload: Mapping[str, Json], key: str | None = None
    ) -> tuple[AssetEvent, bool]:
        """Takes in an event by its name and addresses it to the DAGs that wait for it, durable when this returns.
        False: the event of this name and key is known, and the one of then is returned. Raises NotFoundError where no
        DAG waits for it, ParamValidationError for a payload that is not JSON.
        """
        ...

    def assets_changed(self) -> None:
        """Wakes those who wait for a change of assets: one has come that no run has made."""
        ...

    async def secret(self, place: str) -> str | None:
        """The text of ``variable:NAME``, or the password of ``connection:ID``, from wherever these come; or None."""
        ...

    async def dag_pause(self, dag_id: str, *, paused: bool) -> DagRow:
        """Raises NotFoundError."""
        ...

    async def instances_clear(
        self,
        dag_id: str,
        dag_run_id: str,
        task_ids: Sequence[str],
        *,
        downstream: bool = True,
        map_indexes: Mapping[str, Sequence[int]] | None = None,
    ) -> list[InstanceRow]:
        """Makes finished task instances (and what follows them) run again; of the mapped tasks in `map_indexes`
        only those instances. Returns the instances of the tasks that were cleared. Raises NotFoundError.
        """
        ...

    async def run_cancel(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Marks the run failed and ends its attempts."""
        ...

    async def signal_send(self, dag_id: str, dag_run_id: str, signal: Signal) -> bool:
        """Sends a signal to a task instance that waits for it, or will: it is kept until then. Whether it goes on
        because of it. Raises NotFoundError, ConflictError (it has ended, or not begun).
        """
        ...

    async def why_waiting(
        self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = UNMAPPED
    ) -> tuple[str, ...]:
        """The reasons why a task of a run is not running; empty if it is. Of a mapped task: one instance, by
        default the first that has not ended. Raises NotFoundError.
        """
        ...

    async def run_wait(self, run_id: RunId, timeout: float | None = None) -> RunRow:
        """The run once it has finished. Raises TimeoutError after `timeout` seconds."""
        ...

    def live_events(self, dag_id: str | None = None) -> AsyncIterator[LiveEvent]:
        """Everything committed from now on. A slow reader loses the oldest and gets a `dag`
        event with an empty id, which means: fetch again.
        """
        ...

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """A number that grows with each change of `what`: the `runs` of a DAG, its instances (`tasks`) or `assets`.

        It is given as soon as it is not `since`, and after so many seconds (sooner, where the changes are made
        elsewhere) as it is. Who looks, asks with the number and looks again misses nothing.
        """
        ...

    def health(self) -> Health:
        """Whether the parts work, as far as this runtime knows."""
        ...

    def loop_report(self) -> LoopReport:
        """How coroutines share the loop of this runtime; of a process that carries no tasks it is empty."""
        ...

    async def metrics(self) -> Sequence[Metric]:
        """What this runtime has counted and holds in memory; nothing in a process without one. Asks no database."""
        ...

    def watches(self) -> Sequence[WatchFacts]:
        """How the watchers of assets get on that this runtime carries out, by asset and name."""
        ...
