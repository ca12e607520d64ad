"""What an attempt says: records, where they are kept, and how the running code finds its log.

A record is one JSON object on one line::

    {"ts": 1767225600.25, "level": "INFO", "logger": "root", "stream": "log", "message": "…",
     "attempt": "<32 hexadecimal digits>"}

`ts` is seconds since 1970, `stream` one of log, stdout, stderr. Records of processes may have
`raw`, the length that the file of raw output had reached when the record was written, so that
both can be merged. The last record of an attempt has `end`, the kind of its outcome.

Two layouts stand under the log root::

    dag_id=D/run_id=R/task_id=T/[map_index=M/]attempt=N.jsonl    one file a try (processes)
    dag_id=D/run_id=R/task_id=T/[map_index=M/]attempt=N.raw      what was written to fd 1 and 2
    dag_id=D/run_id=R/inline.jsonl                               one file a run (coroutines)
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from tradewind.authoring.masking import masked_text
from tradewind.model.attempts import Attempt
from tradewind.model.keys import UNMAPPED

TASK_LOGGER: Final = "tradewind.task"
"""Logger name of what the runtime itself says about an attempt."""

INLINE_FILE: Final = "inline.jsonl"
_NAME_MAX: Final = 180
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.~+:@=-]")


class LogRef(NamedTuple):
    """Which log is meant: one try of a task instance, by the names that people see."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int = UNMAPPED
    try_number: int = 1


def ref_of(attempt: Attempt) -> LogRef:
    """The log that an attempt writes to."""
    key = attempt.key
    return LogRef(attempt.run.dag_id, attempt.run.dag_run_id, key.task_id, key.map_index, key.try_number)


def safe_name(name: str) -> str:
    """`name` as part of a file name: strange characters as %XX, long ones cut and told apart by a hash."""
    safe = _UNSAFE.sub(lambda m: "".join(f"%{b:02X}" for b in m[0].encode("utf-8", "surrogatepass")), name)
    if len(safe) <= _NAME_MAX:
        return safe
    return f"{safe[:_NAME_MAX]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


@lru_cache(maxsize=256)
def run_folder(log_root: str, dag_id: str, dag_run_id: str) -> Path:
    """The folder with all logs of a run."""
    return Path(log_root, f"dag_id={safe_name(dag_id)}", f"run_id={safe_name(dag_run_id)}")


def attempt_file(log_root: str, ref: LogRef) -> Path:
    """Where a process writes the records of this try."""
    folder = run_folder(log_root, ref.dag_id, ref.dag_run_id) / f"task_id={safe_name(ref.task_id)}"
    if ref.map_index != UNMAPPED:
        folder /= f"map_index={ref.map_index}"
    return folder / f"attempt={ref.try_number}.jsonl"


def raw_file(path: Path) -> Path:
    """The file of raw output beside a file of records."""
    return path.with_suffix(".raw")


def inline_file(log_root: str, dag_id: str, dag_run_id: str) -> Path:
    """Where coroutines of a run write their records."""
    return run_folder(log_root, dag_id, dag_run_id) / INLINE_FILE


