"""Deadlines of runs and SLAs of tasks: one heap entry each; what is missed is recorded once and told.

A deadline is armed when its run is taken into memory (created, or taken over from another runtime), so a
crash loses none: what passed meanwhile is due at once, and what has been told is in the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

import orjson

from tradewind.model.batch import OutboxRow
from tradewind.model.errors import Fenced, StoreUnavailable
from tradewind.model.keys import RunId
from tradewind.model.rows import DeadlineMiss, Lease, RunRow
from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RUN_FINISHED, RunState, TaskState
from tradewind.ports import Clock, RunFilter, Store
from tradewind.rules.alerts import ENDED_WELL, deadline_of, miss_of, sla_moments, slas_of
from tradewind.rules.run_machine import RunMachine
from tradewind.services.run_book import RunBook
from tradewind.services.timers import Timers

log = logging.getLogger(__name__)

AGAIN_AFTER: Final = 5.0
"""Seconds after which a miss is recorded once more, where the database was away."""

LOOK_BACK: Final = timedelta(days=1)
"""A miss of a run that had failed is told that long after its moment, where no runtime was there before."""

FAILED_RUNS: Final = 100
"""So many of a DAG's newest failed runs are looked at."""

_IN_THE_WAY: Final = frozenset(
    {TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING, TaskState.DEFERRED}
    | {TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE, TaskState.FAILED}
)


States = Mapping[str, Sequence[TaskState]]
"""Task id to the states of its instances."""


class _Due(NamedTuple):
    """What is to be looked at when the time has come: the tasks of an SLA, or one of the DAG's deadlines."""

    run_id: RunId
    at: datetime
    tasks: tuple[str, ...] = ()
    number: int = -1


