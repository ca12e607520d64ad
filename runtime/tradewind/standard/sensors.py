"""Sensors that need no outside system: functions, commands, files, times."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack, cast

from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, PokeReturnValue, SensorSettings
from tradewind.authoring.triggers import StartTriggerArgs
from tradewind.model.errors import AuthoringError, NotFoundError, TaskFailed
from tradewind.standard.child_process import ChildProcess
from tradewind.standard.file_triggers import FileTrigger, found_at
from tradewind.standard.python import is_async_callable
from tradewind.standard.time_sensors import DateTimeSensor as DateTimeSensor
from tradewind.standard.time_sensors import TimeDeltaSensor as TimeDeltaSensor
from tradewind.standard.time_sensors import TimeSensor as TimeSensor

DEFAULT_FS: Final = "fs_default"


class PythonSensor(BaseSensorOperator):
    """Waits until `python_callable(*op_args, **op_kwargs)` returns something true. Plain or async."""

    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        templates_dict: dict[str, Any] | None = None,
        **arguments: Unpack[SensorSettings],
    ) -> None:
        if not callable(python_callable):
            raise AuthoringError(
                f"PythonSensor (task_id: {arguments.get('task_id')}): `python_callable` param must be callable, "
                f"not {python_callable!r}"
            )
        super().__init__(**arguments)
        self.python_callable = python_callable
        self.op_args: Collection[Any] = op_args if op_args is not None else ()
        self.op_kwargs: Mapping[str, Any] = op_kwargs if op_kwargs is not None else {}
        self.templates_dict = templates_dict

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return is_async_callable(self.python_callable)

    def poke(self, context: Any) -> Any:
        """Calls the function once; for an `async def` function returns the awaitable of its answer."""
        self.log.info("Poking callable: %s", self.python_callable)
        offered = context
        if self.templates_dict is not None:
            offered = {**context, "templates_dict": self.templates_dict}
        answer: object = call_function(self.python_callable, list(self.op_args), self.op_kwargs, offered)
        if self.is_async or isinstance(answer, PokeReturnValue):
            return answer
        return bool(answer)


class BashSensor(BaseSensorOperator):
    """Waits until `bash_command` exits with 0. With `retry_exit_code` any other code fails the task."""

    template_fields: Sequence[str] = ("bash_command", "env")
    template_ext: Sequence[str] = (".sh", ".bash")
    own_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        *,
        bash_command: str,
        env: Mapping[str, str] | None = None,
        output_encoding: str = "utf-8",
        retry_exit_code: int | None = None,
        **arguments: Unpack[SensorSettings],
    ) -> None:
        super().__init__(**arguments)
        self.bash_command = bash_command
        self.env = env
        self.output_encoding = output_encoding
        self.retry_exit_code = retry_exit_code
        self._child: ChildProcess | None = None

    def poke(self, context: Any) -> bool:
        """Runs the command once; its output goes to the log."""
        environment = None if self.env is None else {**attempt_environment(context), **self.env}
        child = self._child = ChildProcess(f"BashSensor {self.task_id!r}", self.log)
        command = [shutil.which("bash") or "/bin/bash", "-c", self.bash_command]
        with tempfile.TemporaryDirectory(prefix="tradewind_") as folder:
            code, _ = child.run(command, environment=environment, folder=folder, encoding=self.output_encoding)
        if not code:
            return True
        if self.retry_exit_code not in (None, code):
            raise TaskFailed(f"BashSensor {self.task_id!r}: the command returned exit code {code}")
        self.log.info("The command returned exit code %s: not yet", code)
        return False

    def on_kill(self) -> None:
        """Ends the command and all that it started."""
        if self._child is not None:
            self._child.end()


class FileSettings(SensorSettings, total=False):
    """Arguments of `FileSensor` beside the path."""

    deferrable: bool
    start_from_trigger: bool
    trigger_kwargs: Mapping[str, Any] | None


class FileSensor(BaseSensorOperator):
    """Waits for a file or folder at `filepath`, which may be a pattern such as `/in/data-*.csv`.

    A folder counts once there is a file in it, however deep. `recursive` lets `**` cross folders.
    Relative paths start at the `path` of the connection `fs_conn_id`; `base_path` overrides that. Without
    such a connection (`fs_default` need not exist) they start at the worker's folder.

    With `deferrable` it looks once; then a `FileTrigger` waits in the runtime, told by the kernel where that can.
    `start_from_trigger`: so it begins, where the path is absolute and no template.
    """

    outcome_kind: ClassVar[OutcomeForm] = "sensor"

    deferrable: bool = False
    template_fields: Sequence[str] = ("filepath",)
    ui_color = "#91818a"
    own_arguments: ClassVar[frozenset[str]] = frozenset({"deferrable", "start_from_trigger", "trigger_kwargs"})

    def __init__(
        self,
        *,
        filepath: str,
        fs_conn_id: str = DEFAULT_FS,
        base_path: str = "",
        recursive: bool = False,
        **arguments: Unpack[FileSettings],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in self.own_arguments & given.keys()}
        super().__init__(**given)
        self.deferrable: bool = own.get("deferrable", current_defaults().deferrable)
        self.start_from_trigger = bool(own.get("start_from_trigger"))
        if self._defers:
            vars(self)["outcome_kind"] = "value"
        self.filepath = filepath
        self.fs_conn_id = fs_conn_id
        self.base_path = base_path
        self.recursive = recursive
        if self.start_from_trigger and Path(filepath).is_absolute() and "{" not in filepath:
            arguments_of_trigger = {"filepath": filepath, "recursive": recursive, "poke_interval": self.poke_interval}
            self.start_trigger_args = StartTriggerArgs(
                trigger_cls=FileTrigger.trigger_kind,
                trigger_kwargs=arguments_of_trigger,
                next_method="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )

    def execute(self, context: Any) -> Any:
        """Looks, and defers where it has to wait. Without `deferrable` it is asked as other sensors are."""
        if not self._defers:
            return super().execute(context)
        return self._execute_on_loop(context) if self.is_async else self._execute_here(context)

    async def _execute_on_loop(self, context: Any) -> None:
        import asyncio  # DAG files that only define sensors need no loop

        await asyncio.to_thread(self._execute_here, context)

    def _execute_here(self, context: Any) -> None:
        if not self.poke(context):
            trigger = FileTrigger(str(Path(self.path).absolute()), self.recursive, self.poke_interval)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.time_left)

    @property
    def _defers(self) -> bool:
        return self.deferrable or self.start_from_trigger

    @property
    def is_async(self) -> bool:
        """Whether it looks once, in a thread: then it needs no process. A subclass may do more than look."""
        kind = type(self)
        return self._defers and kind.poke is FileSensor.poke and kind.execute is FileSensor.execute

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """The trigger has found the file. Raises TaskFailed where it says otherwise."""
        if not event:
            raise TaskFailed(f"{self.task_id} task failed as {self.filepath} not found.")
        self.log.info("%s completed successfully as %s found.", self.task_id, self.filepath)

    @property
    def path(self) -> str:
        """The full path or pattern. Raises NotFoundError for a connection that is not there."""
        if Path(self.filepath).is_absolute():
            return self.filepath
        return str(Path(self.base_path or self._base_of_connection()) / self.filepath)

    def _base_of_connection(self) -> str:
        from tradewind.authoring.connection import Connection  # few files need connections

        try:
            extra: Mapping[str, Any] = Connection.get(self.fs_conn_id).extra_dejson
        except NotFoundError:
            if self.fs_conn_id == DEFAULT_FS:
                return ""
            raise
        return str(extra.get("path") or "")

    def poke(self, context: Any) -> bool:
        """Looks once."""
        path = self.path
        self.log.info("Poking for file %s", path)
        found = found_at(path, recursive=self.recursive)
        if found is None:
            return False
        changed = datetime.fromtimestamp(Path(found).stat().st_mtime, UTC)
        self.log.info("Found File %s last modified: %s", found, changed.strftime("%Y%m%d%H%M%S"))
        return True
