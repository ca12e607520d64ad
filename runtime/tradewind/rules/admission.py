"""Admission: which ready task instances may start, given every limit that counts them.

A *limit* is a named number of permits: global parallelism, a pool, an executor's slots, a DAG's
`max_active_tasks`, a task's `max_active_tis_per_dag` or `…_per_dagrun`. Instances that count
against the same limits at the same cost wait in one *lane*, ordered by priority weight, then by
age of their run, then by order of definition. A lane whose first instance does not fit is parked
at the limit that has no room, and looked at again only when that limit gets some: admitting costs
O(log n), however many instances wait, and a full pool never holds up those who do not need it.

How much is used is never stored: it is what the live attempts hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from tradewind.model.keys import RunId
from tradewind.model.specs import TaskSpec

PARALLELISM: Final = "parallelism"
"""The global limit of attempts outside the loop: a coroutine that waits takes nobody's place."""

ON_LOOP: Final = "inline"


def pool_limit(pool: str) -> str:
    """The name of a pool's limit."""
    return f"pool {pool!r}"


class Place(NamedTuple):
    """A task instance within the runs that this runtime owns."""

    run_id: RunId
    node: int


_Entry = tuple[int, int, int]
"""(-priority weight, run id, node): the order within a lane."""


class Limit:
    """A named number of permits. `size` of -1: without limit."""

    __slots__ = ("is_known", "name", "parked", "size", "used")

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.is_known = True
        """False for a limit that only a task names, such as a pool that does not exist."""
        self.used = 0
        self.parked: dict[int, list[tuple[_Entry, int, Lane]]] = {}

    @property
    def free(self) -> int:
        """Permits left; a very large number where there is no limit."""
        return self.size - self.used if self.size >= 0 else 1 << 30


class Lane:
    """Instances that wait for the same limits at the same costs."""

    __slots__ = ("costs", "limits", "number", "queue")

    def __init__(self, number: int, needs: tuple[tuple[Limit, int], ...]) -> None:
        self.number = number
        self.limits = tuple(limit for limit, _ in needs)
        self.costs = tuple(cost for _, cost in needs)
        self.queue: list[_Entry] = []

    def blocked_by(self) -> int | None:
        """Index of the first limit that has no room, None if all have."""
        for k, limit in enumerate(self.limits):
            if 0 <= limit.size < limit.used + self.costs[k]:
                return k
        return None


class Admission:
    """All limits and lanes of one runtime."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}
        self._lanes: dict[tuple[object, ...], Lane] = {}
        self._open: list[tuple[_Entry, int, Lane]] = []
        self._roomier: set[Limit] = set()
        self._waiting: dict[Place, Lane] = {}
        self._holding: dict[Place, Lane] = {}
        self._of_run: dict[RunId, list[tuple[tuple[object, ...], str]]] = {}
        self._lane_count = 0

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
        return sum(cost * len(lane.queue) for cost, lanes in limit.parked.items() for _, _, lane in lanes)

    # --------------------------------------------------------------------------- instances

    def offer(self, place: Place, task: TaskSpec, dag_id: str) -> None:
        """The instance is ready. Offering what waits or holds already changes nothing."""
        if place in self._waiting or place in self._holding:
            return
        lane = self._lane(place, task, dag_id)
        self._waiting[place] = lane
        entry = (-task.priority_weight, place.run_id, place.node)
        was_idle = not lane.queue
        heappush(lane.queue, entry)
        if was_idle:
            heappush(self._open, (entry, lane.number, lane))

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
            self._waiting.pop(place, None)
            return
        for k, limit in enumerate(lane.limits):
            limit.used -= lane.costs[k]
            if limit.parked:
                self._roomier.add(limit)

    def admit(self) -> Iterator[Place]:
        """Every waiting instance that there is room for, best first; each takes its permits."""
        while True:
            lane = self._next_lane()
            if lane is None:
                return
            queue = lane.queue
            while queue and self._waiting.get(Place(RunId(queue[0][1]), queue[0][2])) is not lane:
                heappop(queue)  # taken back; or, in a run loaded anew, by now another instance in another lane
            if not queue:
                continue
            blocked = lane.blocked_by()
            if blocked is not None:
                limit, cost = lane.limits[blocked], lane.costs[blocked]
                heappush(limit.parked.setdefault(cost, []), (queue[0], lane.number, lane))
                continue
            entry = heappop(queue)
            if queue:
                heappush(self._open, (queue[0], lane.number, lane))
            place = Place(RunId(entry[1]), entry[2])
            del self._waiting[place]
            self._holding[place] = lane
            for k, limit in enumerate(lane.limits):
                limit.used += lane.costs[k]
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

    def _next_lane(self) -> Lane | None:
        if self._open:
            return heappop(self._open)[2]
        while self._roomier:
            limit = next(iter(self._roomier))
            best: int | None = None
            for cost, lanes in limit.parked.items():
                if not lanes or cost > limit.free:
                    continue
                if best is None or lanes[0] < limit.parked[best][0]:
                    best = cost
            if best is not None:
                return heappop(limit.parked[best])[2]
            self._roomier.discard(limit)
        return None

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
            name = f"max_active_tis_per_dag of task {dag_id}.{task.task_id}"
            needs.append((self._limit(name, per_dag), 1))
        if per_run is not None:
            name = f"max_active_tis_per_dagrun of task {dag_id}.{task.task_id} in {place.run_id}"
            needs.append((self._limit(name, per_run), 1))
            self._of_run.setdefault(place.run_id, []).append((key, name))
        self._lane_count += 1
        lane = self._lanes[key] = Lane(self._lane_count, tuple(needs))
        return lane

    def _limit(self, name: str, size: int) -> Limit:
        limit = self._limits.get(name)
        if limit is None:
            limit = self._limits[name] = Limit(name, size)
            limit.is_known = size != 0
        return limit
