"""Watchers of assets, whatever happens to the processes: what a source offers becomes one event, none is left out, and
none is acknowledged before it is stored.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import orjson
import pytest

from tests.simulation.actions import FAULTS, PEOPLE, WORK, Action
from tests.simulation.faults.planting import Patch, giving, wrap
from tests.simulation.test_assets import Lake
from tests.simulation.watching import Source, SourceTrigger
from tests.simulation.world import Violation, World
from tradewind.model.assets import WatcherSpec
from tradewind.model.errors import StoreUnavailable
from tradewind.model.outcomes import CODEC_JSON
from tradewind.model.specs import DagSpec
from tradewind.services import watch_keeper
from tradewind.services.watch_keeper import WatchKeeper
from tradewind.testing.virtual_time import EndlessActivity
from tradewind.worker import watch_runner

LONG: Final = os.environ.get("TRADEWIND_SIMULATION") == "long"

pytestmark = pytest.mark.blocks_the_loop  # virtual loops do in one callback what threads would do


class Shore(Lake):
    """Most DAGs watch a source for their own asset, some that of the DAG before them too."""

    def __init__(self, seed: int, **named: Any) -> None:
        self.sources: dict[str, Source] = {}
        super().__init__(seed, **named)

    def spec(self, dag_id: str) -> DagSpec:
        """As `Lake.spec`, with watchers. The same whatever the version."""
        dice = random.Random(f"{self.seed}/watchers/{dag_id}")
        watched = [dag_id] if dice.random() < 0.8 or dag_id == "d0" else []
        if dag_id == "d1" and dice.random() < 0.5:
            watched.append("d0")
        return dataclasses.replace(super().spec(dag_id), watchers=tuple(map(self._watcher, sorted(watched))))

    def _watcher(self, uri: str) -> WatcherSpec:
        name = f"{self.seed}/{uri}"
        if uri not in self.sources:
            self.sources[uri] = Source(name, uri, self.database, self._is_dead)
        args = orjson.dumps({"name": name}).decode()
        return WatcherSpec(uri, "source", SourceTrigger.trigger_kind, CODEC_JSON, args)

    def _is_dead(self, loop: asyncio.AbstractEventLoop) -> bool:
        return any(p.loop is loop and (p.is_killed or p.main.done()) for p in self.processes)

    def check(self) -> None:
        """As `World.check`; in each process a watcher runs once at most."""
        super().check()
        for source in self.sources.values():
            self.complain(source.faults)
            count = Counter(consumer.loop for consumer in source.living())
            self.complain([f"{n} watchers of {source.uri} run in one process" for n in count.values() if n > 1])

    def heal(self) -> None:
        """Then whatever a source has offered is an event, once, and the source knows it."""
        for source in self.sources.values():
            source.fails = source.ack_fails = 0
        super().heal()
        for _ in range(24):
            if all(message.is_acknowledged for source in self.sources.values() for message in source.messages):
                break
            self.pass_by(30)
        for source in self.sources.values():
            for message in source.messages:
                times, said = source.stored(message), "" if message.is_acknowledged else "not "
                if times != 1 or said:
                    self.complain([f"message {message.key} of {source.uri} is {times} events, {said}acknowledged"])


def message_comes(world: World, dice: random.Random) -> None:
    """A source has something new."""
    source = _any(world, dice)
    world.tell(f"message {len(source.messages)} of {source.uri}")
    source.put()


def messages_come(world: World, dice: random.Random) -> None:
    """Several at once."""
    for _ in range(dice.randint(2, 4)):
        message_comes(world, dice)


def source_fails(world: World, dice: random.Random) -> None:
    """A source does not answer, or does not take the next acknowledgement."""
    source = _any(world, dice)
    if dice.random() < 0.5:
        source.fails = 1
    else:
        source.ack_fails = 1
    world.tell(f"the source of {source.uri} fails")
    source.wake()


def source_forgets(world: World, dice: random.Random) -> None:
    """A source offers again what was acknowledged."""
    source = _any(world, dice)
    known = [message for message in source.messages if message.is_acknowledged]
    if known:
        message = dice.choice(known)
        world.tell(f"message {message.number} of {source.uri} comes again")
        source.offer_again(message)


def _any(world: World, dice: random.Random) -> Source:
    assert isinstance(world, Shore)
    return dice.choice([source for _, source in sorted(world.sources.items())])


SOURCES: Final[tuple[Action, ...]] = (message_comes, message_comes, messages_come, source_fails, source_forgets)


def shore_story(seed: int, *, processes: int = 1, steps: int = 60) -> Shore:
    """A whole story. Raises Violation."""
    dice = random.Random(f"shore/{seed}")
    world = Shore(seed, processes=processes, dags=dice.randint(1, 3))
    try:
        for _ in range(steps):
            draw = dice.random()
            actions = SOURCES if draw < 0.4 else WORK if draw < 0.7 else PEOPLE if draw < 0.8 else FAULTS
            dice.choice(actions)(world, dice)
            world.pass_by(0.0 if dice.random() < 0.5 else 0.01)
        world.run_out()
    finally:
        world.close()
    return world


@pytest.mark.parametrize("first", range(0, 5000 if LONG else 40, 20))
def test_each_message_becomes_one_event(first: int) -> None:
    messages = 0
    for seed in range(first, first + 20):
        messages += sum(len(source.messages) for source in shore_story(seed).sources.values())
    assert messages > 200, "the stories hardly ever come to it"


@pytest.mark.parametrize("first", range(0, 2000 if LONG else 20, 20))
def test_across_two_runtimes(first: int) -> None:
    for seed in range(first, first + 20):
        shore_story(seed, processes=2)


# ----------------------------------------------------------------------------- planted faults


def acknowledged_before_the_commit(patch: Patch) -> None:
    wrap(patch, vars(watch_runner)["_Flight"], "commit", _in_background)


def _in_background(commit: Any) -> Any:
    kept: set[asyncio.Task[None]] = set()

    async def hasty(self: Any, fired: Any) -> None:
        kept.add(asyncio.get_running_loop().create_task(commit(self, fired)))

    return hasty


def keys_forgotten(patch: Patch) -> None:
    def make(event_of: Any) -> Any:
        def forgetful(watcher: Any, fired: Any) -> Any:
            return event_of(watcher, fired._replace(key=None))

        return forgetful

    wrap(patch, watch_keeper, "external_event", make)


def dropped_while_the_database_is_away(patch: Patch) -> None:
    async def once(self: Any, event: Any) -> bool:
        try:
            return bool((await self._store.asset_event_add(event))[1])
        except StoreUnavailable:
            return True

    patch.setattr(WatchKeeper, "_commit", once)


def watchers_not_taken_over(patch: Patch) -> None:
    def make(settle: Any) -> Any:
        seen: set[int] = set()

        def first_only(self: Any) -> None:
            if id(self) not in seen or not self._dags:
                settle(self)
            if self._dags:
                seen.add(id(self))

        return first_only

    wrap(patch, WatchKeeper, "settle", make)


def failed_and_not_begun_again(patch: Patch) -> None:
    patch.setattr(WatchKeeper, "watch_failed", giving(1e9))


def old_one_not_let_go(patch: Patch) -> None:
    patch.setattr(watch_runner.WatchRunner, "_let_go", giving(None))


def begun_while_the_old_one_delivers(patch: Patch) -> None:
    def make(live: Any) -> Any:
        def hasty(self: Any, flight: Any, _before: Any) -> Any:
            return live(self, flight, set[Any]())

        return hasty

    wrap(patch, watch_runner.WatchRunner, "_live", make)


PLANTED: Final = (
    acknowledged_before_the_commit,
    keys_forgotten,
    dropped_while_the_database_is_away,
    watchers_not_taken_over,
    failed_and_not_begun_again,
    old_one_not_let_go,
    begun_while_the_old_one_delivers,
)


def stories_until_it_shows() -> None:
    """Tells stories until one goes wrong."""
    for seed in range(30):
        shore_story(seed)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: str(plant.__name__))
def test_the_simulation_finds(plant: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((Violation, EndlessActivity)):
        stories_until_it_shows()
