"""A DAG that this runtime owns: its current version, its unfinished runs, its place in the limits."""

from __future__ import annotations

from bisect import insort
from datetime import datetime

from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunState, TaskState
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine


class OwnedDag:
    """The runs of one DAG in memory. Only unfinished runs, and finished ones whose attempts are
    still being ended, are here.
    """

    __slots__ = ("graphs", "is_arriving", "machines", "queued", "row", "running", "spec")

    def __init__(self, row: DagRow, spec: DagSpec) -> None:
        self.row = row
        self.is_arriving = False
        """Whether its unfinished runs are still on their way from the store: nothing begins before they are here."""
        self.spec = spec
        self.graphs: dict[str, Graph] = {}
        self.machines: dict[RunId, RunMachine] = {}
        self.queued: list[tuple[datetime, RunId]] = []
        self.running: set[RunId] = set()

    @property
    def dag_id(self) -> str:
        """The id of the DAG."""
        return self.row.dag_id

    @property
    def unfinished(self) -> int:
        """How many runs are queued or running."""
        return len(self.queued) + len(self.running)

    @property
    def limit_name(self) -> str:
        """The name of its `max_active_tasks` in admission."""
        return f"max_active_tasks of DAG {self.dag_id!r}"

    @property
    def limit_size(self) -> int:
        """A paused DAG starts nothing."""
        return 0 if self.row.is_paused else self.spec.max_active_tasks

    def graph(self, version_hash: str, spec: DagSpec) -> Graph:
        """The compiled version; shared by its runs."""
        graph = self.graphs.get(version_hash)
        if graph is None:
            used = {machine.run.version_hash for machine in self.machines.values()}
            self.graphs = {h: g for h, g in self.graphs.items() if h in used}
            graph = self.graphs[version_hash] = Graph(spec)
        return graph

    def add(self, machine: RunMachine) -> None:
        """Takes in a run in whatever state it is."""
        run = machine.run
        self.machines[run.run_id] = machine
        self._note_gone(machine)
        if run.state is RunState.QUEUED:
            self.enqueue(machine)
        elif run.state is RunState.RUNNING:
            self.running.add(run.run_id)

    def renew(self, row: DagRow, spec: DagSpec) -> None:
        """A new version of the DAG, or other facts about it, are in force."""
        self.row, self.spec = row, spec
        for machine in self.machines.values():
            self._note_gone(machine)

    def _note_gone(self, machine: RunMachine) -> None:
        """Which tasks of a run cannot be read any more. A run from a commit has its own copy of the file."""
        gone: frozenset[str] = frozenset()
        is_same_file = machine.facts.source.fileloc == self.row.source.fileloc
        if is_same_file and machine.run.version_hash != self.row.version_hash:
            gone = frozenset(machine.graph.index) - {task.task_id for task in self.spec.tasks}
        machine.gone = gone

    def enqueue(self, machine: RunMachine) -> None:
        """The run waits for its turn: earlier logical dates first."""
        place = (machine.run.logical_date, machine.run.run_id)
        self.running.discard(machine.run.run_id)  # cancelled and cleared within one turn
        if place not in self.queued:
            insort(self.queued, place)

    def next_to_activate(self) -> RunMachine | None:
        """Takes the next queued run, if one may become active now."""
        if self.row.is_paused or self.is_arriving or len(self.running) >= self.spec.max_active_runs:
            return None
        if not self.queued:
            return None
        _, run_id = self.queued.pop(0)
        self.running.add(run_id)
        return self.machines[run_id]

    def run_ended(self, run_id: RunId) -> None:
        """The run is no longer active."""
        self.running.discard(run_id)
        self.queued = [place for place in self.queued if place[1] != run_id]

    def forget(self, run_id: RunId) -> None:
        """Drops the run from memory."""
        self.run_ended(run_id)
        self.machines.pop(run_id, None)


def state_in(machine: RunMachine, task_id: str) -> TaskState | None:
    """The state of a task in a run, of a mapped one success where all its instances have ended well; None where
    its version has no such task.
    """
    n = machine.graph.index.get(task_id)
    if n is None:
        return None
    return machine.state[n] if machine.mapping is None else machine.mapping.summary(n)
