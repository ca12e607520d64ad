"""When the collector looks at everything."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from time import perf_counter

import pytest

from tradewind.services import garbage


class Looks:
    """A scheduler that decides nothing, and a collector that collects nothing: both are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds = 0
        self.computes = True
        self.looked = asyncio.Event()
        self.collected = asyncio.Event()
        monkeypatch.setattr(garbage, "LOOK_EVERY", 0.02)
        monkeypatch.setattr(garbage, "WORTH_IT", 0)
        monkeypatch.setattr(gc, "collect", self.collect)
        monkeypatch.setattr(gc, "freeze", lambda: None)
        monkeypatch.setattr(garbage, "thread_time", self.computed)

    def turns(self) -> int:
        self.rounds += 1
        if self.rounds == 5:
            self.looked.set()
        return 7

    def computed(self) -> float:
        """The loop's thread computes, or has nothing to do. However long a busy machine holds it up between two looks
        at clocks, it computes for longer.
        """
        return 1_000_000 * perf_counter() if self.computes else 0.0

    def collect(self) -> int:
        self.collected.set()
        return 0


async def test_not_while_the_loop_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand sensors are asked though nothing is decided: a look at all of them would make them late."""
    looks = Looks(monkeypatch)
    watching = asyncio.ensure_future(garbage.collect_when_idle(looks.turns))
    async with asyncio.timeout(60):
        await looks.looked.wait()
    assert not looks.collected.is_set()
    looks.computes = False
    async with asyncio.timeout(60):
        await looks.collected.wait()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
