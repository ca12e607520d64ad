"""Admission: which ready task instances may start, given every limit that counts them.

A *limit* is a named number of permits: global parallelism, a pool, an executor's slots, a DAG's
`max_active_tasks`, a task's `max_active_tis_per_dag` or `…_per_dagrun`. Instances that count
against the same limits at the same cost wait in one *lane*, ordered by priority weight, then by
the logical date of their run, then by its age, then by order of definition. The same order holds
between lanes, so between DAGs: of all instances that there is room for, the best starts next,
whether it has become ready just now or has waited at a full limit that gets room just now. A lane
whose first instance does not fit is parked at the limit that has no room, and looked at again only
when that limit gets some: admitting costs O(log n), however many instances wait, and a full pool
never holds up those who do not need it. As in Airflow, an instance that needs more slots than are
left lets lesser ones pass that need fewer.

How much is used is never stored: it is what the live attempts hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from tradewind.model.keys import RunId
from tradewind.model.specs import DagSpec, TaskSpec

PARALLELISM: Final = "parallelism"
"""The global limit of attempts outside the loop: a coroutine that waits takes nobody's place."""

ON_LOOP: Final = "inline"


def pool_limit(pool: str) -> str:
    """The name of a pool's limit."""
    return f"pool {pool!r}"


def task_limits(spec: DagSpec) -> dict[str, int]:
    """The `max_active_tis_per_dag` of its tasks, by the name of the limit."""
    return {
        _task_limit(spec.dag_id, task): task.max_active_tis_per_dag
        for task in spec.tasks
        if task.max_active_tis_per_dag is not None
    }


def _task_limit(dag_id: str, task: TaskSpec) -> str:
    return f"max_active_tis_per_dag of task {dag_id}.{task.task_id}"


class Place(NamedTuple):
    """A task instance within the runs that this runtime owns."""

    run_id: RunId
    node: int


_Entry = tuple[int, float, int, int]
"""(-priority weight, logical date of the run, run id, node): the order within a lane and between lanes."""


class Limit:
    """A named number of permits. `size` of -1: without limit."""

    __slots__ = ("is_known", "name", "parked", "size", "used")

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.is_known = True
        """False for a limit that only a task names, such as a pool that does not exist."""
        self.used = 0
        self.parked: dict[int, list[_Parked]] = {}
        """By what their instances cost here: lanes that had no room, best first."""

    @property
    def free(self) -> int:
        """Permits left; a very large number where there is no limit."""
        return self.size - self.used if self.size >= 0 else 1 << 30


class Lane:
    """Instances that wait for the same limits at the same costs."""

    __slots__ = ("costs", "limits", "queue", "stamp", "waiting")

    def __init__(self, needs: tuple[tuple[Limit, int], ...]) -> None:
        self.waiting = 0
        """How many wait. The queue may have more: those that were taken back."""
        self.stamp = 0
        """Of the one heap entry of this lane that counts; older ones are passed over. 0: it has none."""
        self.limits = tuple(limit for limit, _ in needs)
        self.costs = tuple(cost for _, cost in needs)
        self.queue: list[_Entry] = []

    def blocked_by(self) -> int | None:
        """Index of the first limit that has no room, None if all have."""
        for k, limit in enumerate(self.limits):
            if 0 <= limit.size < limit.used + self.costs[k]:
                return k
        return None


_Parked = tuple[_Entry, int, Lane]
"""(the lane's first, the lane's stamp at that time, the lane)."""

_Called = tuple[_Entry, int, Lane, tuple[Limit, int] | None]
"""The same, and where the lane was parked before and at which cost."""


