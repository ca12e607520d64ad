"""Puts large values aside before the scheduler hears of them, so that no commit ever waits for a folder or a bucket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tradewind.model.outcomes import Outcome
from tradewind.ports import Store

log = logging.getLogger(__name__)

WRITTEN_WITHIN: Final = 60.0
"""Seconds that the place of large values gets; what is not there by then goes into the database."""


class ValueSpiller:
    """Where the store wants large values put aside, has it done. What cannot be put goes along with its batch, into
    the database: no result is lost because a bucket is away.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._limit = store.blob_limit
        self._under_way: set[asyncio.Task[None]] = set()

    def large_of(self, outcome: Outcome | None) -> list[bytes]:
        """The values of an attempt's end that are to be put aside."""
        limit = self._limit
        if limit is None or outcome is None:
            return []
        return [put.value.data for put in outcome.xcoms if len(put.value.data) > limit]

    async def put(self, *values: bytes) -> None:
        """Puts those aside that are large enough, and says in the log what could not be."""
        limit = self._limit
        large = [] if limit is None else [data for data in values if len(data) > limit]
        if not large:
            return
        try:
            async with asyncio.timeout(WRITTEN_WITHIN):
                await self._store.blob_put(large)
        except Exception as error:  # whatever the library of a bucket raises
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            log.warning("%d large values go into the database, core.xcom_spill_path fails: %s", len(large), why)

    def first(self, values: Sequence[bytes], then: Callable[[], None]) -> None:
        """Calls `then` once the values are put aside, or cannot be."""

        async def go() -> None:
            await self.put(*values)
            then()

        task = asyncio.get_running_loop().create_task(go())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Returns when nothing is being put aside any more."""
        while self._under_way:
            await asyncio.wait(self._under_way)
