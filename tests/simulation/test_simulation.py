"""The whole scheduler on the memory store and virtual time: whatever happens, nothing is lost and nothing doubled.

`TRADEWIND_SIMULATION=long` tells many more stories. A story that fails is named by its seed: put it into
`KEPT` with the repair.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.simulation import permit_stories, stop_stories, stories, wait_stories
from tests.simulation.actions import random_story
from tests.simulation.machine import SystemMachine, TwoRuntimes

LONG: Final = os.environ.get("TRADEWIND_SIMULATION") == "long"

pytestmark = pytest.mark.blocks_the_loop  # virtual loops do in one callback what threads would do

KEPT: Final = (
    # (seed, runtimes): each of these once found a fault of the engine
    *((seed, 1) for seed in (2, 4, 5, 7, 8, 10, 21, 52, 58, 60, 79, 82, 86, 96, 116, 119)),
    *((seed, 1) for seed in (126, 139, 142, 151, 162, 184, 210, 226, 249, 278, 285, 368)),
    *((seed, 1) for seed in (1008, 20005, 20033, 20066, 20112, 20154, 20289, 30076, 30106, 30538)),
    *((seed, 2) for seed in (5, 29, 38, 77, 90, 116, 138, 191, 195, 196)),
)
KEPT_WAITING: Final = (
    # each is a seed, and whether tasks are durable
    *((seed, False) for seed in (137, 245, 284, 2316)),
    *((seed, True) for seed in (32, 43, 58, 3796)),
)
KEPT_OF_ALL_KINDS: Final = (
    # (seed, runtimes, what its tasks are)
    *((seed, 1, "waiting") for seed in (70053, 70057)),
    *((seed, 2, "waiting") for seed in (34, 80057)),
    (3097, 1, "durable"),
    *((seed, 2, "durable") for seed in (40015, 80012, 80075, 80104, 90105)),
    (69, 1, "mapped waiting"),
    *((seed, 1, "mapped waiting") for seed in (90012, 300026, 300258)),
    *((seed, 2, "mapped") for seed in (60073, 100095)),
    *((seed, 2, "mapped durable") for seed in (40032, 60034)),
)


@pytest.mark.parametrize(
    "story",
    [*stories.ALL, *wait_stories.ALL, *permit_stories.ALL, *stop_stories.ALL],
    ids=lambda story: str(story.__name__),
)
def test_a_story_told_on_purpose(story: Callable[[], None]) -> None:
    story()


@pytest.mark.parametrize(("seed", "runtimes"), KEPT)
def test_a_story_that_once_went_wrong(seed: int, runtimes: int) -> None:
    random_story(seed, processes=runtimes)


@pytest.mark.parametrize(("seed", "durable"), KEPT_WAITING)
def test_a_story_about_waits_that_once_went_wrong(seed: int, durable: bool) -> None:
    random_story(seed, waiting=True, durable=durable)


@pytest.mark.parametrize(("seed", "runtimes", "kinds"), KEPT_OF_ALL_KINDS)
def test_a_story_of_any_kind_that_once_went_wrong(seed: int, runtimes: int, kinds: str) -> None:
    random_story(
        seed, processes=runtimes, mapped="mapped" in kinds, waiting="waiting" in kinds, durable="durable" in kinds
    )


@pytest.mark.parametrize("first", range(1000, 11000 if LONG else 1120, 20))
def test_one_runtime(first: int) -> None:
    for seed in range(first, first + 20):
        random_story(seed)


@pytest.mark.parametrize("first", range(1000, 11000 if LONG else 1080, 20))
def test_tasks_that_wait(first: int) -> None:
    resumed = 0
    for seed in range(first, first + 20):
        resumed += random_story(seed, waiting=True).journal.waits.resumed
    assert resumed > 40, "the stories hardly ever come to it"


@pytest.mark.parametrize("first", range(1000, 3000 if LONG else 1020, 10))
def test_tasks_that_wait_in_two_runtimes(first: int) -> None:
    for seed in range(first, first + 10):
        random_story(seed, processes=2, waiting=True)


@pytest.mark.parametrize("first", range(1000, 6000 if LONG else 1060, 20))
def test_durable_tasks(first: int) -> None:
    steps = signals = 0
    for seed in range(first, first + 20):
        durable = random_story(seed, durable=True).journal.durable
        steps, signals = steps + durable.steps_seen, signals + len(durable.signals)
    assert min(steps, signals) > 2, "the stories hardly ever come to it"


@pytest.mark.parametrize("first", range(1000, 3000 if LONG else 1020, 20))
def test_mapped_tasks_that_wait(first: int) -> None:
    for seed in range(first, first + 20):
        random_story(seed, mapped=True, waiting=True)


@pytest.mark.parametrize("first", range(1000, 3000 if LONG else 1020, 10))
def test_two_runtimes(first: int) -> None:
    for seed in range(first, first + 10):
        random_story(seed, processes=2)


@pytest.mark.parametrize("first", range(1000, 6000 if LONG else 1060, 20))
def test_mapped_tasks(first: int) -> None:
    for seed in range(first, first + 20):
        random_story(seed, mapped=True)


@pytest.mark.parametrize("first", range(1000, 2000 if LONG else 1010, 10))
def test_mapped_tasks_in_two_runtimes(first: int) -> None:
    for seed in range(first, first + 10):
        random_story(seed, processes=2, mapped=True)


def test_nothing_disturbs_it() -> None:
    for seed in range(1000, 2000 if LONG else 1020):
        random_story(seed, faults=False)
        random_story(seed, faults=False, waiting=True)


@pytest.mark.parametrize("machine", [SystemMachine, TwoRuntimes])
def test_drawn_by_hypothesis(machine: type[RuleBasedStateMachine]) -> None:
    chosen = settings(
        max_examples=2000 if LONG else 40,
        stateful_step_count=40,
        deadline=None,
        derandomize=not LONG,
        database=None,
        phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    )
    run_state_machine_as_test(machine, settings=chosen)


def test_the_same_seed_tells_the_same_story() -> None:
    assert random_story(17, processes=2).story == random_story(17, processes=2).story
