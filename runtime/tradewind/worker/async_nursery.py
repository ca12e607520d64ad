"""The nursery: a process that forks async hosts, reaps them, and ends what they leave running.

Started by exec, never forked from the runtime, like a zygote, whose packets it understands; but it loads no DAG file:
each host loads its own. So a host is there in milliseconds and shares the memory of everything that all hosts need.
When the runtime is gone, all hosts and what they have started are killed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
from typing import NoReturn

from tradewind.worker.async_host import run_host
from tradewind.worker.child import die_with_parent
from tradewind.worker.zygote import PACKET_MAX, Zygote


def main() -> NoReturn:
    """``python -m tradewind.worker.async_nursery FD PARENT_PID``."""
    control = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    Nursery(control).serve()


class Nursery(Zygote):
    """Forks without a DAG file."""

    def _load(self) -> bool:
        if not self._control.recv(PACKET_MAX):
            return False
        with contextlib.suppress(ImportError):
            importlib.import_module("uvloop")
        self._is_ready()
        return True

    def _fork(self, descriptor: int) -> int:
        with socket.socket(fileno=descriptor) as sock:
            parent = os.getpid()
            pid = os.fork()
            if pid:
                return pid
            try:
                self._begin_child(parent)
                sock.set_inheritable(False)
                run_host(sock)
            finally:
                os._exit(70)


if __name__ == "__main__":
    main()
