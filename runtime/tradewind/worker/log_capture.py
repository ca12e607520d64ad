"""How prints and `logging` calls of user code find their way into the attempt's log.

In a process of its own everything belongs to the one attempt (`capture_process`). On a shared
loop the context variable `current_log` says to whom a line belongs (`CaptureInline`), and code
outside attempts sees no difference.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

from tradewind.worker.log import AttemptLog, current_log


class LogStream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: lines go to the log that `find` gives.

    Where there is none they go to `original`, whose other abilities (fileno, encoding) it keeps.
    """

    def __init__(self, name: str, original: TextIO, find: Callable[[], AttemptLog | None]) -> None:
        super().__init__()
        self._name = name
        self._original = original
        self._find = find

    @property
    def original(self) -> TextIO:
        """The stream that this one stands in for."""
        return self._original

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base declares an attribute, TextIOWrapper a property
        """The original's encoding."""
        return self._original.encoding

    @property
    def buffer(self) -> object:
        """The original's byte stream: bytes written to it are raw output."""
        return self._original.buffer

    def write(self, text: str, /) -> int:
        """Adds text to the log; returns its length."""
        log = self._find()
        if log is None:
            return self._original.write(text)
        log.text(self._name, text)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]  # the base also takes bytes
        """Adds each text."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes an unfinished line."""
        log = self._find()
        if log is None:
            self._original.flush()
        else:
            log.flush(self._name)

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Inside attempts never."""
        return self._find() is None and self._original.isatty()

    def fileno(self) -> int:
        """The original's descriptor."""
        return self._original.fileno()

    def close(self) -> None:
        """Does nothing: the stream belongs to the process, not to the task that closes it."""


class LogHandler(logging.Handler):
    """Puts records of the `logging` module into the log that `find` gives."""

    def __init__(self, find: Callable[[], AttemptLog | None]) -> None:
        super().__init__()
        self._find = find
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record with its traceback."""
        log = self._find()
        if log is None:
            return
        try:
            plain = record.exc_info is None and record.stack_info is None and record.exc_text is None
            text = record.getMessage() if plain else self.format(record)
            log.write(text, level=record.levelname, logger=record.name)
        except Exception:
            self.handleError(record)


def capture_process(find: Callable[[], AttemptLog | None], level: int) -> None:
    """Sends everything that this process prints and logs to the log that `find` gives, until it ends."""
    sys.stdout = LogStream("stdout", _plain(sys.stdout), find)
    sys.stderr = LogStream("stderr", _plain(sys.stderr), find)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in (LogHandler, logging.StreamHandler):
            root.removeHandler(handler)
    root.addHandler(LogHandler(find))
    root.setLevel(level)


class _OutsideOnly(logging.Filter):
    """Keeps a handler of the host as it was: its threshold, and no lines of attempts."""

    def __init__(self, threshold: int) -> None:
        super().__init__()
        self._threshold = threshold

    def filter(self, record: logging.LogRecord) -> bool:
        return current_log.get() is None and record.levelno >= self._threshold


class CaptureInline:
    """Routes output of coroutine attempts; installed by the executor's start, gone with its stop.

    Several executors in one process share one installation.
    """

    _users = 0
    _installed: CaptureInline | None = None

    def __init__(self, level: int) -> None:
        self._stdout = LogStream("stdout", sys.stdout, current_log.get)
        self._stderr = LogStream("stderr", sys.stderr, current_log.get)
        self._handler = LogHandler(current_log.get)
        self._root = logging.getLogger()
        self._old_level = self._root.level
        self._filtered = [(h, _OutsideOnly(self._old_level)) for h in self._root.handlers]
        self._level = level

    @classmethod
    def install(cls, level: int = logging.INFO) -> None:
        """Begins to route; calls are counted."""
        cls._users += 1
        if cls._installed is None:
            cls._installed = cls(level)
            cls._installed.begin()

    @classmethod
    def uninstall(cls) -> None:
        """Puts everything back once each `install` has had its `uninstall`."""
        cls._users -= 1
        if cls._users == 0 and cls._installed is not None:
            cls._installed.end()
            cls._installed = None

    def begin(self) -> None:
        """Puts itself in the place of the streams and beside the handlers."""
        sys.stdout, sys.stderr = self._stdout, self._stderr
        for handler, outside in self._filtered:
            handler.addFilter(outside)
        self._root.addHandler(self._handler)
        if self._root.getEffectiveLevel() > self._level:
            self._root.setLevel(self._level)

    def end(self) -> None:
        """Puts back what is still its own."""
        if sys.stdout is self._stdout:
            sys.stdout = self._stdout.original
        if sys.stderr is self._stderr:
            sys.stderr = self._stderr.original
        self._root.removeHandler(self._handler)
        for handler, outside in self._filtered:
            handler.removeFilter(outside)
        self._root.setLevel(self._old_level)


class OwnLoggers:
    """What tasks say through ``tradewind.task`` and the loggers below it goes to their logs, and on to whatever the
    program around has set up, by its thresholds. Nothing but that logger, which is ours, is changed. Calls are counted.
    """

    NAME = "tradewind.task"
    _users = 0
    _handler: logging.Handler | None = None
    _level = logging.NOTSET

    @classmethod
    def install(cls, level: int = logging.INFO) -> None:
        """Begins to route."""
        cls._users += 1
        if cls._handler is not None:
            return
        logger = logging.getLogger(cls.NAME)
        cls._level, cls._handler = logger.level, _PassedOn(current_log.get)
        logger.addHandler(cls._handler)
        logger.propagate = False
        logger.setLevel(level)

    @classmethod
    def uninstall(cls) -> None:
        """Puts the logger back once each `install` has had its `uninstall`."""
        cls._users -= 1
        if cls._users or cls._handler is None:
            return
        logger = logging.getLogger(cls.NAME)
        logger.removeHandler(cls._handler)
        logger.propagate = True
        logger.setLevel(cls._level)
        cls._handler = None


class _PassedOn(LogHandler):
    """Writes into the attempt's log, and hands on what the logger above would take."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        above = logging.getLogger("tradewind")
        if above.isEnabledFor(record.levelno):
            above.handle(record)


def _plain(stream: TextIO) -> TextIO:
    return stream.original if isinstance(stream, LogStream) else stream