def json_text(text: str) -> bytes:
    """`text` as a JSON string; what UTF-8 cannot say (lone surrogates) becomes an escape."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(text.encode("utf-8", "backslashreplace").decode("utf-8"))


@lru_cache(maxsize=1024)
def _logger_json(name: str) -> bytes:
    """Names of loggers come again and again."""
    return json_text(name)


class AttemptLog(ABC):
    """The log of one attempt. Subclasses say where a finished line goes (`_store`).

    `prefix` is the beginning of every record: ``{"attempt":"…",`` and whatever else names it.
    """

    __slots__ = ("_prefix", "_unfinished")

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._unfinished: dict[tuple[str, int], str] = {}

    def write(
        self,
        message: str,
        *,
        level: str = "INFO",
        logger: str = TASK_LOGGER,
        stream: str = "log",
        end: str | None = None,
    ) -> None:
        """Adds one record. `message` may have many lines; secrets in it are masked."""
        message = masked_text(message)
        tail = b'"}\n' if end is None else b'","end":"%s"}\n' % end.encode()
        self._store(
            b'%s"ts":%.6f,"level":"%s","logger":%s,"message":%s%s,"stream":"%s%s'
            % (
                self._prefix,
                time.time(),
                level.encode(),
                _logger_json(logger),
                json_text(message),
                self._position(),
                stream.encode(),
                tail,
            )
        )

    def text(self, stream: str, text: str) -> None:
        """Takes in what was printed: one record a line; an unfinished line waits for its end, each thread's own."""
        place = stream, threading.get_ident()
        waiting = self._unfinished.pop(place, "")
        *lines, rest = (waiting + text).split("\n")
        if rest:
            self._unfinished[place] = rest
        for line in lines:
            self.write(line, logger=stream, stream=stream, level="ERROR" if stream == "stderr" else "INFO")

    def flush(self, stream: str | None = None) -> None:
        """Writes unfinished lines (of one stream, or all) as they are."""
        for place in tuple(self._unfinished):
            name = place[0]
            if stream in (name, None) and (rest := self._unfinished.pop(place, "")):
                self.write(rest, logger=name, stream=name, level="ERROR" if name == "stderr" else "INFO")

    def _position(self) -> bytes:
        return b""

    @abstractmethod
    def _store(self, line: bytes) -> None:
        """Takes a finished line."""


class FileLog(AttemptLog):
    """A process's own log: one append a record, nothing is held back, so kill -9 loses nothing."""

    __slots__ = ("_fd", "_raw_fd", "_raw_seen")

    def __init__(self, prefix: bytes, fd: int, raw_fd: int | None = None) -> None:
        super().__init__(prefix)
        self._fd = fd
        self._raw_fd = raw_fd
        self._raw_seen = -1

    def _position(self) -> bytes:
        if self._raw_fd is None:
            return b""
        size = os.fstat(self._raw_fd).st_size
        if size == self._raw_seen:
            return b""
        self._raw_seen = size
        return b',"raw":%d' % size

    def _store(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[os.write(self._fd, view) :]


class ProcessLog(FileLog):
    """That of an attempt in a process. It never raises: no task ends because its log cannot be written (the disk is
    full). Lines that are missing are counted, and told of by the next one for which there is room.
    """

    __slots__ = ("_missing", "_why")

    def __init__(self, prefix: bytes, fd: int, raw_fd: int | None = None) -> None:
        super().__init__(prefix, fd, raw_fd)
        self._missing = 0
        self._why = ""

    def _store(self, line: bytes) -> None:
        missing, self._missing = self._missing, 0
        if missing:
            self.write(f"{missing} lines are missing here, the log could not be written: {self._why}", level="WARNING")
            if self._missing:
                self._missing = missing + 1
                return
        try:
            super()._store(line)
        except OSError as error:
            self._missing, self._why = 1, str(error)


def attempt_prefix(attempt: Attempt) -> bytes:
    """How records of an attempt begin in a file of its own."""
    return b'{"attempt":"%s",' % attempt.key.attempt.hex().encode()


def open_attempt_files(log_root: str, ref: LogRef) -> tuple[int, int]:
    """Opens (record file, raw file) of a try for appending. Raises OSError."""
    path = attempt_file(log_root, ref)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o640)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, flags, 0o640)
    try:
        return fd, os.open(raw_file(path), flags, 0o640)
    except OSError:
        os.close(fd)
        raise


def append_record(log_root: str, attempt: Attempt, message: str, *, level: str, end: str) -> None:
    """Writes the last record of an attempt whose process can no longer do it. Raises OSError."""
    fd, raw_fd = open_attempt_files(log_root, ref_of(attempt))
    try:
        FileLog(attempt_prefix(attempt), fd, raw_fd).write(message, level=level, end=end)
    finally:
        os.close(fd)
        os.close(raw_fd)


def append_afterwards(log_root: str, ref: LogRef, message: str) -> None:
    """Adds a record to the log of a try that has ended, where this machine has one. Raises OSError."""
    path, prefix = attempt_file(log_root, ref), b'{"attempt":"%032x",' % 0
    if not path.exists():
        path = inline_file(log_root, ref.dag_id, ref.dag_run_id)
        prefix += b'"task_id":%s,"map_index":%d,"try":%d,' % (json_text(ref.task_id), ref.map_index, ref.try_number)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        FileLog(prefix, fd).write(message)
    finally:
        os.close(fd)


current_log: ContextVar[AttemptLog | None] = ContextVar("tradewind_current_log", default=None)
"""The log of the attempt whose code is running; None outside attempts."""
