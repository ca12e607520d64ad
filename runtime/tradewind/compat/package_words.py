"""Small things that provider packages import from Airflow and DAG files hardly ever do."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC
from datetime import datetime as _datetime
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast

import pendulum

from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.sensor import BaseSensorOperator
from tradewind.authoring.taskflow import unique_task_id
from tradewind.model.errors import AuthoringError, TradewindError

Sensor = TypeVar("Sensor", bound=BaseSensorOperator)

MAX_XCOM_SIZE: Final = 49344
"""Bytes that some operators hand over at most (48 KiB)."""

SERIALIZERS: Final[Mapping[str, str]] = {name: name for name in ("pickle", "dill", "cloudpickle")}
"""Modules that carry a function over to another interpreter."""

NO_SESSION: Final = "there is no database session for tasks; ask the REST API or the task's context instead"


class AssetDetails(NamedTuple):
    """What identifies an asset for questions of access."""

    id: str | None = None
    uri: str | None = None


class TaskInstanceKey(NamedTuple):
    """What identifies a try."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int = 1
    map_index: int = -1


def provide_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets packages load whose rarely used functions ask for a database session; calling those raises TradewindError.

    In a DAG file it raises ImportError at once.
    """
    module = str(getattr(function, "__module__", ""))
    name = f"{module}.{getattr(function, '__qualname__', function)}"
    if not module.startswith("airflow.providers."):
        raise ImportError(f"@provide_session of {name} is not available in Tradewind: {NO_SESSION}")

    @functools.wraps(function)
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise TradewindError(f"{name} cannot run: {NO_SESSION}")

    return refuse


def poke_mode_only(sensor: type[Sensor]) -> type[Sensor]:
    """Marks a sensor that keeps something between its looks; `mode="reschedule"` raises AuthoringError."""
    build: Callable[..., None] = sensor.__init__

    @functools.wraps(build)
    def construct(self: Sensor, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if self.mode != "poke":
            raise AuthoringError(
                f"{sensor.__name__} {self.task_id!r}: mode has to be 'poke', not {self.mode!r}: it remembers what it "
                "saw from one look to the next"
            )

    cast("Any", sensor).__init__ = construct
    return sensor


def get_unique_task_id(task_id: str, dag: Any = None, task_group: Any = None) -> str:
    """`task_id`, with a number where the DAG has such a task already."""
    return unique_task_id(task_id, {"dag": dag, "task_group": task_group})


def context_merge(context: Any, *additions: Mapping[str, Any], **more: Any) -> None:
    """Puts entries into the context of the running task."""
    for addition in additions:
        context.update(addition)
    context.update(more)


def context_to_airflow_vars(context: Mapping[str, Any], in_env_var_format: bool = False) -> dict[str, str]:
    """The running task's names: as `airflow.ctx.dag_id`, or as `AIRFLOW_CTX_DAG_ID` for the environment."""
    found = {name: text for name, text in attempt_environment(context).items() if name.startswith("AIRFLOW_CTX_")}
    if in_env_var_format:
        return found
    return {f"airflow.ctx.{name.removeprefix('AIRFLOW_CTX_').lower()}": text for name, text in found.items()}


def expand_alias_to_datasets(*unused: Any, **unused_too: Any) -> NoReturn:
    """Raises TradewindError: what an alias stands for is known to the runtime only."""
    raise TradewindError(f"an asset alias cannot be resolved here: {NO_SESSION}")


def md5(data: bytes | bytearray = b"") -> Any:
    """An MD5 sum that tells contents apart and protects nothing."""
    return hashlib.md5(data, usedforsecurity=False)


def convert_to_utc(value: _datetime | None) -> Any:
    """The moment in UTC, as pendulum's; one without a zone is of UTC. None stays None."""
    if value is None:
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return pendulum.instance(aware.astimezone(UTC))


def coerce_datetime(value: Any, tz: Any = None) -> Any:
    """The moment as pendulum's, in its own zone, else in `tz` (UTC). None stays None."""
    if value is None:
        return None
    aware: _datetime = value if value.tzinfo is not None else value.replace(tzinfo=tz or UTC)
    return pendulum.instance(aware)
