"""Which task instances of a run people mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tradewind.model.errors import ConflictError, NotFoundError
from tradewind.model.keys import UNMAPPED
from tradewind.model.states import FINISHED
from tradewind.rules.run_machine import RunMachine


class Cleared(NamedTuple):
    """What is to run again: these tasks (none named: all), and with `downstream` what follows them. Of the mapped
    tasks in `map_indexes` only those instances.
    """

    task_ids: tuple[str, ...]
    downstream: bool = True
    map_indexes: Mapping[str, Sequence[int]] = {}


def nodes_to_clear(machine: RunMachine, which: Cleared) -> tuple[int, ...]:
    """The nodes of the instances that are meant. What follows an instance of a mapped group within the group is
    the one of the same index. Raises NotFoundError for a task or an instance that is not there.
    """
    graph, mapping = machine.graph, machine.mapping
    named = {_task(machine, task_id) for task_id in which.task_ids} or set(range(len(graph)))
    single = {_task(machine, task_id): indexes for task_id, indexes in which.map_indexes.items()}
    chosen = {n for task in named - single.keys() for n in machine.nodes_of(task)}
    ones = [node_of(machine, graph.tasks[task].task_id, index) for task, of in single.items() for index in of]
    chosen.update(ones)
    if which.downstream:
        below = graph.descendants(named)
        beside = {d for d in below if mapping is not None and any(mapping.plan.same_scope(d, u) for u in single)}
        chosen.update(n for task in below - beside - single.keys() for n in machine.nodes_of(task))
        chosen.update(_beside(machine, ones, beside))
    return tuple(sorted(chosen))


def _beside(machine: RunMachine, nodes: Iterable[int], tasks: Iterable[int]) -> Iterable[int]:
    mapping = machine.mapping
    if mapping is not None:
        for task in tasks:
            for n in nodes:
                yield from mapping.seen_by(n, task)


def node_of(machine: RunMachine, task_id: str, map_index: int) -> int:
    """The node of one instance; of an expanded task without an index, of the first that has not ended."""
    task = _task(machine, task_id)
    node = machine.node_of(task_id, map_index)
    if node is not None:
        return node
    nodes = list(machine.nodes_of(task))
    if map_index != UNMAPPED:
        raise NotFoundError(f"task {task_id!r} of DAG {machine.run.dag_id!r} has no instance {map_index}")
    return next((n for n in nodes if machine.state[n] not in FINISHED), nodes[0])


def one_node_of(machine: RunMachine, task_id: str, map_index: int) -> int:
    """As `node_of`; of several instances one has to be named. Raises ConflictError where none is."""
    nodes = tuple(machine.nodes_of(_task(machine, task_id)))
    if map_index == UNMAPPED and len(nodes) > 1:
        which = f"task {task_id!r} of DAG {machine.run.dag_id!r}"
        raise ConflictError(f"{which} is mapped: name a map_index from 0 to {len(nodes) - 1}")
    return node_of(machine, task_id, map_index)


def _task(machine: RunMachine, task_id: str) -> int:
    n = machine.graph.index.get(task_id)
    if n is None:
        raise NotFoundError(f"DAG {machine.run.dag_id!r} has no task {task_id!r}")
    return n
