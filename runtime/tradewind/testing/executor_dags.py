# ruff: noqa: T201, S311 - tasks of a DAG file print, start programs and draw numbers
"""The DAG file that the executor suite runs: one task for each thing that can happen to an attempt.

Tasks come in pairs, `a_…` with an `async def` and `s_…` with a plain function, unless only one
kind makes sense. Tasks of processes (`p_…`) and of async hosts (`h_…`) would end or freeze the runtime if they ran
inside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.sensor import BaseSensorOperator, PokeReturnValue
from tradewind.authoring.xcom_arg import XComArg
from tradewind.model.errors import FailWithoutRetry, RescheduleTask, SkipTask

LONG_LINE = 1 << 20
BIG_VALUE = 3 << 20


class Sync(BaseOperator):
    """Calls `does(operator, context)`; `value` may be the result of another task."""

    template_fields = ("value",)

    def __init__(self, *, does: Callable[[Any, Any], Any], value: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does
        self.value = value

    def execute(self, context: Any) -> Any:
        """Calls the function."""
        return self.does(self, context)

    def on_kill(self) -> None:
        """Says that it was called."""
        print("on_kill was called")


class Async(Sync):
    """The same as a coroutine; a function that returns an awaitable is awaited."""

    async def execute(self, context: Any) -> Any:
        """Calls the function and awaits its result."""
        result = self.does(self, context)
        return await result if inspect.isawaitable(result) else result


class Waits(BaseSensorOperator):
    """A sensor that is satisfied by the poke number `after`; pokes are counted in this process."""

    def __init__(self, *, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = after
        self.pokes = 0

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Counts."""
        self.pokes += 1
        print(f"poke {self.pokes}")
        return PokeReturnValue(is_done=self.pokes >= self.after, xcom_value=self.pokes)


class WaitsAsync(Waits):
    """The same with an async poke."""

    async def poke(self, context: Any) -> bool | PokeReturnValue:  # type: ignore[override]  # a sensor's poke is plain or async
        """Counts."""
        return super().poke(context)


def _talk(task: Any, context: Any) -> None:
    print("one")
    logging.getLogger("my.logger").warning("two %d", 2)
    print("three", file=sys.stderr)
    print("fo", end="")
    print("ur")
    logging.getLogger("my.logger").info("five")
    print("six", end="")


def _boom(task: Any, context: Any) -> None:
    try:
        _deeper()
    except KeyError as error:
        raise ValueError("boom") from error


def _deeper() -> None:
    raise KeyError("the cause")


def _raise(error: BaseException) -> Callable[[Any, Any], None]:
    def do(task: Any, context: Any) -> None:
        raise error

    return do


def _long_output(task: Any, context: Any) -> None:
    print("x" * LONG_LINE)
    print("é\0\ud800☃")


def _hang(task: Any, context: Any) -> None:
    try:
        print("hanging")
        time.sleep(600)
    finally:
        print("let go")


async def _hang_async() -> None:
    try:
        print("hanging")
        await asyncio.sleep(600)
    finally:
        print("let go")


