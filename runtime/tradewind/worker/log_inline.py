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
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from pathlib import Path

from tradewind.model.attempts import Attempt
from tradewind.worker.log import AttemptLog, inline_file, json_text

_log = logging.getLogger(__name__)
_OPEN_FILES = 64


record_tee: ContextVar[Callable[[bytes], None] | None] = ContextVar("tradewind_record_tee", default=None)
"""Gets each finished line too, from whatever thread wrote it, of executors that were started with it set."""


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
        self._opening: dict[tuple[str, str], tuple[asyncio.Task[int], list[bytes]]] = {}
        self._scheduled = False
        self._is_closed = False
        self._broken: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._tee = record_tee.get()
        self._outside = copy_context()
        """Files serve all attempts: they are opened and written in nobody's context."""

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
        if self._tee is not None:
            self._tee(line)
        with self._lock:
            self._waiting.setdefault(run, []).append(line)
            if self._scheduled:
                return
            self._scheduled = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self.flush, context=self._outside)
        else:
            self._loop.call_soon_threadsafe(self.flush, context=self._outside)

    def flush(self) -> None:
        """Writes all that waits; lines of a file that is not open yet wait for it."""
        with self._lock:
            waiting, self._waiting, self._scheduled = self._waiting, {}, False
        for run, lines in waiting.items():
            fd = self._files.get(run)
            if fd is None:
                self._begin_opening(run, lines)
            else:
                self._files.move_to_end(run)
                self._append(run, fd, lines)

    async def close(self) -> None:
        """Writes what waits and closes all files. Code that was left behind may go on writing; no file stays open."""
        self._is_closed = True
        self.flush()
        while self._opening:
            await asyncio.wait([task for task, _ in self._opening.values()])
            self.flush()
        while self._files:
            os.close(self._files.popitem()[1])

    # Folders are made and files opened in a thread: on a slow disk that takes long, an append does not.

    def _begin_opening(self, run: tuple[str, str], lines: list[bytes]) -> None:
        found = self._opening.get(run)
        if found is not None:
            found[1].extend(lines)
            return
        task = self._loop.create_task(asyncio.to_thread(_open_file, inline_file(self._root, *run)))
        self._opening[run] = (task, lines)
        task.add_done_callback(lambda _: self._opened(run))

    def _opened(self, run: tuple[str, str]) -> None:
        task, lines = self._opening.pop(run)
        if task.cancelled():  # everything ends: `close` opens it anew
            with self._lock:
                self._waiting[run] = lines + self._waiting.get(run, [])
            return
        error = task.exception()
        if error is not None:
            self._complain(run, error)
            return
        self._files[run] = fd = task.result()
        self._append(run, fd, lines)
        if self._is_closed or len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])

    def _append(self, run: tuple[str, str], fd: int, lines: list[bytes]) -> None:
        view = memoryview(b"".join(lines))
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError as error:
            self._complain(run, error)

    def _complain(self, run: tuple[str, str], error: BaseException) -> None:
        if run not in self._broken:
            self._broken.add(run)
            _log.error("log of run %s of DAG %s cannot be written: %s", run[1], run[0], error)


def _open_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without O_NONBLOCK nothing would differ for a file; with it a log folder that holds a pipe cannot stop the loop.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
