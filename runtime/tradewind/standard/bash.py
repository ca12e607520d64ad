"""Tasks that run a bash command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.operator import BaseOperator
from tradewind.model.errors import AuthoringError, SkipTask, TaskFailed


class BashSettings(TypedDict, total=False):
    """How the command is run."""

    env: Mapping[str, str] | None
    append_env: bool
    output_encoding: str
    skip_on_exit_code: int | Collection[int] | None
    cwd: str | None
    output_processor: Callable[[str], Any]
    xcom_push: bool


class BashArguments(BashSettings, OperatorArguments, total=False):
    """All arguments of `BashOperator` beside the command."""


class BashOperator(BaseOperator):
    """Runs `bash_command` with bash; its last line of output is the task's result.

    A command that ends in `.sh` or `.bash` names a template file. Every line goes to the task's
    log. Exit code 0 is success, `skip_on_exit_code` (99) skips the task, any other fails it.
    Without `cwd` it runs in a folder of its own that is removed afterwards. `env` replaces the
    environment, or is added to it with `append_env`; `output_processor` turns the last line into the result.
    """

    template_fields: Sequence[str] = ("bash_command", "env", "cwd")
    template_ext: Sequence[str] = (".sh", ".bash")
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"bash_command": "bash", "env": "json"}
    ui_color = "#f0ede4"
    own_arguments: ClassVar[frozenset[str]] = frozenset(BashSettings.__annotations__)

    def __init__(self, *, bash_command: str, **arguments: Unpack[BashArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in BashSettings.__annotations__.keys() & given.keys()}
        if "xcom_push" in own:  # the spelling of old DAG files
            given.setdefault("do_xcom_push", own["xcom_push"])
        super().__init__(**given)
        self.bash_command = bash_command
        self.env: Mapping[str, str] | None = own.get("env")
        self.append_env: bool = own.get("append_env", False)
        self.output_encoding: str = own.get("output_encoding", "utf-8")
        self.cwd: str | None = own.get("cwd")
        self.output_processor: Callable[[str], Any] | None = own.get("output_processor")
        self.skip_on_exit_code = self._codes(own.get("skip_on_exit_code", 99))
        self._process: subprocess.Popen[bytes] | None = None

    def _codes(self, value: object) -> tuple[int, ...]:
        if value is None:
            return ()
        listed = (value,) if isinstance(value, int) else tuple(cast("Collection[object]", value))
        if not all(isinstance(code, int) for code in listed):
            raise AuthoringError(f"BashOperator {self.task_id!r}: skip_on_exit_code takes exit codes, not {value!r}")
        return cast("tuple[int, ...]", listed)

    def execute(self, context: Any) -> Any:
        """Runs the command. Raises TaskFailed or SkipTask by its exit code."""
        environment = self._environment(context)
        if self.cwd is not None:
            if not Path(self.cwd).is_dir():
                raise TaskFailed(f"BashOperator {self.task_id!r}: cwd {self.cwd!r} is no folder that can be entered")
            return self._result(*self._run(self.cwd, environment))
        with tempfile.TemporaryDirectory(prefix="tradewind_") as folder:
            return self._result(*self._run(folder, environment))

    def _environment(self, context: Mapping[str, Any]) -> dict[str, str]:
        environment = dict(os.environ) if self.env is None or self.append_env else {}
        environment.update(attempt_environment(context))
        environment.update({name: str(value) for name, value in (self.env or {}).items()})
        return environment

    def _run(self, folder: str, environment: Mapping[str, str]) -> tuple[int, str]:
        """Exit code (negative: minus the signal) and last line of output."""
        bash = shutil.which("bash") or "/bin/bash"
        self.log.info("Running command: %s", [bash, "-c", self.bash_command])
        try:
            process = subprocess.Popen(
                [bash, "-c", self.bash_command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as why:
            raise TaskFailed(f"BashOperator {self.task_id!r}: cannot start {bash}: {why}") from why
        self._process = process
        last = ""
        self.log.info("Output:")
        try:
            if process.stdout is not None:
                for raw in process.stdout:
                    last = raw.decode(self.output_encoding, errors="backslashreplace").rstrip("\r\n")
                    self.log.info("%s", last)
            code = process.wait()
        except BaseException:
            self._end(signal.SIGKILL)
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        self.log.info("Command exited with return code %s", code)
        return code, last

    def _result(self, code: int, last: str) -> Any:
        if code in self.skip_on_exit_code:
            raise SkipTask(f"Bash command returned exit code {code}. Skipping.")
        if code < 0:
            name = signal.Signals(-code).name
            raise TaskFailed(f"Bash command failed. The command was ended by signal {name} ({-code}).")
        if code:
            raise TaskFailed(f"Bash command failed. The command returned a non-zero exit code {code}.")
        return self.output_processor(last) if self.output_processor is not None else last

    def on_kill(self) -> None:
        """Ends the command and all that it started."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, how)
