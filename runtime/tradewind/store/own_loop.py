"""An event loop in a thread of its own, for what must go on while the caller's loop is held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class OwnLoop:
    """Starts with the first call and ends with `close`; a call after that starts it again."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = asyncio.Event()

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    async def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs `work` over there and gives its result; a caller that is cancelled cancels it."""
        loop = self._loop or self._start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), loop))

    async def close(self) -> None:
        """Cancels what still runs there and ends the thread. Twice is allowed."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(thread.join)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._stop = asyncio.Event()
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_turn, args=(loop, self._stop), name=self._name, daemon=True)
        self._thread.start()
        return loop


def _turn(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_until(stop))


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
