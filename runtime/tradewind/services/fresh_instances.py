"""The task instances that a new run begins with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload

from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.rows import InstanceRow
from tradewind.model.specs import DagSpec
from tradewind.rules.mapping_plan import literal_lengths


class FreshInstances(Sequence[InstanceRow]):
    """The instances of a new run, made one by one as they are read. A mapped task whose length stands in the DAG
    file has all its instances from the start.
    """

    def __init__(self, run_id: RunId, spec: DagSpec) -> None:
        self._run_id = run_id
        self._tasks = spec.tasks
        self._literal = literal_lengths(spec)
        self._starts = list(accumulate((max(n, 1) for n in self._lengths()), initial=0))

    def _lengths(self) -> Iterator[int]:
        return (self._literal.get(task.task_id, 0) for task in self._tasks)

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> InstanceRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[InstanceRow]: ...
    def __getitem__(self, index: int | slice) -> InstanceRow | Sequence[InstanceRow]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        if index < 0 or index >= len(self):
            raise IndexError(index)
        n = bisect_right(self._starts, index) - 1
        task = self._tasks[n]
        map_index = index - self._starts[n] if task.task_id in self._literal else UNMAPPED
        return InstanceRow(self._run_id, task.task_id, map_index, max_tries=task.retries)

    def __iter__(self) -> Iterator[InstanceRow]:
        for task, length in zip(self._tasks, self._lengths(), strict=True):
            for map_index in range(length) if length else (UNMAPPED,):
                yield InstanceRow(self._run_id, task.task_id, map_index, max_tries=task.retries)
