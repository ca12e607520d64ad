"""What provider packages take from Airflow to deal with the process that they run in."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from tradewind.compat.words import LoggingMixin
from tradewind.model.errors import TaskTimeout


@contextmanager
def patch_environ(new_env_variables: Mapping[str, str]) -> Generator[None]:
    """These environment variables inside the `with` block; afterwards those that were."""
    before = {name: os.environ.get(name) for name in new_env_variables}
    os.environ.update(new_env_variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def execute_in_subprocess(cmd: Sequence[str], cwd: str | None = None, env: Mapping[str, str] | None = None) -> None:
    """Runs a program, its output in the log. Raises CalledProcessError where it ends with an error."""
    log = LoggingMixin().log
    log.info("Executing cmd: %s", " ".join(cmd))
    with subprocess.Popen(
        list(cmd), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=env
    ) as child:
        for line in child.stdout or ():
            log.info("%s", line.rstrip())
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, list(cmd))


class timeout:  # noqa: N801 - Airflow's name of it
    """Raises AirflowTaskTimeout in the `with` block after so many seconds.

    By the alarm of the process, so in its main thread only; elsewhere the block takes as long as it takes.
    """

    def __init__(self, seconds: float = 1, error_message: str = "Timeout") -> None:
        self.seconds = seconds
        self.error_message = f"{error_message}, PID: {os.getpid()}"
        self._before: Any = None
        self._rest = 0.0

    def __enter__(self) -> Self:
        if self._counts():
            self._before = signal.signal(signal.SIGALRM, self._late)
            rest = signal.setitimer(signal.ITIMER_REAL, self.seconds)[0]
            self._rest = time.monotonic() + rest if rest else 0.0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            if self._rest:  # the task's own execution_timeout goes on
                signal.setitimer(signal.ITIMER_REAL, max(self._rest - time.monotonic(), 0.001), 1.0)

    def _counts(self) -> bool:
        return hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()

    def _late(self, number: int, frame: FrameType | None) -> None:
        raise TaskTimeout(self.error_message)
