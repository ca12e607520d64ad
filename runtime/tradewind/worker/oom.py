"""Evidence that the kernel killed for lack of memory."""

from __future__ import annotations

from pathlib import Path
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
