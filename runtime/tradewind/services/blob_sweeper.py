"""Deletes large values that nothing names any more (of tasks that ran again, and of runs that are gone), and values of
state stores whose time is over.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from tradewind.model.errors import StoreUnavailable
from tradewind.ports import Store

log = logging.getLogger(__name__)

PAUSE: Final = 3600.0
"""Seconds between two sweeps, and how old a value must be: far longer than any batch is under way."""


async def sweep_blobs(store: Store) -> None:
    """Sweeps for ever. The first sweep comes after the first pause: nothing depends on it."""
    while True:
        await asyncio.sleep(PAUSE)
        try:
            gone = await store.blob_sweep(PAUSE)
            await store.state_sweep()
        except StoreUnavailable as why:
            log.debug("large values are swept later: %s", why)
            continue
        if gone:
            log.info("%d large values that nothing named are deleted", gone)
