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
    beyond: set[int] = set()  # of other users: they can neither be ended nor waited for
    for _ in range(_ROUNDS):
        found = [pid for pid in _children("self") if pid not in known and pid not in beyond and is_wanted(pid)]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:
                beyond.add(pid)
        for pid in found:
            if pid not in beyond:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        if not found:
            return


def end_tree(root: int) -> None:
    """Kills a child of ours that has adopted orphans, with all its descendants; it is not reaped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGSTOP)  # it starts nothing more, and what loses its parent still comes to it
    for _ in range(_ROUNDS):
        if not _kill([pid for pid in _descendants(root) if not _is_zombie(pid)]):
            break
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGKILL)


def end_marked(mark: bytes) -> None:
    """Kills every process that was started with the entry `mark` in its environment. For what is left where the
    process that had adopted them was killed itself.
    """
    for _ in range(_ROUNDS):
        pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")] if sys.platform == "linux" else []
        if not _kill([pid for pid in pids if mark in environment_of(pid).split(b"\0") and not _is_zombie(pid)]):
            return


def environment_of(pid: int) -> bytes:
    """With what environment the process was started, entries separated by NUL; empty where that is not told."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _kill(pids: list[int]) -> bool:
    """Whether one of them was there to be killed."""
    killed = False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def _descendants(root: int) -> list[int]:
    found: list[int] = []
    todo = [root]
    while todo:
        todo += (below := _children(str(todo.pop())))
        found += below
    return found


def _children(pid: str) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found
