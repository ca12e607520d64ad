"""What the tasks of a trial run print and log, shown with their names before it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TextIO

import orjson

from tradewind.worker.log import TASK_LOGGER, current_log

_SAID_ANYWAY: Final = ("DEBUG", "INFO")
"""Levels of the runtime's own lines that are left out: states say the same."""

_FAILURE: Final = "Task failed with exception"


@contextmanager
def logging_shown() -> Generator[None]:
    """Shows on standard output what tasks log from INFO on, where the program has not said what becomes of logging."""
    root = logging.getLogger()
    if root.handlers:
        yield
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("[%(asctime)s] {%(name)s} %(levelname)s - %(message)s"))
    handler.addFilter(_is_of_tasks)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _is_of_tasks(record: logging.LogRecord) -> bool:
    """Whether somebody's task says it, or anything that needs attention; not what `TaskOutput` shows already."""
    if record.name.startswith(TASK_LOGGER) and current_log.get() is not None:
        return False
    ours = record.name.startswith("tradewind") and not record.name.startswith(TASK_LOGGER)
    return not ours or record.levelno >= logging.WARNING


class TaskOutput:
    """Prints log records as `[task] line`. `stream` is taken as it is now, before output is captured.

    What a task logs twice in a row, as sensors do, is shown once. `failures`: also why tasks failed.
    """

    def __init__(self, stream: TextIO, line: Callable[[str], None] | None = None, *, failures: bool = True) -> None:
        self._stream = stream
        self._line = line or self._print
        self._failures = failures
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()

    def record(self, raw: bytes) -> None:
        """Takes in one record, from any thread."""
        record: dict[str, Any] = orjson.loads(raw)
        message = str(record.get("message", ""))
        if "end" in record or (record.get("logger") == TASK_LOGGER and self._is_said_anyway(record, message)):
            return
        index: int = record.get("map_index", -1)
        name = f"{record['task_id']}[{index}]" if index >= 0 else record["task_id"]
        level: str = record.get("level", "INFO")
        marked = f"{level} " if record.get("stream") == "log" and level not in _SAID_ANYWAY else ""
        with self._lock:
            if record.get("stream") == "log" and self._last.get(name) == message:
                return
            self._last[name] = message
            for text in message.split("\n"):
                self._line(f"[{name}] {marked}{text}")

    def _is_said_anyway(self, record: dict[str, Any], message: str) -> bool:
        return record.get("level") in _SAID_ANYWAY or (not self._failures and message.startswith(_FAILURE))

    def _print(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()
