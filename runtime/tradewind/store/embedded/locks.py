"""Advisory file locks that the kernel gives back when a process dies.

Three files beside the data directory carry all the agreement between processes of one home:

- `start.lock`: exclusive, held only around "look, start, connect" and around leaving;
- `users.lock`: shared by everybody who uses the server, exclusive for the keeper that found nobody left;
- `keeper.lock`: exclusive as long as a keeper lives.

A lock belongs to the open file: a forked child shares it, a program started by exec does not have it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

_LOOK_AGAIN_S = 0.005


class FileLock:
    """One advisory lock on one file. Blocking calls: use them from a thread, not from the loop."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, *, shared: bool = False, within_s: float | None = None) -> bool:
        """Take the lock, or change the way it is held; False where that took longer than `within_s`.

        `within_s=0` tries once. None waits for ever.
        """
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if within_s is None:
            fcntl.flock(self._fd, mode)
            return True
        end = time.monotonic() + within_s
        while True:
            try:
                fcntl.flock(self._fd, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(_LOOK_AGAIN_S)
            else:
                return True

    def release(self) -> None:
        """Give the lock back. Twice is allowed."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def opened(self) -> bool:
        """Whether the file is open here, be it locked or not."""
        return self._fd is not None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of this file at this moment."""
    with FileLock(path) as lock:
        return lock.acquire(within_s=0)


def wait_free(path: Path, *, within_s: float) -> bool:
    """Wait until nobody holds the lock of this file; False where that took longer than `within_s`."""
    with FileLock(path) as lock:
        return lock.acquire(within_s=within_s)
