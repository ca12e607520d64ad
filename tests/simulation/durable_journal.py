"""What commits may do to durable tasks: steps stay until somebody clears, each signal is there once, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Set

from tradewind.model.batch import Segment
from tradewind.model.durable import Step
from tradewind.model.keys import RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import as_given
from tradewind.model.states import FINISHED
from tradewind.model.waits import ANSWERED_FROM_OUTSIDE, WaitGone
from tradewind.store.memory_tables import MemoryDatabase

Place = tuple[RunId, str, int]


class DurableJournal:
    """Keeps count of steps and signals by itself. What is wrong goes to `faults`."""

    def __init__(self, database: MemoryDatabase, faults: list[str], cleared: Set[RunId]) -> None:
        self.database = database
        self.faults = faults
        self.cleared = cleared
        """Runs of which somebody asked to clear something."""
        self.steps_seen = 0
        """Steps that an attempt found which it had not taken itself."""
        self.signals: set[tuple[Place, EncodedValue]] = set()
        """Every signal that was ever stored."""
        self._steps: dict[Place, dict[str, Step]] = {}
        self._ever: set[tuple[Place, Step]] = set()
        self._max_tries: dict[Place, int] = {}
        self._there: dict[Place, dict[str, EncodedValue]] = {}

    def on_segment(self, segment: Segment) -> None:
        """One run's part of a batch, right after its commit."""
        tables = self.database.runs[segment.run_id]
        for task_id, map_index, step in segment.steps:
            if step is not None:
                place = (segment.run_id, task_id, map_index)
                self._steps.setdefault(place, {})[step.key] = step
                self._ever.add((place, step))
        over = self._over(segment)
        self.faults += self._signals(segment, over)
        for opened in segment.opened:
            place = (segment.run_id, opened.task_id, opened.map_index)
            found = tables.steps.get(place[1:], {})
            self.steps_seen += len(found)
            if found != self._steps.get(place, {}):
                self.faults.append(f"{place[1:]} finds the steps {found}, not {self._steps.get(place, {})}")

    def step_kept(self, place: Place, step: Step) -> None:
        """An attempt was told that its step is durable."""
        if (place, step) not in self._ever:
            self.faults.append(f"{place[1:]} was told that step {step.key} is kept, and it is not stored")

    def signal_sent(self, place: Place, value: EncodedValue) -> None:
        """Somebody was told that a signal is durable."""
        if (place, value) not in self.signals:
            self.faults.append(f"the signal {value.data!r} to {place[1:]} was acknowledged and is not stored")

    def _over(self, segment: Segment) -> set[Place]:
        """Instances that have ended or begin anew with this batch. Steps of those that begin anew are forgotten."""
        over: set[Place] = set()
        for change in [*segment.tasks, *segment.made]:
            place = (segment.run_id, change.task_id, change.map_index)
            max_tries = as_given(change.max_tries)
            if self._max_tries.get(place, max_tries) != max_tries or change.expected in FINISHED:
                self._steps.pop(place, None)
                over.add(place)
            if change.state in FINISHED:
                over.add(place)
            self._max_tries[place] = max_tries
        return over

    def _signals(self, segment: Segment, over: set[Place]) -> Iterator[str]:
        for item in segment.waits:
            place = (segment.run_id, item.task_id, item.map_index)
            there = self._there.setdefault(place, {})
            if isinstance(item, WaitGone):
                was_there = there.pop(item.key, None) is not None
                if was_there and place not in over and segment.run_id not in self.cleared:
                    yield f"the signal {item.key} to {place[1:]} is gone, and it goes on"
            elif item.wait.kind in ANSWERED_FROM_OUTSIDE and item.answer is not None:
                value = item.answer.event
                if value is None or there.get(item.wait.key) == value:
                    continue
                there[item.wait.key] = value
                if (place, value) in self.signals:
                    yield f"the signal {value.data!r} to {place[1:]} was taken twice"
                self.signals.add((place, value))
                earlier = [number(key) for key in there if key != item.wait.key]
                if number(item.wait.key) < max(earlier, default=-1):
                    yield f"the signal {item.wait.key} to {place[1:]} came after a later one"


def number(key: str) -> int:
    """Which one of its name a signal is."""
    return int(key.rpartition(":")[2])
