"""Programs that a task runs: every line of their output in the task's log, and all of them gone when it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, cast

from tradewind.model.errors import AuthoringError, TaskFailed

LAST_LINES: Final = 15


class ChildProcess:
    """One program at a time, in a session of its own."""

    def __init__(self, where: str, log: logging.Logger) -> None:
        self._where = where
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: signal.Signals | None = None

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        encoding: str = "utf-8",
        on_line: Callable[[str], object] | None = None,
    ) -> tuple[int, str]:
        """Exit code (negative: minus the signal) and last line of output. Raises TaskFailed where it cannot start.

        `on_line` gets each line; by default they go to the log.
        """
        try:
            process = subprocess.Popen(
                list(command),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as why:
            raise TaskFailed(f"{self._where}: cannot start {command[0]}: {why}") from why
        self._process = process
        if self._ending is not None:  # it was to end before we knew that it had started
            self.end(self._ending)
        tell = on_line or self._tell
        last = ""
        try:
            if process.stdout is not None:
                for raw in process.stdout:
                    last = raw.decode(encoding, errors="backslashreplace").rstrip("\r\n")
                    tell(last)
            return process.wait(), last
        except BaseException:
            self.end(signal.SIGKILL)
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def _tell(self, line: str) -> None:
        self._log.info("%s", line)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the program and all that it started, as soon as it is there."""
        self._ending = how
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, how)


def signal_name(code: int) -> str:
    """Name of the signal in a negative exit code."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"{-code}"


def exit_codes(value: object, where: str) -> tuple[int, ...]:
    """Exit codes from one, several or none. Raises AuthoringError for anything else."""
    if value is None:
        return ()
    many = isinstance(value, (list, tuple, set, frozenset, range))
    listed = tuple(cast("Iterable[object]", value)) if many else (value,)
    codes = tuple(code for code in listed if isinstance(code, int))
    if len(codes) != len(listed):
        raise AuthoringError(f"{where}: skip_on_exit_code takes exit codes, not {value!r}")
    return codes
