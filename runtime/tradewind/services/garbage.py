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
from time import perf_counter
from typing import Final

log = logging.getLogger(__name__)

YOUNG: Final = 2_000
"""Objects after which the youngest generation is looked at."""
MIDDLE: Final = 10
"""Looks at the youngest after which the middle one is looked at as well."""
NEVER: Final = 1_000_000_000
"""Looks at the middle one after which the oldest is looked at: that is done here, not by the interpreter."""

LOOK_EVERY: Final = 10.0
AT_LEAST: Final = 600.0
"""Seconds between two looks at everything."""
AT_MOST: Final = 3_600.0
"""Seconds after which everything is looked at though the runtime is busy."""


def settle() -> None:
    """What is there after the start stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect_when_idle(turns: Callable[[], int]) -> None:
    """Looks at everything now and then, for ever. `turns` counts what the scheduler has decided: where that stands
    still, nothing is waited for.
    """
    before, last = turns(), perf_counter()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        now, since = turns(), perf_counter() - last
        is_idle, before = now == before, now
        if since < AT_LEAST or not (is_idle or since >= AT_MOST):
            continue
        began = perf_counter()
        found = gc.collect()
        gc.freeze()
        last = perf_counter()
        log.debug("garbage: %d objects in %.3f s", found, last - began)
