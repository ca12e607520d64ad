"""Hooks of Airflow's core that operators of one's own use: a folder by a connection, and a command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from tradewind.authoring.hook import BaseHook


class FSHook(BaseHook):
    """The folder that the `path` of a connection of the kind `fs` names."""

    conn_name_attr: ClassVar[str] = "fs_conn_id"
    default_conn_name: ClassVar[str] = "fs_default"
    conn_type: ClassVar[str] = "fs"
    hook_name: ClassVar[str] = "File (path)"

    def __init__(self, fs_conn_id: str = "fs_default", **kwargs: Any) -> None:
        """Raises NotFoundError where there is no such connection."""
        super().__init__(**kwargs)
        self.conn = self.get_connection(fs_conn_id)
        self.basepath = str(self.conn.extra_dejson.get("path") or "")

    def get_conn(self) -> None:
        """There is nothing to connect to."""

    def get_path(self) -> str:
        """The folder, `""` where the connection names none."""
        return self.basepath


class SubprocessResult(NamedTuple):
    """How a command ended, and its last line of output."""

    exit_code: int
    output: str


class SubprocessHook(BaseHook):
    """Runs a command whose output goes to the task's log."""

    def __init__(self, **kwargs: Any) -> None:
        self.sub_process: subprocess.Popen[bytes] | None = None
        super().__init__(**kwargs)

    def run_command(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        output_encoding: str = "utf-8",
        cwd: str | None = None,
    ) -> SubprocessResult:
        """Waits for the command, in `cwd` or a temporary folder, with `env` in place of the environment.

        Raises OSError where it cannot be started.
        """
        with contextlib.ExitStack() as stack:
            folder = cwd if cwd is not None else stack.enter_context(tempfile.TemporaryDirectory(prefix="airflowtmp"))
            self.log.info("Running command: %s", list(command))
            process = subprocess.Popen(
                list(command),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
            self.sub_process = process
            line = ""
            assert process.stdout is not None  # it was asked for
            with process.stdout as output:
                for raw in output:
                    line = raw.decode(output_encoding, errors="backslashreplace").rstrip()
                    self.log.info("%s", line)
            code = process.wait()
            self.log.info("Command exited with return code %s", code)
            return SubprocessResult(code, line)

    def send_sigterm(self) -> None:
        """Ends the command and what it has started."""
        if self.sub_process is not None and self.sub_process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.sub_process.pid, signal.SIGTERM)
