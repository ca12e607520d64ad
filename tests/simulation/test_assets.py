"""DAGs that send events of assets and DAGs that run on them, whatever happens to the processes: each event goes to
each DAG once, into one run, and none is left behind.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Final, cast

import pytest

from tests.simulation.actions import FAULTS, PEOPLE, WORK
from tests.simulation.world import World
from tradewind.model.assets import OUTLET, SCHEDULE, AssetEventPut, AssetUse, QueuedEvent, QueueSummary
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSpec, Json, TimetableSpec
from tradewind.model.states import OutcomeKind, RunType
from tradewind.rules.assets import is_met
from tradewind.rules.event_policy import EVENT_KIND, EventPolicy, verdict
from tradewind.testing.simulated_executor import Flight

LONG: Final = os.environ.get("TRADEWIND_SIMULATION") == "long"

pytestmark = pytest.mark.blocks_the_loop  # virtual loops do in one callback what threads would do


class Lake(World):
    """Every DAG sends events of an asset of its own; most run on the assets of those before them."""

    def spec(self, dag_id: str) -> DagSpec:
        """As `World.spec`, with assets. The same whatever the version."""
        plain = super().spec(dag_id)
        number = int(dag_id[1:])
        dice = random.Random(f"{self.seed}/assets/{dag_id}")
        outlets = [AssetUse(OUTLET, "asset", dag_id, task.task_id, dag_id) for task in plain.tasks]
        if number == 0 or dice.random() < 0.2:
            return dataclasses.replace(plain, assets=tuple(outlets))
        condition = _condition(dice, [f"d{n}" for n in range(number)])
        schedule = [AssetUse(SCHEDULE, kind, ref, name=ref) for kind, ref in dict.fromkeys(_leaves(condition))]
        timetable = TimetableSpec("assets", {"condition": condition, "word": "asset"}, "Asset")
        return dataclasses.replace(plain, timetable=timetable, assets=(*outlets, *schedule), start_date=None)

    def end(self, flight: Flight, outcome: Outcome) -> None:
        """A body that ends well has often changed its asset, some of them through an alias."""
        dice = random.Random(f"{self.seed}/{flight.attempt.key.attempt.hex()}")
        if outcome.kind is OutcomeKind.SUCCESS and dice.random() < 0.7:
            uri = flight.attempt.run.dag_id
            put = AssetEventPut(uri, uri, aliases=("lake",) if dice.random() < 0.3 else ())
            outcome = outcome._replace(asset_events=(put,))
        super().end(flight, outcome)

    def heal(self) -> None:
        """Then whatever can be routed has been, and whatever can cause a run has."""
        super().heal()
        self.complain([*self._left_behind(), *self._doubled(), *self._lost()])

    def _left_behind(self) -> Iterator[str]:
        """What still waits though nothing is in its way."""
        tables = self.database.assets
        if tables.unrouted:
            yield f"events {sorted(tables.unrouted)} were never routed"
        unfinished = Counter(t.row.dag_id for t in self.database.runs.values() if t.run().ended_at is None)
        for dag_id, queue in tables.queues.items():
            row = self.database.dags[dag_id]
            spec = self.database.versions[dag_id, row.version_hash].spec
            waiting = [
                QueuedEvent(tables.event(n), mark.wakes, mark.queued_at, tables.linked(tables.events[n].uri))
                for n, mark in queue.items()
            ]
            blocked = row.is_paused or not row.is_active or unfinished[dag_id] >= spec.max_active_runs
            if not blocked and is_met(spec.timetable.args["condition"], waiting):
                yield f"{dag_id} may run on events {sorted(queue)} and does not"

    def _doubled(self) -> Iterator[str]:
        """What was taken twice, or sent oftener than tasks ended well."""
        tables = self.database.assets
        taken: Counter[tuple[str, int]] = Counter()
        for run_id, ids in tables.causes.items():
            dag_id = self.database.runs[run_id].row.dag_id
            taken.update((dag_id, event_id) for event_id in ids)
        for dag_id, queue in tables.queues.items():
            taken.update((dag_id, event_id) for event_id in queue)
        yield from (f"event {event_id} came to {dag_id} {n} times" for (dag_id, event_id), n in taken.items() if n > 1)
        sent = Counter((event.run.run_id, event.task_id) for event in tables.events.values() if event.run is not None)
        for run_id, run in self.database.runs.items():
            ended: Counter[str] = Counter()
            for attempt in run.ended:
                flight = self.cluster.flights.get(attempt.opened.attempt)
                said = flight is not None and flight.end is not None and flight.end.outcome.asset_events
                ended[attempt.opened.task_id] += bool(said and attempt.closed.kind is OutcomeKind.SUCCESS)
            for task_id, count in ended.items():
                found = sent[run_id, task_id]
                if found > count or (found < count and run.row.dag_run_id not in self.tainted):
                    yield f"{task_id} of {run.row.dag_run_id} ended well {count} times and sent {found} events"

    def _lost(self) -> Iterator[str]:
        """What never came to a DAG that was there all along."""
        tables = self.database.assets
        for dag_id, uses in tables.uses.items():
            wanted = {use.ref for use in uses if use.role == SCHEDULE}
            came = set(tables.queues.get(dag_id, {}))
            for run_id, ids in tables.causes.items():
                if self.database.runs[run_id].row.dag_id == dag_id:
                    came |= set(ids)
            missing = {n for n, event in tables.events.items() if event.uri in wanted} - came
            if missing and not any(f"retire {dag_id}" in line for line in self.story):
                yield f"events {sorted(missing)} never came to {dag_id}"


class Harbour(Lake):
    """The DAGs run on the events of those before them by a policy: one by one, in batches, after silence, throttled."""

    def spec(self, dag_id: str) -> DagSpec:
        """As `Lake.spec`, with policies."""
        plain = super().spec(dag_id)
        if plain.timetable.kind != "assets":
            return plain
        dice = random.Random(f"{self.seed}/policies/{dag_id}")
        policy = dice.choice(POLICIES)
        condition: dict[str, Json] = {"any": [{"asset": use.ref} for use in plain.assets if use.role == SCHEDULE]}
        timetable = TimetableSpec(EVENT_KIND, {"condition": condition, **policy.to_json()}, "Event")
        return dataclasses.replace(plain, timetable=timetable)

    def run_out(self) -> None:
        """Then nothing waits that may run, and each run has had what its policy allows."""
        super().run_out()
        self.complain([*self._left_behind(), *self._doubled(), *self._lost(), *self._too_many(), *self._too_soon()])

    def _left_behind(self) -> Iterator[str]:
        tables = self.database.assets
        unfinished = Counter(t.row.dag_id for t in self.database.runs.values() if t.run().ended_at is None)
        for dag_id, queue in tables.queues.items():
            row = self.database.dags[dag_id]
            spec = self.database.versions[dag_id, row.version_hash].spec
            times = [mark.queued_at for mark in queue.values()]
            if not times or row.is_paused or not row.is_active or unfinished[dag_id] >= spec.max_active_runs:
                continue
            made = [run.queued_at for run in self._caused(dag_id)]
            waiting = QueueSummary(len(times), min(times), max(times), max(made, default=None))
            said = verdict(EventPolicy.of(spec.timetable.args), waiting, self.database.clock() - SLACK)
            if said.take:
                yield f"{dag_id} may run on events {sorted(queue)} and does not"

    def _too_many(self) -> Iterator[str]:
        for run_id, ids in self.database.assets.causes.items():
            row = self.database.runs[run_id].row
            most = EventPolicy.of(self.spec(row.dag_id).timetable.args).most
            if most is not None and len(ids) > most:
                yield f"{row.dag_run_id} of {row.dag_id} has {len(ids)} events, {most} are allowed"

    def _too_soon(self) -> Iterator[str]:
        for dag_id in self.database.dags:
            throttle = EventPolicy.of(self.spec(dag_id).timetable.args).throttle
            made = sorted(run.queued_at for run in self._caused(dag_id))
            if throttle is not None:
                near = [b for a, b in pairwise(made) if (b - a).total_seconds() < throttle]
                yield from (f"{dag_id} has a run at {at}, too soon after the one before" for at in near)

    def _caused(self, dag_id: str) -> list[RunRow]:
        rows = [tables.row for tables in self.database.runs.values()]
        return [row for row in rows if row.dag_id == dag_id and row.run_type is RunType.ASSET_TRIGGERED]


SLACK: Final = timedelta(seconds=5)
"""What is due for so long has been taken: after an error the planner tries again within two seconds."""

POLICIES: Final = (
    EventPolicy(),
    EventPolicy(batch=2),
    EventPolicy(batch=3, max_wait=0.5),
    EventPolicy(debounce=0.05),
    EventPolicy(debounce=0.2, max_wait=0.5),
    EventPolicy(debounce=0.1, batch=3),
    EventPolicy(throttle=0.3),
    EventPolicy(throttle=0.1, batch=1),
    EventPolicy(throttle=0.2, debounce=0.05),
)


def _leaves(condition: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """(kind, reference) of everything that the condition names, in order."""
    ((kind, value),) = condition.items()
    if isinstance(value, list):
        for part in cast("list[dict[str, Json]]", value):
            yield from _leaves(part)
    else:
        yield kind, str(value)


def _condition(dice: random.Random, uris: list[str]) -> dict[str, Json]:
    leaves: list[dict[str, Json]] = [{"asset": uri} for uri in dice.sample(uris, dice.randint(1, len(uris)))]
    return leaves[0] if len(leaves) == 1 else {dice.choice(("any", "all")): leaves}


def lake_story(seed: int, *, processes: int = 1, steps: int = 70, kind: type[Lake] = Lake) -> Lake:
    """A whole story. Raises Violation."""
    dice = random.Random(f"lake/{seed}")
    world = kind(seed, processes=processes, dags=dice.randint(2, 3))
    try:
        for _ in range(steps):
            draw = dice.random()
            actions = WORK if draw < 0.7 else PEOPLE if draw < 0.85 else FAULTS
            dice.choice(actions)(world, dice)
            world.pass_by(0.0 if dice.random() < 0.5 else 0.01)
        world.run_out()
    finally:
        world.close()
    return world


@pytest.mark.parametrize("first", range(0, 5000 if LONG else 60, 20))
def test_every_event_causes_what_it_has_to_once(first: int) -> None:
    caused = 0
    for seed in range(first, first + 20):
        caused += len(lake_story(seed).database.assets.causes)
    assert caused > 10, "the stories hardly ever come to it"


@pytest.mark.parametrize("first", range(0, 2000 if LONG else 20, 20))
def test_across_two_runtimes(first: int) -> None:
    for seed in range(first, first + 20):
        lake_story(seed, processes=2)


def test_a_throttle_counts_from_the_run_created_last() -> None:
    """Whatever its logical date. The story that found it."""
    lake_story(300084, kind=Harbour)


@pytest.mark.parametrize("first", range(0, 5000 if LONG else 60, 20))
def test_every_event_goes_into_one_run_by_its_policy(first: int) -> None:
    caused = 0
    for seed in range(first, first + 20):
        caused += len(lake_story(seed, kind=Harbour, processes=1 + seed % 2).database.assets.causes)
    assert caused > 10, "the stories hardly ever come to it"