class Admission:
    """All limits and lanes of one runtime."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}
        self._lanes: dict[tuple[object, ...], Lane] = {}
        self._open: list[_Called] = []
        self._roomier: set[Limit] = set()
        self._waiting: dict[Place, Lane] = {}
        self._holding: dict[Place, Lane] = {}
        self._of_run: dict[RunId, list[tuple[tuple[object, ...], str]]] = {}
        self._stamps = 0

    # ------------------------------------------------------------------------------ limits

    def resize(self, name: str, size: int) -> None:
        """Sets a limit's permits (-1: none are needed). What holds permits already keeps them."""
        limit = self._limits.setdefault(name, Limit(name, size))
        limit.is_known = True
        if limit.size != size:
            limit.size = size
            self._roomier.add(limit)

    def lose(self, name: str) -> None:
        """The limit is gone: what needs it waits until there is one of this name again."""
        self.resize(name, 0)
        self._limits[name].is_known = False

    def used(self, name: str) -> int:
        """Permits in use; 0 for a limit that nobody has named."""
        limit = self._limits.get(name)
        return limit.used if limit is not None else 0

    def size(self, name: str) -> int:
        """Permits in all (-1: without limit); 0 for a limit that nobody has named."""
        limit = self._limits.get(name)
        return limit.size if limit is not None else 0

    def demand(self, name: str) -> int:
        """How many permits the instances that are parked at the limit need."""
        limit = self._limits.get(name)
        if limit is None:
            return 0
        parked = ((cost, *entry) for cost, lanes in limit.parked.items() for entry in lanes)
        return sum(cost * lane.waiting for cost, _, stamp, lane in parked if lane.stamp == stamp)

    # --------------------------------------------------------------------------- instances

    def offer(self, place: Place, task: TaskSpec, dag_id: str, date: float = 0.0) -> None:
        """The instance is ready; `date` is its run's logical date in seconds. Offering what waits or holds
        already changes nothing.
        """
        if place in self._waiting or place in self._holding:
            return
        lane = self._lane(place, task, dag_id)
        self._waiting[place] = lane
        lane.waiting += 1
        entry = (-task.priority_weight, date, place.run_id, place.node)
        heappush(lane.queue, entry)
        if lane.queue[0] is entry:
            self._call(lane)

    def adopt(self, place: Place, task: TaskSpec, dag_id: str) -> None:
        """The instance has a live attempt already: it takes its permits, whether or not there
        is room.
        """
        lane = self._lane(place, task, dag_id)
        self._holding[place] = lane
        for k, limit in enumerate(lane.limits):
            limit.used += lane.costs[k]

    def free(self, place: Place) -> None:
        """The instance no longer waits or holds permits."""
        lane = self._holding.pop(place, None)
        if lane is None:
            lane = self._waiting.pop(place, None)
            if lane is not None:
                lane.waiting -= 1
            return
        for k, limit in enumerate(lane.limits):
            limit.used -= lane.costs[k]
            if limit.parked:
                self._roomier.add(limit)

    def admit(self) -> Iterator[Place]:
        """Every waiting instance that there is room for, best first; each takes its permits."""
        while True:
            while self._roomier:
                limit = self._roomier.pop()
                for cost in limit.parked:
                    self._call_parked(limit, cost)
            if not self._open:
                return
            first, stamp, lane, parked_at = heappop(self._open)
            place = self._take_first(lane, first) if lane.stamp == stamp else None
            if parked_at is not None:
                self._call_parked(*parked_at)
            if place is not None:
                yield place

    def forget_run(self, run_id: RunId) -> None:
        """Drops the lanes and limits that only this (ended) run had."""
        for key, name in self._of_run.pop(run_id, ()):
            lane = self._lanes.pop(key, None)
            if lane is not None:
                lane.queue.clear()  # it may still be parked: a run that comes back gets a lane and limits of its own
            self._limits.pop(name, None)

    def why_waiting(self, place: Place) -> str | None:
        """The limit that holds the instance up, with its numbers. None if it does not wait."""
        lane = self._waiting.get(place)
        if lane is None:
            return None
        blocked = lane.blocked_by()
        if blocked is None:
            return "it is about to start"
        limit = lane.limits[blocked]
        if not limit.is_known:
            return f"there is no {limit.name}"
        return f"{limit.name} is full: {limit.used} of {limit.size} in use"

    # ----------------------------------------------------------------------------- within

    def _call(self, lane: Lane) -> None:
        """Has the lane looked at when its first is the best of all that may start."""
        self._stamps += 1
        lane.stamp = self._stamps
        heappush(self._open, (lane.queue[0], lane.stamp, lane, None))

    def _call_parked(self, limit: Limit, cost: int) -> None:
        """The same for the best lane that is parked there, if there is room by now. One is enough: the next one is
        called when this one has been looked at.
        """
        parked = limit.parked[cost]
        while parked and cost <= limit.free:
            first, stamp, lane = heappop(parked)
            if lane.stamp == stamp:
                heappush(self._open, (first, stamp, lane, (limit, cost)))
                return

    def _take_first(self, lane: Lane, first: _Entry) -> Place | None:
        """Lets the lane's first start, if it is still the one for which the lane was called and there is room."""
        queue = lane.queue
        while queue and self._waiting.get(Place(RunId(queue[0][2]), queue[0][3])) is not lane:
            heappop(queue)  # taken back; or, in a run loaded anew, by now another instance in another lane
        if not queue:
            lane.stamp = 0
            return None
        if queue[0] != first:
            self._call(lane)  # others may be better than what is first now
            return None
        blocked = lane.blocked_by()
        if blocked is not None:
            heappush(lane.limits[blocked].parked.setdefault(lane.costs[blocked], []), (first, lane.stamp, lane))
            return None
        heappop(queue)
        if queue:
            self._call(lane)
        else:
            lane.stamp = 0
        place = Place(RunId(first[2]), first[3])
        del self._waiting[place]
        lane.waiting -= 1
        self._holding[place] = lane
        for k, limit in enumerate(lane.limits):
            limit.used += lane.costs[k]
        return place

    def _lane(self, place: Place, task: TaskSpec, dag_id: str) -> Lane:
        per_dag, per_run = task.max_active_tis_per_dag, task.max_active_tis_per_dagrun
        key: tuple[object, ...] = (task.pool, task.pool_slots, dag_id, task.executor)
        if per_dag is not None or per_run is not None:
            key = (*key, task.task_id, place.run_id if per_run is not None else None)
        lane = self._lanes.get(key)
        if lane is not None:
            return lane
        needs = [
            (self._limit(pool_limit(task.pool), 0), task.pool_slots),
            (self._limit(f"executor {task.executor!r}", 0), 1),
            (self._limit(f"max_active_tasks of DAG {dag_id!r}", -1), 1),
        ]
        if task.executor != ON_LOOP:
            needs.append((self._limit(PARALLELISM, -1), 1))
        if per_dag is not None:
            needs.append((self._limit(_task_limit(dag_id, task), per_dag), 1))
        if per_run is not None:
            name = f"max_active_tis_per_dagrun of task {dag_id}.{task.task_id} in {place.run_id}"
            needs.append((self._limit(name, per_run), 1))
            self._of_run.setdefault(place.run_id, []).append((key, name))
        lane = self._lanes[key] = Lane(tuple(needs))
        return lane

    def _limit(self, name: str, size: int) -> Limit:
        limit = self._limits.get(name)
        if limit is None:
            limit = self._limits[name] = Limit(name, size)
            limit.is_known = size != 0
        return limit
