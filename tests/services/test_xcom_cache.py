"""The cache of what tasks have stored lately."""

from __future__ import annotations

import asyncio

import pytest

from tradewind.model.batch import Batch, Segment, XComRow
from tradewind.model.keys import RunId
from tradewind.model.outcomes import DELETED, DELETED_BUT_OWN, EncodedValue
from tradewind.services import xcom_cache
from tradewind.services.xcom_cache import BESIDE, XComCache

RUN = RunId(1)
ONE = EncodedValue(1, b"1")


def stored(cache: XComCache, task_id: str, key: str, value: EncodedValue) -> None:
    """A batch with this value has just been committed."""
    segment = Segment(RUN, "d")
    segment.xcoms.append(XComRow(task_id, -1, key, value))
    cache.learn(Batch([segment], [], []))


def test_it_holds_no_more_than_its_bytes_however_small_the_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xcom_cache, "CACHE_BYTES", 10 * (BESIDE + 1))
    cache = XComCache()
    for n in range(11):
        stored(cache, f"t{n}", "k", ONE)
    assert cache.get((RUN, "t0", -1), "k") is None, "the oldest went"
    assert cache.get((RUN, "t1", -1), "k") == ONE
    stored(cache, "t11", "k", ONE)
    assert cache.get((RUN, "t1", -1), "k") == ONE, "it was read since"
    assert cache.get((RUN, "t2", -1), "k") is None
    stored(cache, "t11", "k", EncodedValue(1, bytes(8 * BESIDE)))
    assert cache.get((RUN, "t10", -1), "k") is None, "larger ones push more out"
    assert cache.get((RUN, "t11", -1), "k") is not None


@pytest.mark.parametrize("gone", [DELETED, DELETED_BUT_OWN])
def test_what_runs_again_has_no_values_any_more_and_others_keep_theirs(gone: EncodedValue) -> None:
    cache = XComCache()
    for task_id in ("again", "other"):
        stored(cache, task_id, "a", ONE)
        stored(cache, task_id, "b", ONE)
    stored(cache, "again", "", gone)
    stored(cache, "other", "b", DELETED)
    found = {(task_id, key): cache.get((RUN, task_id, -1), key) for task_id in ("again", "other") for key in "ab"}
    assert found == {("again", "a"): None, ("again", "b"): None, ("other", "a"): ONE, ("other", "b"): None}


async def test_what_changes_while_it_is_fetched_is_not_kept() -> None:
    cache, asked, go_on = XComCache(), asyncio.Event(), asyncio.Event()

    async def ask() -> EncodedValue:
        asked.set()
        await go_on.wait()
        return ONE

    fetching = asyncio.ensure_future(cache.fetch((RUN, "t", -1), "k", ask))
    await asked.wait()
    stored(cache, "t", "", DELETED)
    go_on.set()
    assert await fetching == ONE
    assert cache.get((RUN, "t", -1), "k") is None
    assert await cache.fetch((RUN, "t", -1), "k", ask) == ONE
    assert cache.get((RUN, "t", -1), "k") == ONE
