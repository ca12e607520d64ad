"""Processes whose parent has ended: the kernel hands them to the nearest ancestor that asked for them.

Whoever runs user code in forks asks, so that a process which left its session (a daemon, `setsid`, a command in a
process group of its own) can still be found and ended with the fork that started it. Linux; elsewhere nothing is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_ROUNDS: Final = 100
"""Each ends one generation of processes, and what they started comes to us."""


def adopt_orphans() -> None:
    """From now on this process is the parent of what its descendants leave behind. Forks do not inherit this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(known: Container[int], is_wanted: Callable[[int], bool] = lambda pid: True) -> None:
    """Kills and reaps the children that are not `known` and of which `is_wanted`, and their descendants."""
    for _ in range(_ROUNDS):
        found = [pid for pid in _children() if pid not in known and is_wanted(pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if not found:
            return


def environment_of(pid: int) -> bytes:
    """With what environment the process was started, entries separated by NUL; empty where that is not told."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _children() -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found
