"""Tasks in the thread of who waits for their run: an interrupt there ends the run, wherever it comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading

import pytest

from tradewind.worker.callers_thread import CallersThread, task_threads


def swallowed_interrupt() -> str:
    """As an attempt takes in whatever its task raises."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    return threading.current_thread().name


def test_an_interrupt_that_a_task_takes_in_ends_the_run() -> None:
    seen: list[str] = []

    async def main() -> None:
        try:
            seen.append(await asyncio.get_running_loop().run_in_executor(task_threads.get(), swallowed_interrupt))
            await asyncio.Event().wait()
        finally:
            seen.append("over")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        CallersThread().run(main())
    assert seen[-1] == "over"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_finds_tasks_still_served() -> None:
    """What the run does in ending may need the thread."""
    served: list[str] = []

    async def main() -> None:
        for _ in range(2):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        served.append(await loop.run_in_executor(task_threads.get(), lambda: threading.current_thread().name))

    with pytest.raises(KeyboardInterrupt):
        CallersThread().run(main())
    assert served == [threading.main_thread().name]


def test_the_result_and_what_is_raised() -> None:
    async def main(*, fails: bool) -> int:
        if fails:
            raise LookupError("no")
        return 1

    assert CallersThread().run(main(fails=False)) == 1
    with pytest.raises(LookupError, match="no"):
        CallersThread().run(main(fails=True))
