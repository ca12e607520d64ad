"""Each planted fault turns the simulation red; without it the same stories are green (`test_simulation.py`)."""

from __future__ import annotations

from typing import Final

import pytest

from tests.simulation.actions import random_story
from tests.simulation.faults import commits, dispatch, durable, limits, mapping, rules, stopping, waiting
from tests.simulation.faults.planting import Fault
from tests.simulation.world import Violation
from tradewind.testing.virtual_time import EndlessActivity

STORIES_MAX: Final = 40
FAULTS: Final = [
    fault
    for file in (commits, dispatch, limits, rules, mapping, waiting, durable, stopping)
    for fault in file.fault.all
]

pytestmark = pytest.mark.blocks_the_loop


def stories_until_it_shows(fault: Fault) -> None:
    """Tells stories until one goes wrong."""
    if fault.story is not None:
        fault.story()
        return
    for seed in range(fault.first_seed, fault.first_seed + STORIES_MAX):
        random_story(
            seed,
            processes=fault.processes,
            faults=fault.disturbed,
            mapped=fault.mapped,
            waiting=fault.waiting,
            durable=fault.durable,
        )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_the_simulation_finds(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.plant(monkeypatch)
    with pytest.raises((Violation, EndlessActivity)):
        stories_until_it_shows(fault)


def test_there_are_enough() -> None:
    assert len(FAULTS) >= 20
    assert len(mapping.fault.all) >= 4
    assert len(waiting.fault.all) >= 20
    assert len(durable.fault.all) >= 8
