"""The DAGs that this runtime owns and their unfinished runs, in memory, with their limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from tradewind.model.commands import Settled
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, RunSnapshot
from tradewind.model.specs import DagSpec
from tradewind.model.states import TaskState
from tradewind.ports import Store
from tradewind.rules.admission import Admission, Place, task_limits
from tradewind.rules.past import past_is_settled, past_of, tasks_asked_of_past
from tradewind.rules.run_machine import RunMachine
from tradewind.services.owned_dag import OwnedDag, state_in

_IN_ADMISSION = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING, TaskState.RESTARTING})


class RunBook:
    """Who owns which run machine. Nothing here decides; it finds, keeps and forgets."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dags: dict[str, OwnedDag] = {}
        self.runs: dict[RunId, RunMachine] = {}
        self.admission = Admission()
        self.on_added: list[Callable[[RunMachine], None]] = []
        """Called with each run that is taken in."""
        self._previous: dict[RunId, tuple[datetime, RunId] | None] = {}
        """For runs with tasks that depend on their past: the run that is their past."""

    def own(self, row: DagRow, spec: DagSpec) -> OwnedDag:
        """Takes in a DAG, or a new version or switch of one that is here."""
        dag = self.dags.get(row.dag_id)
        limits = task_limits(spec)
        if dag is None:
            dag = self.dags[row.dag_id] = OwnedDag(row, spec)
        else:
            limits = dict.fromkeys(task_limits(dag.spec), -1) | limits
            # Only we change these two, and what was read may be older than what we have decided.
            dag.renew(dataclasses.replace(row, is_paused=dag.row.is_paused, cursor=dag.row.cursor), spec)
        self.admission.resize(dag.limit_name, dag.limit_size)
        for name, size in limits.items():
            self.admission.resize(name, size)
        return dag

    def add(self, machine: RunMachine) -> OwnedDag:
        """Takes in a run."""
        dag = self.dags[machine.run.dag_id]
        dag.add(machine)
        self.runs[machine.run.run_id] = machine
        for tell in self.on_added:
            tell(machine)
        return dag

    def rebuild(self, snapshot: RunSnapshot) -> RunMachine:
        """A machine for a run of the store, as it is there. Not taken in yet."""
        dag = self.dags[snapshot.run.dag_id]
        graph = dag.graph(snapshot.run.version_hash, snapshot.spec)
        machine = RunMachine(snapshot.run, graph, snapshot.source)
        machine.restore(snapshot.instances, snapshot.live, snapshot.lengths, snapshot.waits)
        return machine

    def find(self, dag_id: str, dag_run_id: str) -> RunMachine | None:
        """A run in memory by the name that people use."""
        dag = self.dags.get(dag_id)
        if dag is None:
            return None
        return next((m for m in dag.machines.values() if m.run.dag_run_id == dag_run_id), None)

    def forget(self, machine: RunMachine) -> None:
        """Drops a run from memory, and what it holds of the limits."""
        run_id = machine.run.run_id
        for n in [n for n, state in enumerate(machine.state) if state in _IN_ADMISSION]:
            self.admission.free(Place(run_id, n))
        self.dags[machine.run.dag_id].forget(run_id)
        self.runs.pop(run_id, None)
        self._previous.pop(run_id, None)
        self.admission.forget_run(run_id)

    def clear(self) -> None:
        """Forgets everything."""
        self.dags.clear()
        self.runs.clear()
        self._previous.clear()
        self.admission = Admission()

    async def past_of(
        self, machine: RunMachine, coming: Mapping[RunId, RunMachine] = MappingProxyType({})
    ) -> dict[str, bool]:
        """For the tasks of a run that depend on their past, whether the previous run lets them start. `coming`
        are runs that are about to be taken in.
        """
        graph, run = machine.graph, machine.run
        if not graph.past_nodes:
            return {}
        before = await self._store.run_before(run.dag_id, run.logical_date)
        if before is None:
            self._previous[run.run_id] = None
            return past_of(graph, lambda task_id: None)
        self._previous[run.run_id] = (before.logical_date, before.run_id)
        here = self.runs.get(before.run_id) or coming.get(before.run_id)
        if here is not None:
            return past_of(graph, lambda task_id: state_in(here, task_id))
        found = await self._store.past_states(run.dag_id, run.logical_date, tasks_asked_of_past(graph))
        rows = {task_id: row.state for task_id, row in found.items() if row.run_id == before.run_id}
        return past_of(graph, rows.get)

    def released_by(self, settled: Settled) -> Iterator[tuple[RunMachine, str]]:
        """The tasks of the next run that `settled` lets start; those that it holds up are noted."""
        machine = self.runs[settled.run_id]
        place = (machine.run.logical_date, machine.run.run_id)
        for successor in list(self.dags[machine.run.dag_id].machines.values()):
            if self._previous.get(successor.run.run_id) == place:
                yield from _released(machine, successor)

    def put_between(self, machine: RunMachine) -> Iterator[tuple[RunMachine, str]]:
        """A new run may be the previous one of a run that has begun: that one looks at it from now on. The
        tasks that this lets start; those that it holds up are noted.
        """
        place = (machine.run.logical_date, machine.run.run_id)
        for successor in list(self.dags[machine.run.dag_id].machines.values()):
            run = successor.run
            if run.run_id not in self._previous or run.logical_date <= machine.run.logical_date:
                continue
            before = self._previous[run.run_id]
            if before is None or before < place:
                self._previous[run.run_id] = place
                yield from _released(machine, successor)


def _released(machine: RunMachine, successor: RunMachine) -> Iterator[tuple[RunMachine, str]]:
    graph = successor.graph
    for n in graph.past_nodes:
        if not past_is_settled(graph, n, lambda task_id: state_in(machine, task_id)):
            successor.past[n] = False
        elif not successor.past.get(n, True):
            yield successor, graph.tasks[n].task_id
