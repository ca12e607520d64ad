"""What both stores have to agree on: orders, numbers, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from tradewind.model.assets import AssetRow, AssetUse
from tradewind.model.batch import Batch
from tradewind.model.errors import BatchConflict, StoreError
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import InstanceRow
from tradewind.rules.admission import ON_LOOP, PARALLELISM, pool_limit

MOST_TRIES: Final = 5
"""So often an outbox item may fail before it is given up."""

RUN_ORDERS: Final = frozenset({"run_id", "logical_date", "started_at", "ended_at", "state", "dag_run_id"})


def run_order(order_by: str) -> tuple[str, bool]:
    """Column and whether it descends. Raises StoreError for an unknown one."""
    column = order_by.removeprefix("-")
    if column not in RUN_ORDERS:
        raise StoreError(f"runs cannot be ordered by {order_by!r}: use one of {', '.join(sorted(RUN_ORDERS))}")
    return column, order_by.startswith("-")


INSTANCE_ORDERS: Final = frozenset(
    {"task_id", "map_index", "state", "started_at", "ended_at", "try_number", "duration"}
)


def instance_order(order_by: str) -> tuple[str, bool]:
    """Field and whether it descends. Raises StoreError for an unknown one."""
    name = order_by.removeprefix("-")
    if name not in INSTANCE_ORDERS:
        known = ", ".join(sorted(INSTANCE_ORDERS))
        raise StoreError(f"task instances cannot be ordered by {order_by!r}: use one of {known}")
    return name, order_by.startswith("-")


MISS_ORDERS: Final = frozenset({"at", "due"})


def miss_order(order_by: str) -> tuple[str, bool]:
    """Field and whether it descends. Raises StoreError for an unknown one."""
    name = order_by.removeprefix("-")
    if name not in MISS_ORDERS:
        raise StoreError(f"missed deadlines cannot be ordered by {order_by!r}: use one of at, due")
    return name, order_by.startswith("-")


def visible(rows: Iterable[InstanceRow]) -> list[InstanceRow]:
    """Task instances in order, without those of a mapped task that is just being expanded: while the task's
    own row is there, it alone counts.
    """
    shown: list[InstanceRow] = []
    own: str | None = None
    for row in rows:
        if row.map_index == UNMAPPED:
            own = row.task_id
        elif row.task_id == own:
            continue
        shown.append(row)
    return shown


def require_one_segment_a_run(batch: Batch) -> None:
    """Raises BatchConflict for a batch with two segments of one run."""
    segments = batch.segments
    if len(segments) > 1 and len({segment.run_id for segment in segments}) < len(segments):
        seen = Counter(segment.run_id for segment in segments)
        twice = [run_id for run_id, count in seen.items() if count > 1]
        raise BatchConflict(twice, "a batch has one segment a run")


def held_of_limits(attempts: Iterable[tuple[str, str, int, int]]) -> dict[str, int]:
    """How much of each shared limit live attempts hold: (pool, executor, slots, how many attempts)."""
    held: Counter[str] = Counter()
    for pool, executor, slots, count in attempts:
        held[pool_limit(pool)] += slots
        if executor != ON_LOOP:
            held[PARALLELISM] += count
    return dict(held)


def known_assets(rows: Sequence[AssetRow], uses: Sequence[tuple[str, AssetUse]]) -> list[AssetRow]:
    """The assets with those uses that mean them."""
    by_leaf: dict[tuple[str, str], list[tuple[str, AssetUse]]] = {}
    for dag_id, use in uses:
        by_leaf.setdefault((use.kind, use.ref), []).append((dag_id, use))
    return [
        replace(
            row,
            uses=tuple(
                found
                for leaf in (
                    ("asset", row.uri),
                    ("uri", row.uri),
                    ("name", row.name),
                    *(("alias", alias) for alias in row.aliases),
                )
                for found in by_leaf.get(leaf, ())
            ),
        )
        for row in rows
    ]
