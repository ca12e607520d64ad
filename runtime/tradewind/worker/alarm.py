"""A time limit for sync code: an exception raised in the main thread by a timer signal; and what it cuts not in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from tradewind.model.errors import TaskTimeout

_LONGEST: Final = 1e9
"""Seconds that a timer takes; some 30 years stand for ever."""


@contextmanager
def deadline(seconds: float | None, what: str = "execution_timeout", *, whole: float | None = None) -> Generator[None]:
    """Raises TaskTimeout in the block after `seconds`; None, or a thread that gets no signals: no limit.

    `what` is the limit's name in the message, `whole` its length, where `seconds` is what is left of it.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    is_over = False

    def ring(signum: int, frame: FrameType | None) -> None:
        if is_over:
            return  # too late: raised here, it would leave the timer on
        raise TaskTimeout(f"{what} of {seconds if whole is None else whole:g} s has passed")

    before = signal.signal(signal.SIGALRM, ring)
    # Rings again each second: code that swallows the first is asked until it ends.
    signal.setitimer(signal.ITIMER_REAL, min(max(seconds, 1e-6), _LONGEST), 1.0)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def uninterrupted() -> Generator[None]:
    """Neither the alarm nor the order to end comes in the block, in this thread; they come right after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # what came just before is raised by the next call itself, when both are blocked already
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM, signal.SIGTERM))
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
