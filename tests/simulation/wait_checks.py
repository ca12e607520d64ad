"""What must hold of waits whenever nothing is under way: each is carried once, by the one who owns its DAG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from tests.simulation.process import Process
from tests.simulation.wait_journal import has_trigger
from tradewind.model.states import TaskState
from tradewind.model.waits import WaitKey, WaitRow
from tradewind.rules.run_machine import RunMachine
from tradewind.store.memory_tables import RunTables

_TICK = timedelta(milliseconds=10)


def wait_findings(process: Process, machine: RunMachine, tables: RunTables) -> Iterator[str]:
    """The waits of one run: the store's, those in memory, and those that the executor carries."""
    name, carrier = f"run {machine.run.dag_run_id}", process.waits
    rows = {_key(machine, row): row for row in tables.waits.values() if row.task_id in machine.graph.index}
    known = {
        WaitKey(p.origin, machine.run.run_id, machine.tasks[n].task_id, machine.maps[n], p.wait.key): p
        for n, waits in machine.waits.items()
        for p in waits
    }
    for key in rows.keys() ^ known.keys():
        yield f"{name}: the wait {key[2:]} is in the {'store' if key in rows else 'memory'} alone"
    for key, row in rows.items():
        if key in known and known[key].answer != row.answer:
            yield f"{name}: {key[2:]} has the answer {known[key].answer} in memory and {row.answer} in the store"
        flight = carrier.waits.get(key)
        is_gone = key in known and known[key].is_gone  # kept for what undoes it
        if (
            has_trigger(row)
            and not is_gone
            and (flight is None or not (flight.can_fire or flight.is_ending or flight.again))
        ):
            yield f"{name}: nobody carries the wait {key[2:]}"
    for key, flight in carrier.waits.items():
        wanted = key in rows and has_trigger(rows[key])
        if key.run_id == machine.run.run_id and not (wanted or flight.is_ending or flight.has_fired):
            yield f"{name}: the trigger of {key[2:]} runs, and nobody waits for it"


def left_running(process: Process) -> Iterator[str]:
    """Triggers of runs that are not in memory: nobody will hear of them. One that is about to end may outlive its run,
    where that was over when it was loaded anew.
    """
    for key, flight in process.waits.waits.items():
        if key.run_id not in process.scheduler.book.runs and not (flight.has_fired or flight.is_ending):
            yield f"the trigger of {key[2:]} runs, and nobody has its run in memory"


def why_deferred(process: Process, machine: RunMachine, tables: RunTables, n: int) -> str | None:
    """What a deferred instance waits for."""
    now, place = process.waits.now(), (machine.tasks[n].task_id, machine.maps[n])
    if is_going(process, machine, n):
        return "its trigger is going"
    rows = [row for row in tables.waits.values() if (row.task_id, row.map_index) == place and row.answer is None]
    moments = [at for row in rows for at in (row.wait.due, row.wait.deadline) if at is not None]
    first, due = min(moments, default=None), machine.active[n].due_at
    if first != due:
        return None
    if due is not None:
        return "time" if due > now - _TICK else None
    return "trigger or signal" if rows else None


def is_going(process: Process, machine: RunMachine, n: int) -> bool:
    """Whether a trigger of the instance has been told to go and is not gone."""
    return bool(process.waits.going(machine.run.run_id, machine.tasks[n].task_id, machine.maps[n]))


def needs_no_slot(machine: RunMachine, n: int) -> bool:
    """Whether the instance is being restarted without an attempt: only its triggers have to go."""
    return machine.state[n] is TaskState.RESTARTING and n not in machine.live.values()


def carried_twice(processes: Iterable[Process]) -> Iterator[str]:
    """Waits that more than one owner carries, and such as are carried without a lease."""
    count: Counter[WaitKey] = Counter()
    for process in processes:
        if process.is_up and process.lease is None and process.waits.waits:
            yield f"{process.name} has no lease and carries waits"
        count.update([key for key, flight in process.waits.waits.items() if flight.can_fire and not flight.is_ending])
    yield from (f"{key[2:]} is carried by {n} runtimes" for key, n in count.items() if n > 1)


def _key(machine: RunMachine, row: WaitRow) -> WaitKey:
    return WaitKey(row.origin, machine.run.run_id, row.task_id, row.map_index, row.wait.key)
