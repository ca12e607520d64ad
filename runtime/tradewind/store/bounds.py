"""What both stores have to agree on: orders, numbers, limits."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tradewind.model.errors import BatchConflict, StoreError
from tradewind.model.rows import Batch

MOST_TRIES: Final = 5
"""So often an outbox item may fail before it is given up."""

RUN_ORDERS: Final = frozenset({"run_id", "logical_date", "started_at", "ended_at", "state", "dag_run_id"})


def run_order(order_by: str) -> tuple[str, bool]:
    """Column and whether it descends. Raises StoreError for an unknown one."""
    column = order_by.removeprefix("-")
    if column not in RUN_ORDERS:
        raise StoreError(f"runs cannot be ordered by {order_by!r}: use one of {', '.join(sorted(RUN_ORDERS))}")
    return column, order_by.startswith("-")


def require_one_segment_a_run(batch: Batch) -> None:
    """Raises BatchConflict for a batch with two segments of one run."""
    segments = batch.segments
    if len(segments) > 1 and len({segment.run_id for segment in segments}) < len(segments):
        seen = Counter(segment.run_id for segment in segments)
        twice = [run_id for run_id, count in seen.items() if count > 1]
        raise BatchConflict(twice, "a batch has one segment a run")