class DeadlineKeeper:
    """Watches the runs in memory. A run without deadlines costs a look at its DAG."""

    def __init__(self, store: Store, clock: Clock, book: RunBook) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._timers: Timers[_Due] = Timers(clock, self._on_due)
        self._work: asyncio.Queue[_Due | RunMachine | str] = asyncio.Queue()
        """What is to be looked at: a moment that has come, a run that has, or a DAG, by its id."""
        self._looked_back: set[str] = set()
        self._known: dict[str, bool] = {}
        book.on_added.append(self.watch)
        self.on_missed: list[Callable[[], None]] = []
        """Called after a miss was recorded: the outbox may have something."""

    def watch(self, machine: RunMachine) -> None:
        """Arms what the run has to keep."""
        if machine.run.state in RUN_FINISHED or not self._has_any(machine):
            return
        spec, run = machine.graph.spec, machine.run
        for at, tasks in sla_moments(run, spec):
            self._timers.arm(at, _Due(run.run_id, at, tuple(task.task_id for task in tasks)))
        if spec.extra.get("deadlines"):
            self._work.put_nowait(machine)

    def look_back(self) -> None:
        """DAGs have come: runs of theirs that have failed lately may have SLAs still to come, or missed meanwhile."""
        for dag in self._book.dags.values():
            if dag.dag_id not in self._looked_back and slas_of(dag.spec):
                self._looked_back.add(dag.dag_id)
                self._work.put_nowait(dag.dag_id)

    async def _arm_failed(self, dag_id: str) -> None:
        runs, _ = await self._store.run_list(RunFilter(dag_id, (RunState.FAILED,), limit=FAILED_RUNS))
        since = self._clock.now() - LOOK_BACK
        specs: dict[str, DagSpec] = {}
        for run in runs:
            spec = specs.get(run.version_hash)
            if spec is None:
                version = await self._store.dag_version_get(dag_id, run.version_hash)
                if version is None:
                    continue
                spec = specs[run.version_hash] = version.spec
            for at, tasks in sla_moments(run, spec):
                if at > since:
                    self._timers.arm(at, _Due(run.run_id, at, tuple(task.task_id for task in tasks)))

    def forget(self) -> None:
        """Drops everything: another runtime watches now."""
        self._timers.stop()
        self._work = asyncio.Queue()
        self._looked_back.clear()

    async def run(self, lease: Lease) -> None:
        """Records what is missed, one after the other. Raises Fenced."""
        while True:
            one = await self._work.get()
            try:
                if isinstance(one, RunMachine):
                    await self._arm_alerts(one)
                elif isinstance(one, str):
                    await self._arm_failed(one)
                else:
                    await self._judge(lease, one)
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(AGAIN_AFTER, self._work.put_nowait, one)
            except Fenced:
                raise
            except Exception:  # whatever it is, it concerns this run or DAG alone
                log.exception("a deadline cannot be kept: %s", one.run if isinstance(one, RunMachine) else one)

    def _has_any(self, machine: RunMachine) -> bool:
        version = machine.run.version_hash
        known = self._known.get(version)
        if known is None:
            spec = machine.graph.spec
            known = bool(spec.extra.get("deadlines")) or any("sla" in task.extra for task in spec.tasks)
            self._known[version] = known
        return known

    def _on_due(self, _: datetime, due: _Due) -> None:
        self._work.put_nowait(due)

    async def _arm_alerts(self, machine: RunMachine) -> None:
        run = machine.run
        for number, alert in enumerate(_alerts_of(machine.graph.spec)):
            runtimes = await self._runtimes(run.dag_id, int(alert.get("runs", 0)))
            at = deadline_of(alert, run, runtimes)
            if at is not None:
                self._timers.arm(at, _Due(run.run_id, at, number=number))

    async def _runtimes(self, dag_id: str, count: int) -> list[float]:
        """How long the last good runs took, in seconds."""
        if not count:
            return []
        runs, _ = await self._store.run_list(RunFilter(dag_id, (RunState.SUCCESS,), limit=count))
        return [
            (run.ended_at - run.started_at).total_seconds()
            for run in runs
            if run.started_at is not None and run.ended_at is not None
        ]

    async def _judge(self, lease: Lease, due: _Due) -> None:
        machine = self._book.runs.get(due.run_id)
        if machine is None or machine.run.state in RUN_FINISHED:
            if due.number < 0:
                await self._sla_of_ended(lease, due)
        elif due.number >= 0:
            await self._alert(lease, machine, due)
        else:
            await self._sla(lease, machine.run, machine.graph.spec, states_in(machine), due)

    async def _sla_of_ended(self, lease: Lease, due: _Due) -> None:
        """The SLAs of a run that has failed hold, too."""
        run = await self._store.run_by_id(due.run_id)
        if run is None or run.state is not RunState.FAILED or run.dag_id not in self._book.dags:
            return
        version = await self._store.dag_version_get(run.dag_id, run.version_hash)
        if version is None:
            return
        states: dict[str, list[TaskState]] = {}
        for row in await self._store.instance_list(run.run_id):
            if row.state is not TaskState.REMOVED:
                states.setdefault(row.task_id, []).append(row.state)
        await self._sla(lease, run, version.spec, states, due)

    async def _alert(self, lease: Lease, machine: RunMachine, due: _Due) -> None:
        alert = _alerts_of(machine.graph.spec)[due.number]
        run = machine.run
        name = f"deadline {alert.get('name') or due.number}"
        body = orjson.dumps({"kind": "deadline", "name": alert.get("name"), "alert": alert})
        callback = {"which": "deadline", "number": due.number, "at": due.at, "reason": f"{name} was missed"}
        outbox = [OutboxRow("deadline", orjson.dumps(callback))]
        await self._record(lease, DeadlineMiss(run.run_id, run.dag_id, name, due.at, body), outbox)

    async def _sla(self, lease: Lease, run: RunRow, spec: DagSpec, states: States, due: _Due) -> None:
        late, blocking = _late_of(spec, states, run, due)
        if not late:
            return
        told: dict[str, Any] = {"which": "sla_miss", "tasks": late, "blocking": blocking}
        outbox: list[OutboxRow] = []
        if spec.extra.get("sla_miss_callback"):
            outbox.append(OutboxRow("sla_miss", orjson.dumps(told)))
        ids = {one["task_id"] for one in late}
        to = [task.extra["email"] for task in spec.tasks if task.task_id in ids and task.extra.get("email")]
        if to:
            outbox.append(OutboxRow("sla_email", orjson.dumps({**told, "to": to})))
        miss = DeadlineMiss(run.run_id, run.dag_id, f"sla {due.at.isoformat()}", due.at, orjson.dumps(told))
        await self._record(lease, miss, outbox)

    async def _record(self, lease: Lease, miss: DeadlineMiss, outbox: Sequence[OutboxRow]) -> None:
        if not await self._store.deadline_miss(lease, miss, outbox):
            return
        log.warning("DAG %s: %s was due at %s", miss.dag_id, miss.name, miss.due.isoformat())
        for tell in self.on_missed:
            tell()


def _alerts_of(spec: DagSpec) -> list[Mapping[str, Json]]:
    return cast("list[Mapping[str, Json]]", spec.extra.get("deadlines") or [])


def states_in(machine: RunMachine) -> States:
    """The states of the instances of each task."""
    nodes_of, index = machine.nodes_of, machine.graph.index
    return {task.task_id: [machine.state[n] for n in nodes_of(index[task.task_id])] for task in machine.graph.tasks}


def _late_of(
    spec: DagSpec, states: States, run: RunRow, due: _Due
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tasks of this SLA that have not ended well, and what else is under way or has failed."""
    late: list[dict[str, Any]] = []
    blocking: list[dict[str, Any]] = []
    for task in spec.tasks:
        own = states.get(task.task_id, ())
        bad = next((state for state in own if state not in ENDED_WELL), None)
        if task.task_id in due.tasks and (bad is not None or not own):
            late.append(miss_of(run.dag_id, task.task_id, run, bad or TaskState.NONE, due.at))
        elif bad is not None and bad in _IN_THE_WAY:
            blocking.append(miss_of(run.dag_id, task.task_id, run, bad, due.at))
    return late, blocking
