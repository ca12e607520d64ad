"""Python's cyclic garbage collector, tamed for a loop that must not stand still.

The collector looks at young objects as they are made, and its pauses grow with how many it looks at at a time. Small
generations cost no more in all and stop the loop for milliseconds. The oldest generation is looked at only while
nothing is being decided, and what it keeps is then frozen, so that the next look is short. See decision 0120.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from time import perf_counter, thread_time
from typing import Final

log = logging.getLogger(__name__)

YOUNG: Final = 2_000
"""Objects after which the youngest generation is looked at."""
MIDDLE: Final = 10
"""Looks at the youngest after which the middle one is looked at as well."""
NEVER: Final = 1_000_000_000
"""Looks at the middle one after which the oldest is looked at: that is done here, not by the interpreter."""

LOOK_EVERY: Final = 10.0
"""Seconds; where nothing was decided meanwhile and the loop had next to nothing to do, the runtime is idle."""
LITTLE: Final = 0.05
"""Of the time, for which the loop's thread may have computed in an idle runtime: thousands of sensors, or the service
that the runtime is part of, have the loop compute though nothing is decided, and would wait for the collector.
"""
WORTH_IT: Final = 10
"""Looks at the middle generation since the last one at everything that make it worth while."""
TOO_MANY: Final = 2_000
"""Looks at the middle generation (of 20,000 objects) after which everything is looked at though the runtime is busy."""
THAW_AFTER: Final = 3_600.0
"""Seconds after which what was frozen is looked at as well: some of it may be garbage by now."""


def settle() -> None:
    """What is there after the start stays: the collector need not look at it. The little garbage among it is found by
    the first look at all that was frozen; looking for it here would hold the loop for fifty milliseconds.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect_when_idle(turns: Callable[[], int]) -> None:
    """Looks at everything now and then, for ever. `turns` counts what the scheduler has decided: where that stands
    still, and the loop does, nothing is waited for.
    """
    seen, looks, thawed = turns(), _looks(), perf_counter()
    while True:
        computed, since = thread_time(), perf_counter()
        await asyncio.sleep(LOOK_EVERY)
        now, young = turns(), _looks() - looks
        is_quiet = thread_time() - computed <= LITTLE * (perf_counter() - since)
        is_idle, seen = is_quiet and now == seen, now
        if young < WORTH_IT or not (is_idle or young >= TOO_MANY):
            continue
        began = perf_counter()
        if is_idle and began - thawed >= THAW_AFTER:
            gc.unfreeze()
            thawed = began
        found = gc.collect()
        gc.freeze()
        looks = _looks()
        log.debug("garbage: %d objects in %.3f s", found, perf_counter() - began)


def _looks() -> int:
    """How often the middle generation has been looked at."""
    return int(gc.get_stats()[1]["collections"])
