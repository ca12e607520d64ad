"""What of a call can be handed to another interpreter: the function's source, its arguments, plain facts of the run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from tradewind.authoring.context import ASKS_THE_SYSTEM, Context
from tradewind.model.errors import AuthoringError, TaskFailed

SERIALIZERS: Final = ("pickle", "cloudpickle", "dill")
_TEXTS: Final = frozenset(
    {"ds", "ds_nodash", "run_id", "task_instance_key_str", "test_mode", "tomorrow_ds"}
    | {"tomorrow_ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "yesterday_ds", "yesterday_ds_nodash"}
    | {"expanded_ti_count", "map_index_template", "next_ds", "next_ds_nodash", "prev_ds", "prev_ds_nodash"}
    | {"templates_dict", "params", "partition_key"}
)
_MOMENTS: Final = ASKS_THE_SYSTEM | frozenset(
    {"data_interval_end", "data_interval_start", "execution_date", "logical_date", "next_execution_date"}
    | {"prev_execution_date", "partition_date"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """The function's own lines, as they stand in their file."""

    name: str
    text: str
    file: str
    line: int


def source_of(called: Callable[..., Any], where: str) -> Source:
    """The function's text. Raises TaskFailed where it is not written down as a function of its own."""
    function = inspect.unwrap(called)
    try:
        lines, first = inspect.getsourcelines(function)
        text = textwrap.dedent("".join(lines))
        node = ast.parse(text).body[0]
    except (OSError, SyntaxError, IndexError) as why:
        raise TaskFailed(f"{where}: the source of {function!r} cannot be read: {why}") from why
    if not isinstance(node, ast.FunctionDef):
        raise TaskFailed(f"{where}: {function!r} is not written as a function of its own")
    below = text.splitlines(keepends=True)[node.lineno - 1 :]
    file = inspect.getsourcefile(function) or "<unknown>"
    return Source(node.name, "".join(below), file, first + node.lineno - 1)


def serializer_of(own: Mapping[str, Any], where: str) -> str:
    """The serializer that the arguments ask for. Raises AuthoringError."""
    name = own.get("serializer")
    if own.get("use_dill"):
        if name not in (None, "dill"):
            raise AuthoringError(f"{where}: Both 'use_dill' and 'serializer' parameters are set. Please set only one.")
        name = "dill"
    name = name or "pickle"
    if name not in SERIALIZERS:
        raise AuthoringError(f"{where}: Unsupported serializer {name!r}. Expected one of {', '.join(SERIALIZERS)}")
    return str(name)


def serializer_module(serializer: str, where: str) -> Any:
    """The module that serializes. Raises TaskFailed where it is not installed."""
    if importlib.util.find_spec(serializer) is None:
        raise TaskFailed(f"{where}: serializer {serializer!r} needs the package {serializer} beside Tradewind")
    return importlib.import_module(serializer)


def dumped(serializer: Any, call: tuple[list[Any], dict[str, Any]], protocol: int, where: str) -> bytes:
    """The arguments as bytes. Raises TaskFailed."""
    try:
        return cast("bytes", serializer.dumps(call, protocol=protocol))
    except Exception as why:
        raise TaskFailed(
            f"{where}: the arguments cannot be handed to another interpreter: {type(why).__name__}: {why}"
        ) from why


def portable(context: Mapping[str, Any], *, with_pendulum: bool) -> dict[str, Any]:
    """What of the context another interpreter can take: no live objects, dates of its own kind."""
    known = context.keywords() if isinstance(context, Context) else context
    found: dict[str, Any] = {name: known[name] for name in _TEXTS if name in known}
    if "params" in found:
        found["params"] = dict(found["params"])
    for name in _MOMENTS:
        if name in context:
            value = context[name]
            found[name] = value if with_pendulum or not isinstance(value, datetime) else _plain(value)
    return found


def _plain(at: datetime) -> datetime:
    utc = at.astimezone(UTC)
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC)
