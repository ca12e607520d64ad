"""Who waits for a change of another DAG is woken by it, and misses none that happens while he looks."""

from __future__ import annotations

import asyncio

from tradewind.control_ports import LiveEvent
from tradewind.services.live import LiveHub


async def test_a_change_wakes_those_who_wait_for_it_alone() -> None:
    hub = LiveHub()
    since = await hub.changes("runs", "a", -1, 0)
    waiting = asyncio.ensure_future(hub.changes("runs", "a", since, 10))
    other = asyncio.ensure_future(hub.changes("runs", "b", 0, 10))
    tasks = asyncio.ensure_future(hub.changes("tasks", "a", 0, 10))
    await asyncio.sleep(0)
    hub.publish(LiveEvent("run", "a", "r1"))
    assert await waiting > since
    assert not other.done()
    assert not tasks.done()
    other.cancel()
    tasks.cancel()


async def test_a_change_between_two_questions_is_told_at_once() -> None:
    hub = LiveHub()
    since = await hub.changes("assets", "", -1, 0)
    hub.publish_assets()
    async with asyncio.timeout(60):
        now = await hub.changes("assets", "", since, 60)
    assert now != since
    assert await hub.changes("assets", "", -1, 60) == now


async def test_without_a_change_the_number_stays_and_changes_after_it_count() -> None:
    hub = LiveHub()
    assert not hub.is_watched
    assert await hub.changes("runs", "a", 0, 0.001) == 0
    assert hub.is_watched, "what happens between two questions counts"
    async with asyncio.timeout(60):
        hub.publish(LiveEvent("run", "a", "r1"))
        assert await hub.changes("runs", "a", 0, 60) > 0
