"""The DAGs that this runtime owns and their unfinished runs, in memory, with their limits."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.model.commands import Settled
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, RunSnapshot
from tradewind.model.specs import DagSpec
from tradewind.model.states import TaskState
from tradewind.ports import Store
from tradewind.rules.admission import Admission, Place
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

    def own(self, row: DagRow, spec: DagSpec) -> OwnedDag:
        """Takes in a DAG, or a new version or switch of one that is here."""
        dag = self.dags.get(row.dag_id)
        if dag is None:
            dag = self.dags[row.dag_id] = OwnedDag(row, spec)
        else:
            dag.row, dag.spec = row, spec
        self.admission.resize(dag.limit_name, dag.limit_size)
        return dag

    def add(self, machine: RunMachine) -> OwnedDag:
        """Takes in a run."""
        dag = self.dags[machine.run.dag_id]
        dag.add(machine)
        self.runs[machine.run.run_id] = machine
        return dag

    def rebuild(self, snapshot: RunSnapshot) -> RunMachine:
        """A machine for a run of the store, still without its rows."""
        dag = self.dags[snapshot.run.dag_id]
        graph = dag.graph(snapshot.run.version_hash, snapshot.spec)
        machine = RunMachine(snapshot.run, graph, snapshot.source)
        self.add(machine)
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
        self.admission.forget_run(run_id)

    def clear(self) -> None:
        """Forgets everything."""
        self.dags.clear()
        self.runs.clear()
        self.admission = Admission()

    async def past_of(self, machine: RunMachine) -> dict[str, bool]:
        """For the tasks of a run that depend on their past, whether the previous run lets them start."""
        graph = machine.graph
        if not graph.past_nodes:
            return {}
        dag = self.dags[machine.run.dag_id]
        before = dag.before(machine.run.logical_date)
        if before is not None:
            return past_of(graph, lambda task_id: state_in(before, task_id))
        asked = tasks_asked_of_past(graph)
        rows = await self._store.past_states(dag.dag_id, machine.run.logical_date, asked)
        return past_of(graph, lambda task_id: rows[task_id].state if task_id in rows else None)

    def released_by(self, settled: Settled) -> Iterator[tuple[RunMachine, str]]:
        """The tasks of the next run that `settled` lets start; those that it holds up are noted."""
        machine = self.runs[settled.run_id]
        successor = self.dags[machine.run.dag_id].after(machine.run.logical_date)
        if successor is None:
            return
        graph = successor.graph
        for n in graph.past_nodes:
            if not past_is_settled(graph, n, lambda task_id: state_in(machine, task_id)):
                successor.past[n] = False
            elif not successor.past.get(n, True):
                yield successor, graph.tasks[n].task_id
