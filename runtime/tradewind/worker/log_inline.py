"""Logs of attempts that run as coroutines: one append-only file a run, written once a loop turn.

Ten thousand small tasks of a run share one file, and what they say within a turn of the loop is
one `write`. Each record names its attempt, so a reader can tell them apart.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import OrderedDict
from pathlib import Path

from tradewind.model.attempts import Attempt
from tradewind.worker.log import AttemptLog, inline_file, json_text

_log = logging.getLogger(__name__)
_OPEN_FILES = 64


class InlineLog(AttemptLog):
    """The log of one coroutine attempt; may be written to from threads."""

    __slots__ = ("_lines", "_run")

    def __init__(self, prefix: bytes, run: tuple[str, str], lines: InlineLogs) -> None:
        super().__init__(prefix)
        self._run = run
        self._lines = lines

    def _store(self, line: bytes) -> None:
        self._lines.add(self._run, line)


class InlineLogs:
    """Collects lines of all runs and writes them at the end of the loop's turn.

    A file that cannot be written is reported once and its lines are dropped: a full disk must
    not end the tasks that talk.
    """

    def __init__(self, log_root: str, loop: asyncio.AbstractEventLoop) -> None:
        self._root = log_root
        self._loop = loop
        self._thread = threading.get_ident()
        self._waiting: dict[tuple[str, str], list[bytes]] = {}
        self._files: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._scheduled = False
        self._broken: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def open(self, attempt: Attempt) -> InlineLog:
        """A log for this attempt; costs no file operation."""
        key = attempt.key
        prefix = b'{"attempt":"%s","task_id":%s,"map_index":%d,"try":%d,' % (
            key.attempt.hex().encode(),
            json_text(key.task_id),
            key.map_index,
            key.try_number,
        )
        return InlineLog(prefix, (attempt.run.dag_id, attempt.run.dag_run_id), self)

    def add(self, run: tuple[str, str], line: bytes) -> None:
        """Keeps a finished line until the end of this turn."""
        with self._lock:
            self._waiting.setdefault(run, []).append(line)
            if self._scheduled:
                return
            self._scheduled = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self.flush)
        else:
            self._loop.call_soon_threadsafe(self.flush)

    def flush(self) -> None:
        """Writes all that waits."""
        with self._lock:
            waiting, self._waiting, self._scheduled = self._waiting, {}, False
        for run, lines in waiting.items():
            try:
                self._append(self._file(run), b"".join(lines))
            except OSError as error:
                if run not in self._broken:
                    self._broken.add(run)
                    _log.error("log of run %s of DAG %s cannot be written: %s", run[1], run[0], error)

    def close(self) -> None:
        """Writes what waits and closes all files."""
        self.flush()
        while self._files:
            os.close(self._files.popitem()[1])

    def _file(self, run: tuple[str, str]) -> int:
        fd = self._files.get(run)
        if fd is not None:
            self._files.move_to_end(run)
            return fd
        path: Path = inline_file(self._root, *run)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._files[run] = fd
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return fd

    @staticmethod
    def _append(fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
