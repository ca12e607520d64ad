"""Triggers for runs of DAGs and for their tasks: woken by what changes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypedDict, Unpack, cast

from tradewind.authoring.access import TaskServices, current_attempt
from tradewind.authoring.instants import instant
from tradewind.authoring.triggers import BaseTrigger, TriggerEvent
from tradewind.model.errors import AuthoringError, NotFoundError
from tradewind.model.rows import RunRow

_MODULE: Final = "airflow.providers.standard.triggers.external_task"

SWEEP: Final = 30.0
"""Seconds after which runs are looked at though nobody has told of a change."""
GATHER: Final = 0.05
"""Seconds that pass between two looks at least: many tasks may end at once."""


class DagStateTrigger(BaseTrigger, kind="tradewind.dag_run"):
    """Fires once runs of a DAG, named by `run_ids` (else `execution_dates`), have all reached one of `states`.

    The payload is what `serialize` gives, with each run's state under its id. Runs that have reached a state and leave
    it before the others count as they are then.
    """

    def __init__(
        self,
        dag_id: str,
        states: Collection[Any],
        run_ids: Collection[str] | None = None,
        execution_dates: Collection[datetime] | None = None,
        poll_interval: float = 5.0,
    ) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.states = names(states)
        self.run_ids = list(run_ids) if run_ids is not None else None
        self.execution_dates = dates(execution_dates, "DagStateTrigger: execution_dates")
        self.poll_interval = poll_interval
        if not self.run_ids and not self.execution_dates:
            raise AuthoringError(f"DagStateTrigger for DAG {dag_id!r}: give run_ids or execution_dates")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        said = {name: getattr(self, name) for name in ("dag_id", "states", "run_ids", "execution_dates")}
        return f"{_MODULE}.DagStateTrigger", {**said, "poll_interval": self.poll_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the runs."""
        services = current_attempt.get().services
        were_there = False
        async for _ in looks(services, "runs", self.dag_id):
            runs = await self._runs(services)
            if runs is None and were_there:
                which = self.run_ids or [at.isoformat() for at in self.execution_dates or ()]
                raise NotFoundError(f"a run of DAG {self.dag_id!r} was deleted while it was waited for: one of {which}")
            were_there = runs is not None
            if runs is not None and all(run.state.value in self.states for run in runs):
                path, said = self.serialize()
                yield TriggerEvent((path, {**said, **{run.dag_run_id: run.state.value for run in runs}}))
                return

    async def _runs(self, services: TaskServices) -> list[RunRow] | None:
        """All of them; None while one is missing."""
        found: list[RunRow] = []
        for run_id in self.run_ids or ():
            run = await services.run_find(self.dag_id, run_id)
            if run is None:
                return None
            found.append(run)
        for at in () if self.run_ids else self.execution_dates or ():
            runs = await services.runs_at(self.dag_id, at)
            if not runs:
                return None
            found.append(max(runs, key=lambda row: row.run_id))
        return found


class WorkflowSettings(TypedDict, total=False):
    """What `WorkflowTrigger` waits for. `poke_interval` and `soft_fail` are kept and change nothing."""

    run_ids: Collection[str] | None
    execution_dates: Collection[datetime] | None
    logical_dates: Collection[datetime] | None
    external_task_ids: Collection[str] | None
    external_task_group_id: str | None
    failed_states: Iterable[Any] | None
    skipped_states: Iterable[Any] | None
    allowed_states: Iterable[Any] | None
    poke_interval: float
    soft_fail: bool


