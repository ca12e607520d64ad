"""The memory that an async host and its executor share: whose step it is just now, and behind it stacks."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile

from tradewind.worker.async_host import MARK_BYTES


def new_scratch() -> int:
    """An unnamed file that a host and its executor share."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tradewind-host", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, MARK_BYTES)
    return descriptor


def read_scratch(descriptor: int) -> tuple[int, str]:
    """Whose step it was, and the stacks."""
    if descriptor < 0:
        return 0, ""
    with contextlib.suppress(OSError, ValueError), mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as memory:
        (mark,) = struct.unpack_from("=Q", memory)
        return mark, memory[MARK_BYTES:].decode("utf-8", "replace")
    return 0, ""
