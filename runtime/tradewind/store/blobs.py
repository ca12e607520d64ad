"""Large values: stored once by their hash, gone when nothing names them any more.

A value above `StoreOptions.spill_bytes` is named by its row and lies in the table `blob`, or, with
`StoreOptions.spill_place`, outside of the database: then `blob_put` writes it before the batch that names it, and
the table says where. Equal values share one. They are read with their row, never before somebody asks for the value.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Final

from tradewind.store.lines import Lines
from tradewind.store.statements import statement

log = logging.getLogger(__name__)

AGES_OUTSIDE: Final = 24
"""A value outside the database is deleted after so many times the age: its row may be long in coming, while the
database is away.
"""

LOOK_EVERY: Final = 24 * 3600.0
"""Seconds between two looks at everything that lies outside: for what was written, and never named."""


class Blobs(Lines):
    """`ports.BlobStore`."""

    _looked_at: float | None = None

    @property
    def blob_limit(self) -> int | None:
        """As `Store.blob_limit`."""
        return self.options.spill_bytes if self.options.spill_place is not None else None

    async def blob_put(self, values: Sequence[bytes]) -> None:
        """As `Store.blob_put`."""
        digests = await asyncio.to_thread(lambda: {hashlib.sha256(data).digest(): data for data in values})
        for digest in digests:
            self._outside.pending.pop(digest, None)
        query = statement("blob", "blob_touch")
        rows = await self._readers.fetch(query, *query.values({"hashes": list(digests)}))
        known: dict[bytes, str | None] = {row["blob_hash"]: row["place"] for row in rows}
        for digest, data in digests.items():
            place = known[digest] if digest in known else await self._outside.write(digest, data)
            if place is not None:
                self._outside.expect(digest, place)

    async def blob_sweep(self, age: float) -> int:
        """As `Store.blob_sweep`."""
        query = statement("blob", "blob_sweep")
        rows = await self._bulk.fetch(query, *query.values({"age": age, "age_outside": age * AGES_OUTSIDE}))
        if self.options.spill_place is not None:
            try:
                await self._sweep_outside(age, [row["place"] for row in rows if row["place"] is not None])
            except Exception as error:  # whatever the library of a store raises; the next look finds what is left
                log.warning("values in %s are deleted later: %s", self.options.spill_place, error)
        return len(rows)

    async def _sweep_outside(self, age: float, gone: Sequence[str]) -> None:
        await self._outside.delete(gone)
        now = time.monotonic()
        if age > 0 and self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        old = await self._outside.older_than(age * AGES_OUTSIDE)
        query = statement("blob", "blob_named")
        for start in range(0, len(old), 1000):
            some = old[start : start + 1000]
            rows = await self._bulk.fetch(query, *query.values({"places": some}))
            named = {row["place"] for row in rows}
            left = await self._outside.delete([place for place in some if place not in named])
            if left:
                log.info("%d large values that were never committed are deleted", left)

    async def blob_count(self) -> tuple[int, int]:
        """As `Store.blob_count`."""
        row = await self._readers.fetchrow(statement("blob", "blob_count"))
        return (0, 0) if row is None else (row["number"], row["bytes"])
