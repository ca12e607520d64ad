"""What must hold whenever nothing is under way: nothing is lost, and memory is what the store says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from tests.simulation.dags import PARALLELISM, SLOTS
from tests.simulation.journal import tasks_of
from tests.simulation.mapped_reference import MappedReference
from tests.simulation.mapped_reference import Place as InstancePlace
from tests.simulation.process import Process
from tests.simulation.reference import WAIT, says
from tests.simulation.wait_checks import is_going, left_running, needs_no_slot, wait_findings, why_deferred
from tradewind.model.keys import RunId
from tradewind.model.states import FINISHED, HOLDS_SLOT, RUN_FINISHED, RunState, TaskState
from tradewind.rules.admission import Place
from tradewind.rules.run_ledger import COUNTED
from tradewind.rules.run_machine import RunMachine
from tradewind.services.owned_dag import OwnedDag
from tradewind.store.bounds import visible
from tradewind.store.memory_tables import MemoryDatabase, RunTables
from tradewind.testing.simulated_executor import Cluster

_PAST_GOOD: Final = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED})
_TICK: Final = timedelta(milliseconds=10)
_ASKED_AGAIN_WITHIN: Final = timedelta(seconds=2)
"""After a lost connection the store is asked for permits and DAGs again."""
_HAS_TO_GO: Final = HOLDS_SLOT | {TaskState.DEFERRED}
_WAITS_FOR_A_TIME: Final = frozenset({TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE})


class Inspector:
    """Looks at one healthy process and the database."""

    def __init__(self, process: Process, database: MemoryDatabase, cluster: Cluster) -> None:
        self.process = process
        self.database = database
        self.cluster = cluster
        self.book = process.scheduler.book
        self.now = cluster.now()

    def findings(self) -> Iterator[str]:
        """Everything that is wrong."""
        me = self.process.scheduler.lease.runtime_id
        for dag in self.database.dags.values():
            if dag.owner == me and dag.dag_id not in self.book.dags and not self._was_away():
                yield f"{dag.dag_id} is owned and not in memory"
            here = self.book.dags.get(dag.dag_id)
            if dag.owner == me and here is not None and here.row.is_paused != dag.is_paused:
                yield f"{dag.dag_id} is paused in the store: {dag.is_paused}; in memory: {here.row.is_paused}"
            if dag.owner == me and here is not None and here.row.version_hash != here.spec.content_hash():
                yield f"{dag.dag_id} has the row of one version and the tasks of another"
        for run_id, tables in self.database.runs.items():
            owned = self.book.dags.get(tables.row.dag_id)
            if owned is None or self.database.dags[tables.row.dag_id].owner != me:
                continue
            machine = self.book.runs.get(run_id)
            run = tables.run()
            if machine is None:
                if run.state not in RUN_FINISHED:
                    yield f"run {run.dag_run_id} is {run.state} and nobody has it in memory"
                elif tables.live or tables.waits:
                    yield f"run {run.dag_run_id} is {run.state} with live attempts and nobody has it in memory"
                continue
            yield from self._same(machine, tables)
            yield from self._why_not(owned, machine, tables)
            yield from wait_findings(self.process, machine, tables)
        yield from left_running(self.process)
        yield from self._limits()

    def _same(self, machine: RunMachine, tables: RunTables) -> Iterator[str]:
        """Memory against the rows, counters against a count."""
        name = f"run {machine.run.dag_run_id}"
        if machine.run.state is not tables.run().state:
            yield f"{name} is {machine.run.state} in memory and {tables.run().state} in the store"
        nodes = list(_nodes(machine))
        counts = Counter(machine.state[n] for n in nodes)
        if {s: c for s, c in machine.counts.items() if c} != dict(counts):
            yield f"{name}: counters say {machine.counts}, instances {dict(counts)}"
        if machine.unfinished != sum(machine.state[n] not in FINISHED for n in nodes):
            yield f"{name}: {machine.unfinished} unfinished by the counter"
        places = {(machine.tasks[n].task_id, machine.maps[n]): n for n in nodes}
        beyond = visible_places(tables) - places.keys() - _unknown(machine, tables)
        if beyond:
            yield f"{name}: {sorted(beyond)} are in the store and not in memory"
        reference = MappedReference(machine.graph.spec)
        states = {place: machine.state[n] for place, n in places.items()}
        for place, n in places.items():
            row = tables.instance(place)
            if row is None:
                yield f"{name}: {place} has no row"
                continue
            state = machine.state[n]
            unwritten = state is TaskState.SCHEDULED and row.state is TaskState.NONE
            mine = (state, machine.tries[n], machine.max_tries[n], machine.lost[n])
            if not unwritten and mine != (row.state, row.try_number, row.max_tries, row.lost_count):
                yield f"{name}: {place} is {mine} in memory and {row} in the store"
            has_attempt = state in HOLDS_SLOT and not needs_no_slot(machine, n)
            if has_attempt and (row.attempt is None or machine.live.get(row.attempt) != n):
                yield f"{name}: {place} is {state} and its attempt is not in memory"
            seen = Counter(reference.upstream(states, place))
            tally = machine.tally(n)
            told = dict(zip(COUNTED, (tally.success, tally.failed, tally.skipped, tally.upstream_failed), strict=True))
            if tally.total != seen.total() or any(seen[s] != count for s, count in told.items()):
                yield f"{name}: {place} counts {tally}, not {dict(seen)}"

    def _why_not(self, dag: OwnedDag, machine: RunMachine, tables: RunTables) -> Iterator[str]:
        """Why each instance that has not ended waits; no reason is a finding."""
        run = machine.run
        if run.state is RunState.QUEUED:
            running = sum(
                t.row.dag_id == run.dag_id and t.run().state is RunState.RUNNING for t in self.database.runs.values()
            )
            if not self.database.dags[run.dag_id].is_paused and running < dag.spec.max_active_runs:
                yield f"run {run.dag_run_id} is queued although it could be active"
        if run.state is RunState.RUNNING and not machine.unfinished:
            yield f"run {run.dag_run_id} has nothing left to do and does not end"
        for n in _nodes(machine):
            state = machine.state[n]
            if state not in FINISHED and (run.state is RunState.RUNNING or state in _HAS_TO_GO):
                reason = self._reason(machine, tables, n)
                if reason is None:
                    task_id = f"{machine.tasks[n].task_id}[{machine.maps[n]}]"
                    yield f"{task_id} of run {run.dag_run_id} is {state} and waits for nothing"

    def _reason(self, machine: RunMachine, tables: RunTables, n: int) -> str | None:
        state, task = machine.state[n], machine.tasks[n]
        place = (task.task_id, machine.maps[n])
        if state is TaskState.NONE:
            reference = MappedReference(machine.graph.spec)
            states = {(machine.tasks[m].task_id, machine.maps[m]): machine.state[m] for m in _nodes(machine)}
            seen = reference.upstream(states, place)
            if says(task.trigger_rule, [s for s in seen if s in FINISHED], len(seen)) is WAIT:
                return "upstream"
            if any(s not in FINISHED for s in reference.source_states(states, task)):
                return "length"
            if reference.waits_for_its_own_index(states, place):
                return "its own index"
            return self._past(machine, n)
        if state is TaskState.DEFERRED:
            return why_deferred(self.process, machine, tables, n)
        if n in machine.held or needs_no_slot(machine, n):
            return "its trigger is going" if is_going(self.process, machine, n) else None
        if state is TaskState.SCHEDULED:
            return self._full(machine, n)
        due = machine.active[n].due_at
        if state in _WAITS_FOR_A_TIME:
            return "time" if due is not None and due > self.now - _TICK else None
        row = tables.instance(place)
        flight = self.cluster.flights.get(row.attempt) if row is not None and row.attempt is not None else None
        if flight is None or not flight.is_running or not flight.carrier.is_alive:
            return None
        if flight.carrier not in self.process.executors.values():
            return None
        to_be_ended = (
            state is TaskState.RESTARTING or machine.is_stopped(n) or machine.run.state is not RunState.RUNNING
        )
        return "attempt" if flight.cancelled or not to_be_ended or flight.undoes else None

    def _past(self, machine: RunMachine, n: int) -> str | None:
        """Whether the run before this one holds the task up, by its rows."""
        task, row = machine.tasks[n], machine.run
        if not (task.depends_on_past or task.wait_for_downstream):
            return None
        earlier = [
            t
            for t in self.database.runs.values()
            if t.row.dag_id == row.dag_id and t.row.logical_date < row.logical_date
        ]
        asked = [task.task_id]
        if task.wait_for_downstream:
            asked += [machine.graph.tasks[d].task_id for d in machine.graph.down[machine.graph.index[task.task_id]]]
        for task_id in asked:
            before = [t for t in earlier if task_id in tasks_of(self.database, t)]
            if not before:
                continue
            rows = max(before, key=lambda t: (t.row.logical_date, t.row.run_id)).instance_rows()
            if any(row.state not in _PAST_GOOD for row in rows if row.task_id == task_id):
                return "past"
        return None

    def _full(self, machine: RunMachine, n: int) -> str | None:
        """The limit that has no room, counted anew from what runs in this process."""
        task, run = machine.tasks[n], machine.run
        if self.database.dags[run.dag_id].is_paused:
            return "paused"
        used = self._used()
        spec = self.book.dags[run.dag_id].spec
        sizes = {
            f"pool {task.pool}": (self.database.pools[task.pool].slots, task.pool_slots),
            f"dag {run.dag_id}": (spec.max_active_tasks, 1),
            f"executor {task.executor}": (SLOTS if task.executor == "local" else 1 << 30, 1),
            f"task {run.dag_id}.{task.task_id}": (task.max_active_tis_per_dag or 1 << 30, 1),
            f"task {run.run_id}.{task.task_id}": (task.max_active_tis_per_dagrun or 1 << 30, 1),
        }
        if task.executor != "inline":
            sizes["parallelism"] = (PARALLELISM, 1)
        full = next((name for name, (size, cost) in sizes.items() if used[name] + cost > size), None)
        return (
            full
            or self._share(f"pool {task.pool!r}", used[f"pool {task.pool}"] + task.pool_slots)
            or (self._share("parallelism", used["parallelism"] + 1) if task.executor != "inline" else None)
        )

    def _share(self, name: str, needed: int) -> str | None:
        """Whether there are other runtimes, or the database was away, so that missing permits come within a second or
        two.
        """
        held = self.database.grants.get(name, {})
        mine = held.get(self.process.scheduler.lease.runtime_id, 0)
        me = self.process.scheduler.lease.runtime_id
        others = any(number != me for number in self._living()) or self.process.runtime.services.permits.has_peers
        others = others or self._was_away()
        return f"{name} is shared" if others and (mine < needed or self.process.shares(name) < needed) else None

    def _was_away(self) -> bool:
        """Whether the database could not be reached a moment ago, so that something may have to be asked again."""
        troubled_at = self.process.store.troubled_at
        return troubled_at is not None and self.now - troubled_at < _ASKED_AGAIN_WITHIN

    def _living(self) -> list[int]:
        return [number for number, record in self.database.runtimes.items() if record.alive]

    def _used(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for run_id, machine in self.book.runs.items():
            for n, state in enumerate(machine.state):
                if state in HOLDS_SLOT and not (needs_no_slot(machine, n) or self._undoes(machine, n)):
                    task, dag_id = machine.tasks[n], machine.run.dag_id
                    used[f"pool {task.pool}"] += task.pool_slots
                    used[f"executor {task.executor}"] += 1
                    used[f"dag {dag_id}"] += 1
                    used[f"task {dag_id}.{task.task_id}"] += 1
                    used[f"task {run_id}.{task.task_id}"] += 1
                    used["parallelism"] += task.executor != "inline"
        return used

    def _undoes(self, machine: RunMachine, n: int) -> bool:
        """Whether the attempt is there to undo something: it asks for no limit."""
        active = machine.active.get(n)
        flight = None if active is None or active.attempt is None else self.cluster.flights.get(active.attempt)
        return flight is not None and flight.undoes

    def _limits(self) -> Iterator[str]:
        """What admission counts against a count."""
        used, admission = self._used(), self.book.admission
        for pool in self.database.pools:
            counted = admission.used(f"pool {pool!r}")
            if counted != used[f"pool {pool}"]:
                yield f"pool {pool}: admission counts {counted}, {used[f'pool {pool}']} are used"
        if admission.used("parallelism") != used["parallelism"]:
            yield f"parallelism: admission counts {admission.used('parallelism')}, not {used['parallelism']}"
        for kind in self.process.executors:
            if admission.used(f"executor {kind!r}") != used[f"executor {kind}"]:
                yield f"executor {kind}: admission counts {admission.used(f'executor {kind!r}')}"
        for run_id, machine in self.book.runs.items():
            for n, state in enumerate(machine.state):
                waits = admission.why_waiting(Place(RunId(run_id), n)) is not None
                if waits != (state is TaskState.SCHEDULED and n not in machine.held):
                    yield f"{machine.tasks[n].task_id} is {state}; in a lane: {waits}"


def _nodes(machine: RunMachine) -> Iterator[int]:
    """The nodes that stand for an instance."""
    for task in range(len(machine.graph)):
        yield from machine.nodes_of(task)


def unknown_permits(database: MemoryDatabase, process: Process) -> Iterator[str]:
    """Shared limits of which the process counts with more or less than the store has granted to it."""
    me = process.scheduler.lease.runtime_id
    for name, held in database.grants.items():
        granted, counted = held.get(me, 0), process.shares(name)
        in_use = process.scheduler.book.admission.used(name)
        if granted != counted and not counted < granted <= in_use:  # a smaller size; what runs is let run
            yield f"{process.name} counts with {counted} of {name}, and was granted {granted}"
    for name, held in database.grants.items():
        for dead in [number for number in held if not database.runtimes[number].alive]:
            yield f"runtime {dead} is no more, and {held[dead]} of {name} are granted to it"


def visible_places(tables: RunTables) -> set[InstancePlace]:
    """The instances that are there; while a mapped task's own row is there, it alone."""
    return {(row.task_id, row.map_index) for row in visible(tables.instance_rows())}


def _unknown(machine: RunMachine, tables: RunTables) -> set[InstancePlace]:
    """Rows of tasks that the run's version does not have."""
    return {place for place in tables.instances if place[0] not in machine.graph.index}
