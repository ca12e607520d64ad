"""The web server's two logs as files: one line a request, and what it says of itself.

Files are written by a thread, so that a slow disk holds up no answer.
"""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from pathlib import Path
from typing import Final

from tradewind.model.errors import ConfigError

ACCESS: Final = "tradewind.web.access"
ERRORS: Final = "tradewind.web"
STANDARD_ERROR: Final = "-"

_SERVER: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


@contextmanager
def web_log_files(home: Path, access: str | None, errors: str | None) -> Generator[None]:
    """Sends the logs to these files while the block runs; relative names begin at the home folder.

    `-` is standard error. Without a name nothing is changed: errors go where all other lines go, and there are no
    lines about requests. Raises ConfigError for a file that cannot be written.
    """
    with ExitStack() as exits:
        if access is not None:
            exits.enter_context(_sent_to(ACCESS, home, access, "%(message)s", "web.access_logfile"))
        if errors is not None and errors != STANDARD_ERROR:
            exits.enter_context(_sent_to(ERRORS, home, errors, _SERVER, "web.error_logfile"))
        yield


@contextmanager
def _sent_to(name: str, home: Path, file: str, form: str, option: str) -> Generator[None]:
    target = _handler(home, file, option)
    target.setFormatter(logging.Formatter(form))
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = QueueListener(waiting, target)
    entrance = QueueHandler(waiting)
    logger = logging.getLogger(name)
    before = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(entrance)
    listener.start()
    try:
        yield
    finally:
        logger.removeHandler(entrance)
        logger.propagate, logger.level = before
        listener.stop()
        target.close()


def _handler(home: Path, file: str, option: str) -> logging.Handler:
    if file == STANDARD_ERROR:
        return logging.StreamHandler(sys.stderr)
    path = home / Path(file).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror or error}") from error
