"""Evidence that the kernel killed for lack of memory."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Final

_VMSTAT: Final = Path("/proc/vmstat")


def oom_kills(vmstat: Path = _VMSTAT) -> int:
    """How many processes the kernel has killed for lack of memory since it booted, limits of control groups
    included; 0 where it does not say. A SIGKILL that falls together with a rise was such a kill.
    """
    try:
        text = vmstat.read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


class OomBaseline:
    """The count as it was when something began, read at most once a second: many attempts begin in one."""

    __slots__ = ("_kills", "_read_at")

    def __init__(self) -> None:
        self._kills = 0
        self._read_at = float("-inf")

    def before(self) -> int:
        """The count, no older than a second."""
        now = monotonic()
        if now - self._read_at > 1.0:
            self._kills = oom_kills()
            self._read_at = now
        return self._kills
