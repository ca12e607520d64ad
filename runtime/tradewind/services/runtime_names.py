"""What runtimes are called: such that another process of the same machine can tell whether one lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def runtime_name() -> str:
    """This process: host, boot, process-id namespace, process id and its start time."""
    return "/".join((socket.gethostname(), _boot_id(), _pid_namespace(), _process(os.getpid())))


def is_provably_gone(name: str) -> bool:
    """Whether `name` is of this machine and boot and its process no longer exists."""
    process = _here(name)
    pid = process.partition("@")[0]
    return pid.isdigit() and _process(int(pid)) != process


def open_process(name: str) -> int | None:
    """A descriptor that becomes readable when the process of that name ends. None where there can be none: it is
    this very process, of another machine, gone already, or the system has no such descriptors.
    """
    process = _here(name)
    pid = process.partition("@")[0]
    if not pid.isdigit() or int(pid) == os.getpid() or not hasattr(os, "pidfd_open"):
        return None
    try:
        fd = os.pidfd_open(int(pid))
    except OSError:
        return None
    if _process(int(pid)) != process:  # the number has gone to another process meanwhile
        os.close(fd)
        return None
    return fd


def _here(name: str) -> str:
    """Process id and start time in `name`; empty where it is not of this machine and boot, or nobody can tell."""
    host, _, rest = name.partition("/")
    boot, _, rest = rest.partition("/")
    namespace, _, process = rest.partition("/")
    here = boot and (host, boot, namespace) == (socket.gethostname(), _boot_id(), _pid_namespace())
    return process if here else ""


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  its text is the name
    except OSError:
        return ""


def _process(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@"
    return f"{pid}@{fields[19]}" if fields[0] not in "ZX" else f"{pid}@"
