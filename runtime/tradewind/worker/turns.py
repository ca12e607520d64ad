"""Processes that a task has forked (`multiprocessing` does) ask over their task's own channel, one after the other.

They have inherited its one socket. Without turns each would take whatever answer comes first, be it another's.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable


class Turns:
    """Whose turn it is: among the threads of a process by `lock`, among processes in a `with` block inside it."""

    __slots__ = ("_file", "_on_fork", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._file = -1
        self._on_fork: Callable[[], None] | None = None

    def __enter__(self) -> None:
        if self._file >= 0:
            fcntl.lockf(self._file, fcntl.LOCK_EX)  # belongs to the process: it goes with it, however that ends

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._file >= 0:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def watch_forks(self, on_fork: Callable[[], None]) -> None:
        """From now on forks of this process share the turns; one instance does in a process, the latest. `on_fork` is
        called in the fork, before any other code of it.
        """
        self._on_fork = on_fork  # not before: a zygote, which collects no garbage, must have no cycle here
        _watched[:] = [self]

    def before_fork(self) -> None:
        """Nobody is in the midst of asking, and there is something for processes to lock."""
        self.lock.acquire()
        if self._file < 0:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())

    def after_in_parent(self) -> None:
        """Threads may go on."""
        self.lock.release()

    def after_in_child(self) -> None:
        """The lock was taken by a thread that is not here."""
        self.lock = threading.Lock()
        if self._on_fork is not None:
            self._on_fork()


_watched: list[Turns] = []


def _before_fork() -> None:
    for turns in _watched:
        turns.before_fork()


def _after_in_parent() -> None:
    for turns in _watched:
        turns.after_in_parent()


def _after_in_child() -> None:
    for turns in _watched:
        turns.after_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
