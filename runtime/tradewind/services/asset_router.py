"""Sends events of assets to the DAGs that are scheduled on them.

An event is committed with the end of the task that sent it, not routed yet. Then, and whenever this runtime
begins or takes DAGs over, whatever is not routed is: one transaction marks the events and puts them into the
queues of their DAGs, with mail to the owners. Two runtimes may do so at once; each event is routed by one.
"""

from __future__ import annotations

import logging
from typing import Final

from tradewind.failpoints import failpoint
from tradewind.model.batch import Batch
from tradewind.model.errors import StoreError, StoreUnavailable
from tradewind.ports import Store
from tradewind.services.on_demand import OnDemand

log = logging.getLogger(__name__)

AT_A_TIME: Final = 500
"""Events in one transaction."""

RETRY_AFTER: Final = 1.0


class AssetRouter(OnDemand):
    """Routes when told that there is something to route."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def learn(self, batch: Batch) -> None:
        """Looks at what has just been committed."""
        if any(segment.asset_events for segment in batch.segments):
            self.wake()

    async def run(self) -> None:
        """Routes as events come."""
        await self.when_woken(self._work)

    async def _work(self) -> float | None:
        """Routes what is not routed, so many events at a time."""
        try:
            failpoint("assets.before_route")
            return 0 if await self._store.asset_route(AT_A_TIME) == AT_A_TIME else None
        except (StoreUnavailable, StoreError) as error:
            log.warning("asset events are routed in %s s: %s", RETRY_AFTER, error)
            return RETRY_AFTER
