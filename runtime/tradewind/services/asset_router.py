"""Sends events of assets to the DAGs that are scheduled on them.

An event is committed with the end of the task that sent it, not routed yet. Then, and whenever this runtime
begins or takes DAGs over, whatever is not routed is: one transaction marks the events and puts them into the
queues of their DAGs, with mail to the owners. Two runtimes may do so at once; each event is routed by one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from tradewind.failpoints import failpoint
from tradewind.model.errors import StoreError, StoreUnavailable
from tradewind.model.rows import Batch
from tradewind.ports import Store

log = logging.getLogger(__name__)

AT_A_TIME: Final = 500
"""Events in one transaction."""

RETRY_AFTER: Final = 1.0


class AssetRouter:
    """Routes when told that there is something to route."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """There may be events that nobody has routed."""
        self._wake.set()

    def learn(self, batch: Batch) -> None:
        """Looks at what has just been committed."""
        if any(segment.asset_events for segment in batch.segments):
            self._wake.set()

    async def run(self) -> None:
        """Routes as events come."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                failpoint("assets.before_route")
                if await self._store.asset_route(AT_A_TIME) == AT_A_TIME:
                    self._wake.set()
            except (StoreUnavailable, StoreError) as error:
                log.warning("asset events are routed in %s s: %s", RETRY_AFTER, error)
                asyncio.get_running_loop().call_later(RETRY_AFTER, self.wake)
