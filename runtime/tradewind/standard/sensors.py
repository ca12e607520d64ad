"""Sensors that need no outside system: functions, commands, files, times."""

from __future__ import annotations

import glob
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, Unpack, cast

from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.instants import duration, instant
from tradewind.authoring.pace import now
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, PokeReturnValue, SensorSettings
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind.standard.python import is_async_callable


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

    def poke(self, context: Any) -> bool:
        """Runs the command once; its output goes to the log."""
        environment = None if self.env is None else {**attempt_environment(context), **self.env}
        done = subprocess.run(
            ["bash", "-c", self.bash_command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        for line in done.stdout.decode(self.output_encoding, errors="backslashreplace").splitlines():
            self.log.info("%s", line)
        if done.returncode and self.retry_exit_code not in (None, done.returncode):
            raise TaskFailed(f"BashSensor {self.task_id!r}: the command returned exit code {done.returncode}")
        return done.returncode == 0


class FileSensor(BaseSensorOperator):
    """Waits for a file or folder at `filepath`, which may be a pattern such as `/in/data-*.csv`.

    A folder counts once there is something in it. `recursive` lets `**` cross folders. Relative
    paths start at `base_path`, else at the worker's folder.
    """

    template_fields: Sequence[str] = ("filepath",)

    def __init__(
        self,
        *,
        filepath: str,
        fs_conn_id: str = "fs_default",
        base_path: str = "",
        recursive: bool = False,
        **arguments: Unpack[SensorSettings],
    ) -> None:
        super().__init__(**arguments)
        self.filepath = filepath
        self.fs_conn_id = fs_conn_id
        self.base_path = base_path
        self.recursive = recursive

    @property
    def path(self) -> str:
        """The full path or pattern."""
        return str(Path(self.base_path) / self.filepath)

    def poke(self, context: Any) -> bool:
        """Looks once."""
        self.log.info("Poking for file %s", self.path)
        for found in glob.iglob(self.path, recursive=self.recursive):  # noqa: PTH207 - absolute patterns
            path = Path(found)
            if path.is_file():
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                self.log.info("Found file %s, last modified %s", found, changed.isoformat())
                return True
            if path.is_dir() and any(path.iterdir()):
                return True
        return False


class DateTimeSensor(BaseSensorOperator):
    """Waits until `target_time`, a datetime or an ISO text (also from a template)."""

    template_fields: Sequence[str] = ("target_time",)

    def __init__(self, *, target_time: datetime | str, **arguments: Unpack[SensorSettings]) -> None:
        super().__init__(**arguments)
        self.target_time = target_time.isoformat() if isinstance(target_time, datetime) else target_time

    def poke(self, context: Any) -> bool:
        """Whether the moment has come."""
        target = instant(self.target_time, f"DateTimeSensor {self.task_id!r}: target_time")
        self.log.info("Checking if the time (%s) has come", target.isoformat())
        return now() > target


class TimeSensor(BaseSensorOperator):
    """Waits until the clock in the DAG's zone shows `target_time` today."""

    def __init__(self, *, target_time: time, **arguments: Unpack[SensorSettings]) -> None:
        super().__init__(**arguments)
        self.target_time = target_time

    def poke(self, context: Any) -> bool:
        """Whether the clock shows it or more."""
        zone = self.target_time.tzinfo or (self.dag.timezone if self.dag is not None else UTC)
        self.log.info("Checking if the time (%s) has come", self.target_time)
        return now().astimezone(zone).time() > self.target_time.replace(tzinfo=None)


class TimeDeltaSensor(BaseSensorOperator):
    """Waits until `delta` after the end of the run's data interval."""

    def __init__(self, *, delta: timedelta | float, **arguments: Unpack[SensorSettings]) -> None:
        super().__init__(**arguments)
        self.delta = duration(delta, f"TimeDeltaSensor {self.task_id!r}: delta")

    def poke(self, context: Any) -> bool:
        """Whether the moment has come."""
        target = cast("datetime", context["data_interval_end"]) + self.delta
        self.log.info("Checking if the time (%s) has come", target.isoformat())
        return now() > target
