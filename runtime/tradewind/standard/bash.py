"""Tasks that run a bash command."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.operator import BaseOperator
from tradewind.model.errors import SkipTask, TaskFailed
from tradewind.standard.child_process import ChildProcess, exit_codes, signal_name


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
        self.skip_on_exit_code = exit_codes(own.get("skip_on_exit_code", 99), f"BashOperator {self.task_id!r}")
        self._child: ChildProcess | None = None

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
        child = self._child = ChildProcess(f"BashOperator {self.task_id!r}", self.log)
        self.log.info("Tmp dir root location: %s", tempfile.gettempdir())
        self.log.info("Running command: %s", [bash, "-c", self.bash_command])
        self.log.info("Output:")
        command = [bash, "-c", self.bash_command]
        code, last = child.run(command, environment=environment, folder=folder, encoding=self.output_encoding)
        self.log.info("Command exited with return code %s", code)
        return code, last

    def _result(self, code: int, last: str) -> Any:
        if code in self.skip_on_exit_code:
            raise SkipTask(f"Bash command returned exit code {code}. Skipping.")
        if code < 0:
            raise TaskFailed(f"Bash command failed. The command was ended by signal {signal_name(code)} ({-code}).")
        if code:
            raise TaskFailed(f"Bash command failed. The command returned a non-zero exit code {code}.")
        return self.output_processor(last) if self.output_processor is not None else last

    def on_kill(self) -> None:
        """Ends the command and all that it started."""
        if self._child is not None:
            self._child.end()
