"""A bare fork that takes a frame in and gives two out, from a process that has imported what a worker needs.

Run as a program: ``python -m benchmarks.fork_floor TASKS IN_FLIGHT [FILE]`` prints one JSON object. With
FILE each fork also executes that DAG file and sends its graph.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import statistics
import sys
import time
from pathlib import Path

from tradewind.bundles.loader import load_file

for _what_a_worker_has_in_memory in ("tradewind.standard.python", "tradewind.worker.zygote"):
    importlib.import_module(_what_a_worker_has_in_memory)


def _child(channel: socket.socket, file: Path | None) -> None:
    channel.recv(4096)
    channel.sendall(b'{"began": 1}')
    if file is None:
        channel.sendall(b'{"finished": 1}')
        return
    for dag in load_file(str(file), root=str(file.parent)).dags.values():
        channel.sendall(dag.to_spec().to_json())


def _end(pid: int, channel: socket.socket) -> None:
    while channel.recv(1 << 16):
        pass
    os.waitpid(pid, 0)
    channel.close()


def measure(tasks: int, in_flight: int, file: Path | None) -> dict[str, float]:
    """Attempts a second, and milliseconds from fork to reaped (median)."""
    for module in ("tradewind.standard.python", "tradewind.worker.zygote"):  # what a worker has in memory
        importlib.import_module(module)
    gc.freeze()
    live: list[tuple[int, socket.socket, float]] = []
    took: list[float] = []
    began = time.perf_counter()
    for _ in range(tasks):
        ours, theirs = socket.socketpair()
        at = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            ours.close()
            try:
                _child(theirs, file)
            finally:
                os._exit(0)
        theirs.close()
        ours.sendall(b'{"attempt": 1}')
        live.append((pid, ours, at))
        if len(live) >= in_flight:
            pid, ours, at = live.pop(0)
            _end(pid, ours)
            took.append(time.perf_counter() - at)
    for pid, ours, _ in live:
        _end(pid, ours)
    seconds = time.perf_counter() - began
    return {"tasks_per_s": tasks / seconds, "p50_ms": statistics.median(took) * 1000}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None)))
