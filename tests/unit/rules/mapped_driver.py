"""Drives one run with mapped tasks by hand, and keeps its rows as a store would: it can be restored from them
at any time, as by another runtime.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.unit.rules.machine_driver import SOURCE, T0, run_row
from tradewind.model.batch import Segment, TaskChange
from tradewind.model.commands import Decision, GoOn
from tradewind.model.events import Admitted, AttemptEnded, RunActivated, RunEvent, SpreadOn, Stamp, TasksCleared
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import CODEC_JSON, RETURN_KEY, EncodedValue, Outcome, XComPut
from tradewind.model.rows import InstanceRow, LengthRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.rules.graph import Graph
from tradewind.rules.mapping_plan import literal_lengths
from tradewind.rules.run_machine import RunMachine

Place = tuple[str, int]
SUCCESS = Outcome(OutcomeKind.SUCCESS)
FAILED = Outcome(OutcomeKind.FAILED)
SKIPPED = Outcome(OutcomeKind.SKIPPED)


def pushed(length: int) -> Outcome:
    """Success with a value of this length."""
    value = XComPut(RETURN_KEY, EncodedValue(CODEC_JSON, b"[]"))
    return Outcome(OutcomeKind.SUCCESS, (value,), lengths=((RETURN_KEY, length),))


class MappedRun:
    """A run, its rows, and the attempts that run."""

    def __init__(self, spec: DagSpec) -> None:
        self.spec = spec
        self.graph = Graph(spec)
        self.row = run_row(spec)
        self.rows: dict[Place, InstanceRow] = {}
        self.lengths: dict[tuple[str, int, str], LengthRow] = {}
        for task in spec.tasks:
            length = literal_lengths(spec).get(task.task_id)
            for index in range(length) if length else (-1,):
                self._put(InstanceRow(self.row.run_id, task.task_id, index, max_tries=task.retries))
        self.machine = RunMachine(self.row, self.graph, SOURCE)
        self._ticks = itertools.count(1)
        self.running: dict[Place, AttemptId] = {}
        self.cancelled: list[Place] = []
        self.go_on: list[GoOn] = []
        self.commits = 0
        self.send(RunActivated(self.stamp(), {}))

    def stamp(self) -> Stamp:
        tick = next(self._ticks)
        return Stamp(T0, tick, 0.5)

    def send(self, event: RunEvent) -> None:
        """Handles the event, admits whatever may start, and commits."""
        decision = Decision()
        self.machine.handle(event, decision)
        self._follow(decision)

    def _follow(self, decision: Decision) -> None:
        while decision.ready:
            ready, decision.ready = decision.ready, []
            for one in ready:
                if self.machine.state[one.node] is TaskState.SCHEDULED:
                    attempt = AttemptId(next(self._ticks).to_bytes(16, "big"))
                    self.machine.handle(Admitted(self.stamp(), one.node, attempt, True), decision)
        self._commit(self.machine.flush())
        for start in decision.start:
            self.running[start.key.task_id, start.key.map_index] = start.key.attempt
        self.cancelled += [(key.task_id, key.map_index) for key in decision.cancel]
        self.go_on += decision.go_on

    def spread(self) -> None:
        """Goes on with large expansions until they are done."""
        while self.go_on:
            self.spread_once()

    def spread_once(self) -> None:
        """Goes on with each of them by one part."""
        go_on, self.go_on = self.go_on, []
        for one in go_on:
            self.send(SpreadOn(self.stamp(), one.node))

    def end(self, task_id: str, index: int = -1, outcome: Outcome = SUCCESS) -> None:
        """The attempt of an instance ends."""
        attempt = self.running.pop((task_id, index))
        self.send(AttemptEnded(self.stamp(), attempt, outcome, T0, T0))

    def clear(self, *places: Place) -> None:
        """Instances, or whole tasks (index -1), are to run again."""
        index = self.graph.index
        nodes = [index[t] if i < 0 else self.machine.node_of(t, i) for t, i in places]
        self.send(TasksCleared(self.stamp(), tuple(n for n in nodes if n is not None)))
        if self.machine.run.state is RunState.QUEUED:
            self.send(RunActivated(self.stamp(), {}))

    def restore(self) -> None:
        """Another runtime goes on with what has been committed."""
        self.go_on = []
        self.machine = RunMachine(self.machine.run, self.graph, SOURCE)
        rows = sorted(self.rows.values(), key=lambda row: (row.task_id, row.map_index))
        self.machine.restore(rows, lengths=self.lengths.values())
        decision = Decision()
        self.machine.resume({}, self.stamp(), decision)
        self._follow(decision)

    def run_all(self, outcome_of: Callable[[Place], Outcome], pick: Callable[[int], int] = lambda _: 0) -> None:
        """Ends everything that runs."""
        while self.running:
            places = sorted(self.running)
            place = places[pick(len(places))]
            self.end(*place, outcome_of(place))
            self.spread()

    def states(self) -> dict[Place, str]:
        """The committed states; while a task's own row is there, it alone."""
        own = {task_id for task_id, index in self.rows if index < 0}
        return {p: row.state.value for p, row in sorted(self.rows.items()) if p[1] < 0 or p[0] not in own}

    def _put(self, row: InstanceRow) -> None:
        self.rows[row.task_id, row.map_index] = row

    def _commit(self, segment: Segment) -> None:
        self.commits += 1
        for gone in segment.dropped:
            here = [p for p in self.rows if p[0] == gone.task_id and gone.low <= p[1] <= gone.high]
            if gone.expected is not None:
                assert [self.rows[p].state for p in here] == [gone.expected], gone
            for place in here:
                del self.rows[place]
        for many in segment.spread:
            for i in range(many.low, many.high + 1):
                row = InstanceRow(self.row.run_id, many.task_id, i, max_tries=many.max_tries)
                self.rows.setdefault((many.task_id, i), row)
        for change in segment.tasks:
            assert self.rows[change.task_id, change.map_index].state is change.expected, change
        for change in [*segment.tasks, *segment.made]:
            self._put(self._row(change))
        self.lengths.update({row[:3]: row for row in segment.lengths})

    def _row(self, change: TaskChange) -> InstanceRow:
        return InstanceRow(self.row.run_id, change.task_id, change.map_index, *change[3:])
