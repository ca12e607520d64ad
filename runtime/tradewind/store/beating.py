"""Beats at a pace, whichever loop it happens on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tradewind.model.errors import StoreUnavailable
from tradewind.model.rows import Beat, BeatReport


async def beat_for_ever(
    beat: Callable[[], Awaitable[BeatReport]],
    pace: Callable[[BeatReport | None], float],
    tell: Callable[[Beat], None],
    hurry: asyncio.Event,
) -> None:
    """Beats, tells, and rests for as long as `pace` says or until `hurry` is set. Raises Fenced."""
    loop = asyncio.get_running_loop()
    while True:
        hurry.clear()
        report: BeatReport | None = None
        with suppress(StoreUnavailable):
            report = await beat()
        tell(Beat(loop.time(), report))
        with suppress(TimeoutError):
            async with asyncio.timeout(pace(report)):
                await hurry.wait()
