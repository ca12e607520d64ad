"""What both stores have to agree on: orders, numbers, limits."""

from __future__ import annotations

from typing import Final

from tradewind.model.errors import StoreError

MOST_TRIES: Final = 5
"""So often an outbox item may fail before it is given up."""

RUN_ORDERS: Final = frozenset({"run_id", "logical_date", "started_at", "ended_at", "state", "dag_run_id"})


def run_order(order_by: str) -> tuple[str, bool]:
    """Column and whether it descends. Raises StoreError for an unknown one."""
    column = order_by.removeprefix("-")
    if column not in RUN_ORDERS:
        raise StoreError(f"runs cannot be ordered by {order_by!r}: use one of {', '.join(sorted(RUN_ORDERS))}")
    return column, order_by.startswith("-")
