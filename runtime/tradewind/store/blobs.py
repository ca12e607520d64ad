"""Large values in PostgreSQL: stored once by their hash, gone when nothing names them any more.

A value above `StoreOptions.spill_bytes` lies in the table `blob`, and its row names it; equal values share one.
They are written with the batch that stores the value, and read with it, never before somebody asks for the value.
"""

from __future__ import annotations

from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class Blobs(Lines):
    """`ports.BlobStore`."""

    async def blob_sweep(self, age: float) -> int:
        """As `Store.blob_sweep`."""
        query = statement("blob", "blob_sweep")
        row = await self._bulk.fetchrow(query, *query.values({"age": age}))
        return 0 if row is None else row["number"]

    async def blob_count(self) -> tuple[int, int]:
        """As `Store.blob_count`."""
        row = await self._readers.fetchrow(statement("blob", "blob_count"))
        return (0, 0) if row is None else (row["number"], row["bytes"])
