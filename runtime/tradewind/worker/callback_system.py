"""How a callback in a process of its own reaches the system: one JSON line asks, one answers, over a socket."""

from __future__ import annotations

import base64
import socket
import threading
from datetime import datetime
from typing import Any, Final, cast

import orjson

from tradewind.model.errors import TradewindError
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow
from tradewind.model.states import TaskState

CALLS: Final = frozenset(
    {
        *("xcom_get", "xcom_indexes", "xcom_keys", "xcom_many"),
        *("variable_get", "variable_set", "connection_get", "instance_list"),
    }
)
"""What may be asked."""
_MOMENTS: Final = ("started_at", "ended_at")


class CallbackSystem:
    """`BlockingServices`, as much of it as callbacks need: values, variables, connections and how the tasks stand."""

    def __init__(self, line: socket.socket | None) -> None:
        """`line` leads to the runtime; None: nothing can be asked."""
        self._stream = None if line is None else line.makefile("rwb")
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._stream is None or name not in CALLS:
            raise RuntimeError(
                f"{name} cannot be asked in a callback that runs on its own: it reads values, variables and connections"
            )

        def ask(*args: Any) -> Any:
            return self._ask(name, args)

        return ask

    def _ask(self, name: str, args: tuple[Any, ...]) -> Any:
        assert self._stream is not None
        with self._lock:
            self._stream.write(orjson.dumps({"name": name, "args": args}) + b"\n")
            self._stream.flush()
            line = self._stream.readline()
        if not line:
            raise TradewindError(f"{name}: the runtime that started this callback has gone")
        answer = orjson.loads(line)
        if "error" in answer:
            raise TradewindError(answer["error"])
        return _value_of(answer["value"])


def _instance_of(plain: dict[str, Any]) -> InstanceRow:
    state = TaskState(plain.pop("state"))
    started, ended = (None if at is None else datetime.fromisoformat(at) for at in map(plain.pop, _MOMENTS))
    return InstanceRow(**plain, state=state, started_at=started, ended_at=ended)


def _value_of(plain: object) -> Any:
    if isinstance(plain, list):
        return [_value_of(item) for item in cast("list[object]", plain)]
    if isinstance(plain, dict):
        pairs = cast("dict[str, object]", plain)
        if "instance" in pairs:
            return _instance_of(cast("dict[str, Any]", pairs["instance"]))
        return EncodedValue(cast("int", pairs["codec"]), base64.b64decode(cast("str", pairs["data"])))
    return plain


class AwaitableSystem:
    """The same for callbacks that are coroutines: they are alone in their process, so each call may block."""

    def __init__(self, blocking: CallbackSystem) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        call: Any = getattr(self._blocking, name)

        async def ask(*args: Any) -> Any:
            return call(*args)

        return ask