def _stubborn(task: Any, context: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("hanging")
    while True:
        time.sleep(600)


def _killed_while_talking(task: Any, context: Any) -> None:
    for number in range(200):
        print(f"line {number}")
    os.write(1, b"raw bytes before the end\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _raw(task: Any, context: Any) -> None:
    print("before")
    subprocess.run(["sh", "-c", "echo from a child; echo complaint >&2"], check=True)
    print("after")


def _leave(task: Any, context: Any) -> None:
    print("leaving")
    os._exit(3)


def _allocate(task: Any, context: Any) -> int:
    return len(bytearray(1 << 60))


def _environment(task: Any, context: Any) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.startswith(("AIRFLOW_CTX_", "TRADEWIND_CTX_"))}


def _identity(task: Any, context: Any) -> dict[str, Any]:
    return {"pid": os.getpid(), "session": os.getsid(0), "random": random.random()}


def _background(task: Any, context: Any) -> int:
    return subprocess.Popen(["sleep", "600"]).pid


def _daemons(task: Any, context: Any) -> list[int]:
    plain = subprocess.Popen(["sleep", "600"], start_new_session=True)
    bare = subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
    return [plain.pid, bare.pid]


def _daemon_and_hang(task: Any, context: Any) -> None:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    print(f"background {child.pid} of {os.getpid()}")
    time.sleep(600)


def _background_and_hang(task: Any, context: Any) -> None:
    child = subprocess.Popen(["sleep", "600"])
    print(f"background {child.pid} of {os.getpid()}")
    time.sleep(600)


def _ask(task: Any, context: Any) -> dict[str, Any]:
    from tradewind.authoring.access import current_attempt

    services = current_attempt.get().blocking
    services.variable_set("written", "by the task")
    run = services.run_trigger("other", {"#": [0, 1]}, dag_run_id="mine", logical_date=None)
    found = services.run_find("other", "mine")
    try:
        services.run_trigger("unknown", None, dag_run_id=None, logical_date=None)
        refused = ""
    except Exception as error:
        refused = type(error).__name__
    context["ti"].xcom_push("pushed", {"a": [1, "é"]})
    kept = context["task_state_store"]
    kept.set("job", {"id": "é"}, retention=timedelta(days=1))
    kept.set("gone", 1)
    kept.delete("gone")
    assert [kept.get("job"), kept.get("gone", "none")] == [{"id": "é"}, "none"]
    return {
        "variable": services.variable_get("v"),
        "missing": services.variable_get("nobody has it"),
        "connection": services.connection_get("c"),
        "run": run.dag_run_id,
        "same": found == run,
        "refused": refused,
        "instances": len(services.instance_list(context["ti"].attempt.run.run_id)),
    }


async def _ask_async(context: Any) -> dict[str, Any]:
    from tradewind.authoring.access import current_attempt

    services = current_attempt.get().services
    await context["ti"].push("pushed", {"a": [1, "é"]})
    kept = context["task_state_store"]
    await kept.aset("gone", 1)
    await kept.aclear()
    await kept.aset("job", {"id": "é"}, retention=timedelta(days=1))
    assert [await kept.aget("job"), await kept.aget("gone", "none")] == [{"id": "é"}, "none"]
    try:
        current_attempt.get().blocking.variable_get("v")
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    return {"variable": await services.variable_get("v"), "refused": refused}


async def _does_not_let_go() -> None:
    print("hanging")
    with contextlib.suppress(asyncio.CancelledError):  # once: whoever closes the loop asks again
        await asyncio.sleep(600)
    print("no")
    await asyncio.sleep(600)


async def _self_cancelled() -> None:
    raise asyncio.CancelledError


async def _child_exits() -> None:
    async def leave() -> None:
        raise SystemExit(4)

    await asyncio.create_task(leave())


def _note(name: str) -> Callable[[Any], None]:
    def callback(context: Any) -> None:
        print(f"callback {name}")

    return callback


def _bad_callback(context: Any) -> None:
    raise RuntimeError("the callback is broken")


def _block(task: Any, context: Any) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        pass


def _hold(task: Any, context: Any) -> int:
    return sum(range(40_000_000))


def _block_briefly(task: Any, context: Any) -> None:
    until = time.thread_time() + 0.3  # what others take of the processor meanwhile is excused
    while time.thread_time() < until:
        pass


async def _hold_for_ever() -> int:
    print("holding")
    await asyncio.sleep(0.2)
    return sum(range(1 << 60))


async def _leak() -> str:
    async def forgotten() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            print("forgotten is over")

    task = asyncio.create_task(forgotten(), name="the forgotten one")
    await asyncio.sleep(0)
    return task.get_name()


async def _background_in_host() -> None:
    child = await asyncio.create_subprocess_exec("sleep", "600")
    print(f"background {child.pid} of {os.getpid()}")
    await asyncio.sleep(600)


def _segfault(task: Any, context: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _own_part(task: Any, context: Any) -> Any:
    return [context["ti"].map_index, task.value]


_BOTH: dict[str, Callable[[Any, Any], Any]] = {
    "none": lambda task, context: None,
    "value": lambda task, context: {"n": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)},
    "double": lambda task, context: task.value * 2,
    "length": lambda task, context: len(task.value),
    "big": lambda task, context: "é" * (BIG_VALUE // 2),
    "boom": _boom,
    "talk": _talk,
    "long": _long_output,
    "skip": _raise(SkipTask("nothing to do")),
    "final": _raise(FailWithoutRetry("never again")),
    "later": _raise(RescheduleTask(datetime(2026, 2, 1, tzinfo=UTC))),
    "exit": _raise(SystemExit(3)),
    "interrupt": _raise(KeyboardInterrupt()),
    "memory": _raise(MemoryError()),
    "closed": _raise(GeneratorExit("of the author")),
    "unstorable": lambda task, context: object(),
    "surrogate": _raise(ValueError("bad \ud800 text")),
}


def _add(kind: type[Sync], prefix: str) -> None:
    for name, does in _BOTH.items():
        if name not in ("double", "length"):
            kind(task_id=f"{prefix}{name}", does=does)
    seven = kind(task_id=f"{prefix}seven", does=lambda task, context: 21)
    kind(task_id=f"{prefix}double", does=_BOTH["double"], value=XComArg(seven))
    kind(
        task_id=f"{prefix}nested", does=lambda task, context: task.value, value={"a": [XComArg(seven)], "b": "{{ ds }}"}
    )
    kind(task_id=f"{prefix}length", does=_BOTH["length"], value=XComArg(seven, "big"))
    listed = kind(task_id=f"{prefix}listed", does=lambda task, context: ["a", "{{ ds }}", {"k": 1}])
    mapped = kind.partial(
        task_id=f"{prefix}mapped",
        does=_own_part,
        map_index_template="number {{ ti.map_index }}",
    ).expand(value=XComArg(listed))
    kind(
        task_id=f"{prefix}gathered",
        does=lambda task, context: [len(task.value), task.value[-1], list(task.value)],
        value=mapped.output,
    )
    kind(task_id=f"{prefix}many", does=lambda task, context: {"x": 1, "y": 2}, multiple_outputs=True)
    notes = {f"on_{n}_callback": _note(n) for n in ("execute", "success", "failure", "retry", "skipped")}
    kind(task_id=f"{prefix}notes", does=_BOTH["none"], **notes)
    kind(task_id=f"{prefix}notes_boom", does=_boom, **notes)
    kind(task_id=f"{prefix}notes_skip", does=_BOTH["skip"], **notes)
    kind(task_id=f"{prefix}bad_callback", does=_BOTH["value"], on_success_callback=_bad_callback)
    sensor: type[Waits] = WaitsAsync if kind is Async else Waits
    sensor(task_id=f"{prefix}waits", after=3, poke_interval=0.01)
    sensor(task_id=f"{prefix}long_wait", after=2, poke_interval=600)
    sensor(task_id=f"{prefix}reschedules", after=2, poke_interval=60, mode="reschedule", timeout=100)
    sensor(task_id=f"{prefix}gives_up", after=99, poke_interval=0.01, timeout=0.03)
    sensor(task_id=f"{prefix}gives_up_softly", after=99, poke_interval=0.01, timeout=0.03, soft_fail=True)


with DAG("suite", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False):
    _add(Async, "a_")
    _add(Sync, "s_")
    Async(task_id="a_hang", does=lambda task, context: _hang_async())
    Async(task_id="a_overdue", does=lambda task, context: _hang_async(), execution_timeout=timedelta(milliseconds=200))
    Async(
        task_id="a_stubborn_overdue",
        does=lambda task, context: _does_not_let_go(),
        execution_timeout=timedelta(milliseconds=200),
        on_failure_callback=_note("failure"),
    )
    Async(task_id="a_ask", does=lambda task, context: _ask_async(context))
    Async(task_id="a_self_cancelled", does=lambda task, context: _self_cancelled())
    Async(task_id="a_child_exits", does=lambda task, context: _child_exits())
    Async(task_id="a_block", does=_block)
    Async(task_id="a_block_briefly", does=_block_briefly)
    Async(task_id="a_stubborn", does=lambda task, context: _does_not_let_go())
    Async(task_id="a_leak", does=lambda task, context: _leak())
    Async(task_id="a_place", does=lambda task, context: os.getpid())
    Async(task_id="a_place_host", does=lambda task, context: os.getpid(), executor_config={"isolation": "host"})
    Async(task_id="a_place_loop", does=lambda task, context: os.getpid(), executor_config={"isolation": "loop"})
    Async(task_id="a_place_bad", does=lambda task, context: None, executor_config={"isolation": "moon"})
    Async(task_id="h_hold", does=lambda task, context: _hold_for_ever())
    Async(task_id="h_leave", does=_leave)
    Async(task_id="h_crash", does=_segfault)
    Async(task_id="h_background", does=lambda task, context: _background_in_host())
    Async(task_id="a_hold", does=_hold)
    Sync(task_id="s_ask", does=_ask)
    Sync(task_id="p_hang", does=_hang)
    Sync(task_id="p_overdue", does=_hang, execution_timeout=timedelta(milliseconds=200))
    Sync(task_id="p_stubborn", does=_stubborn)
    Sync(task_id="p_stubborn_overdue", does=_stubborn, execution_timeout=timedelta(milliseconds=200))
    Sync(task_id="p_killed", does=_killed_while_talking)
    Sync(task_id="p_leaves", does=_leave)
    Sync(task_id="p_raw", does=_raw)
    Sync(task_id="p_allocate", does=_allocate)
    Sync(task_id="p_environment", does=_environment)
    Sync(task_id="p_identity", does=_identity)
    Sync(task_id="p_background", does=_background)
    Sync(task_id="p_background_and_hang", does=_background_and_hang)
    Sync(task_id="p_daemons", does=_daemons)
    Sync(task_id="p_daemon_and_hang", does=_daemon_and_hang)

HERE = str(Path(__file__).absolute())