class WorkflowTrigger(BaseTrigger, kind="tradewind.task_instances"):
    """Fires once tasks, a task group or whole runs of a DAG have reached one of the states.

    Looked at are the runs in `run_ids`, else those with `logical_dates`; all of them have to be there. The payload is
    `{"status": …}`: `failed` once anything is in one of `failed_states`, `skipped` likewise, `success` once all is in
    `allowed_states`.
    """

    def __init__(self, external_dag_id: str, **settings: Unpack[WorkflowSettings]) -> None:
        super().__init__()
        ids, run_ids = settings.get("external_task_ids"), settings.get("run_ids")
        self.external_dag_id = external_dag_id
        self.external_task_ids = list(ids) if ids is not None else None
        self.external_task_group_id = settings.get("external_task_group_id")
        self.failed_states = names(settings.get("failed_states"))
        self.skipped_states = names(settings.get("skipped_states"))
        self.allowed_states = names(settings.get("allowed_states")) or ["success"]
        self.run_ids = list(run_ids) if run_ids is not None else None
        when = settings.get("logical_dates") or settings.get("execution_dates")
        self.logical_dates = dates(when, "WorkflowTrigger: logical_dates")
        self.poke_interval = settings.get("poke_interval", 2.0)
        self.soft_fail = settings.get("soft_fail", False)
        if self.run_ids is None and self.logical_dates is None:
            raise AuthoringError(f"WorkflowTrigger for DAG {external_dag_id!r}: give run_ids or logical_dates")

    @property
    def execution_dates(self) -> list[datetime] | None:
        """The older name of `logical_dates`."""
        return self.logical_dates

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        said = (
            *("external_dag_id", "external_task_ids", "external_task_group_id", "failed_states", "skipped_states"),
            *("allowed_states", "poke_interval", "soft_fail", "run_ids", "logical_dates"),
        )
        return f"{_MODULE}.WorkflowTrigger", {name: getattr(self, name) for name in said}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the states."""
        services = current_attempt.get().services
        of_tasks = bool(self.external_task_ids or self.external_task_group_id)
        async for _ in looks(services, "tasks" if of_tasks else "runs", self.external_dag_id):
            status = await self._status(services)
            if status is not None:
                yield TriggerEvent({"status": status})
                return

    async def _status(self, services: TaskServices) -> str | None:
        asked: Sequence[Any] = self.run_ids if self.run_ids is not None else self.logical_dates or ()
        found = [await self._states(services, await self._run(services, one)) for one in asked]
        seen = {state for states in found for state in states}
        if seen & set(self.failed_states):
            return "failed"
        if seen & set(self.skipped_states):
            return "skipped"
        allowed = set(self.allowed_states)
        return "success" if all(states and allowed.issuperset(states) for states in found) else None

    async def _run(self, services: TaskServices, asked: str | datetime) -> RunRow | None:
        if isinstance(asked, str):
            return await services.run_find(self.external_dag_id, asked)
        runs = await services.runs_at(self.external_dag_id, asked)
        return max(runs, key=lambda row: row.run_id, default=None)

    async def _states(self, services: TaskServices, run: RunRow | None) -> list[str]:
        if run is None:
            return []
        group = self.external_task_group_id
        return await states_in(services, run, tuple(self.external_task_ids or ()), group)


async def states_in(services: TaskServices, run: RunRow, task_ids: Sequence[str], group_id: str | None) -> list[str]:
    """The states of these tasks of the run, of all instances of each (`none`: there is none), or of the tasks of the
    group; without both the state of the run.
    """
    if not task_ids and not group_id:
        return [run.state.value]
    rows = await services.instance_list(run.run_id)
    if group_id:
        facts = await services.dag_facts(run.dag_id)
        task_ids = facts.groups.get(group_id, ()) if facts is not None else ()
    states: list[str] = []
    for task_id in task_ids:
        states += [row.state.value for row in rows if row.task_id == task_id] or ["none"]
    return states


async def looks(services: TaskServices, what: str, dag_id: str, *, sweep: float = SWEEP) -> AsyncIterator[None]:
    """Each time that it is time to look: now, after each change, and every `sweep` seconds."""
    since = await services.changes(what, dag_id, -1, 0)
    while True:
        yield
        await asyncio.sleep(GATHER)
        since = await services.changes(what, dag_id, since, max(sweep, GATHER))


def names(states: Iterable[Any] | None) -> list[str]:
    """States as texts."""
    return [str(getattr(state, "value", state)) for state in states or ()]


def dates(given: object, where: str) -> list[datetime] | None:
    """Dates in UTC. Raises AuthoringError naming `where`."""
    if given is None:
        return None
    if isinstance(given, (str, datetime)):
        raise AuthoringError(f"{where}: a list of dates is needed, not {given!r}")
    return [instant(one, where).astimezone(UTC) for one in cast("Iterable[object]", given)]
