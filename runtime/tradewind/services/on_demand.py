"""Work that is done whenever somebody says that there may be some, and again after a pause where it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class OnDemand:
    """A service that sleeps until it is woken. It begins awake: what came before it is work too."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._woken.set()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def when_woken(self, work: Callable[[], Awaitable[float | None]]) -> None:
        """Does `work` for ever. It gives the seconds until it is to be tried again by itself; None: when woken. A
        wake-up while it works is not lost.
        """
        while True:
            await self._woken.wait()
            self._woken.clear()
            pause = await work()
            if pause == 0:
                self.wake()
            elif pause is not None:
                asyncio.get_running_loop().call_later(pause, self.wake)
