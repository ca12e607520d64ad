"""Values that are held for long take the memory of their length."""

from __future__ import annotations

import tracemalloc

import orjson
import pytest

from tradewind.model.outcomes import kept_json


def test_a_kept_value_takes_its_own_size() -> None:
    count, value = 1_000, {"moment": "2026-01-05T00:00:00+00:00"}
    tracemalloc.start()
    try:
        kept = [kept_json(value) for _ in range(count)]
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert set(kept) == {orjson.dumps(value)}
    assert used < 200 * count


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        kept_json({1, 2})
