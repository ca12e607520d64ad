"""Runs one benchmark and prints its figures."""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from pathlib import Path

NAMES = (
    "chain",
    "fanout",
    "process_chain",
    "process_fanout",
    "bigrun",
    "mapping",
    "startup",
    "idle",
    "hosts",
    "dagfile",
    "crash",
    "parse",
    "semantics",
    "event",
    "defer",
    "step",
    "waiting",
    "sensors",
)


def _end(number: int, _frame: object) -> None:
    """What was started is stopped on the way out."""
    sys.exit(128 + number)


def main() -> int:
    """Exit code 0: measured; 1: the run was not valid (a row is missing, durability off, …)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--samples", type=Path, help="write one line a task to this file")
    parser.add_argument("--size", type=int, help="another number of tasks (or files, kills, seconds)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    module = importlib.import_module(f"benchmarks.{options.name}")
    try:
        figures: dict[str, object] = module.measure(size=options.size, samples=options.samples)
    except BaseExceptionGroup as group:  # what a block with tasks in it makes of one sentence
        if (ending := group.subgroup(SystemExit)) is None:
            raise
        said: BaseException = ending
        while isinstance(said, BaseExceptionGroup):
            said = said.exceptions[0]
        raise said from None
    if options.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:>24}  {value}")
    return 0 if figures.get("valid", True) else 1


if __name__ == "__main__":
    sys.exit(main())
