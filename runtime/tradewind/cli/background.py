"""`--daemon`: a command goes on behind the shell that started it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tradewind.model.errors import ConfigError


def go_on_in_background(home: Path, name: str) -> int:
    """The process's number in the one that was called, 0 in the one that goes on.

    That one has left the terminal; what it says goes to `NAME.log` in the home folder, and its number stands in
    `NAME.pid`. Nothing may have started a thread before. Raises ConfigError where one of that name runs already.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name}.pid"
    numbered = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(numbered, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held while the process lives, whatever ends it
    except BlockingIOError as taken:
        running = os.read(numbered, 32).decode(errors="replace").strip()
        os.close(numbered)
        raise ConfigError(f"{name} runs already, as process {running} ({path}). Stop it: kill {running}") from taken
    number = os.fork()
    if number:
        os.ftruncate(numbered, 0)
        os.write(numbered, b"%d\n" % number)
        return number
    os.setsid()
    said = os.open(home / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, place in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(file, place)
    os.close(said)
    os.close(nothing)
    return 0
