"""Sensors: tasks that ask again and again until something is there."""

from __future__ import annotations

import inspect
import pkgutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, TypedDict, Unpack, cast

from tradewind.authoring.access import current_attempt
from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.deferral import TaskDeferralTimeout
from tradewind.authoring.instants import duration
from tradewind.authoring.operator import BaseOperator, OutcomeForm
from tradewind.authoring.pace import now
from tradewind.model.errors import (
    AuthoringError,
    FailWithoutRetry,
    SkipTask,
    TaskFailed,
    TradewindError,
)

MODES: Final = ("poke", "reschedule")
TIMED_OUT: Final = "Snap. Time is OUT."
_LONGEST_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class PokeReturnValue:
    """A poke's answer that carries a value: `xcom_value` becomes the sensor's result once `is_done`."""

    is_done: bool
    xcom_value: Any = None

    def __bool__(self) -> bool:
        return self.is_done


SensorResult = PokeReturnValue
PokeAnswer = bool | PokeReturnValue


class SensorOptions(TypedDict, total=False):
    """How a sensor waits. Durations are timedeltas or numbers of seconds."""

    poke_interval: timedelta | float
    timeout: timedelta | float
    mode: Literal["poke", "reschedule"]
    soft_fail: bool
    silent_fail: bool
    never_fail: bool
    exponential_backoff: bool
    max_wait: timedelta | float | None
    shared_key: str | None
    """Async sensors with the same key (which may be a template) share one poll. See `BaseSensorOperator`."""


class SensorSettings(SensorOptions, OperatorArguments, total=False):
    """Arguments of every sensor."""


class SensorTimeout(FailWithoutRetry):
    """Snap. Time is OUT."""


class BaseSensorOperator(BaseOperator):
    """Subclass it and define `poke(self, context)`, plain or async: True when the wait is over.

    It is asked every `poke_interval` seconds until `timeout` seconds have passed since the first
    try began; then the task fails, or is skipped with `soft_fail`. With `mode="reschedule"` the
    slot is free between the pokes. The waiting itself is the worker's.

    Async sensors with the same `shared_key` ask the same question: one of them asks, once an interval, and all
    have its answer, in whichever DAG, run or task they are.

    A class that defines `execute` itself is asked that way: to `defer` its wait, say, or to do something before and
    after `super().execute(context)`.
    """

    outcome_kind: ClassVar[OutcomeForm] = "sensor"
    own_arguments: ClassVar[frozenset[str]] = frozenset(SensorOptions.__annotations__)
    ui_color = "#e6f1f2"

    poke_interval: float = 60.0
    timeout: float = 604_800.0
    mode: Literal["poke", "reschedule"] = "poke"
    soft_fail: bool = False
    silent_fail: bool = False
    never_fail: bool = False
    exponential_backoff: bool = False
    max_wait: float | None = None
    shared_key: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "execute" in cls.__dict__ and "outcome_kind" not in cls.__dict__:
            cls.outcome_kind = "value"

    def __init__(self, **arguments: Unpack[SensorSettings]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in SensorOptions.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        where = f"{type(self).__name__} {self.task_id!r}"
        if self.dag is not None:
            where = f"DAG {self.dag.dag_id!r}: {where}"
        for name, value in own.items():
            vars(self)[name] = _CHECKS[name](value, f"{where}: {name}")
        if self.soft_fail and self.never_fail:
            raise AuthoringError(f"{where}: soft_fail and never_fail exclude each other; keep one")

    def poke(self, context: Any) -> PokeAnswer | Coroutine[Any, Any, PokeAnswer]:
        """Whether the wait is over. Plain or async."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no poke(): write `def poke(self, context)`, or `async def`, that returns "
            "True once the wait is over"
        )

    @property
    def is_async(self) -> bool:
        """Whether `poke` is a coroutine function."""
        return inspect.iscoroutinefunction(type(self).poke)

    def built(self) -> None:
        """Checks what only the whole sensor can tell."""
        super().built()
        if self.shared_key is not None and not self.is_async:
            raise AuthoringError(
                f"{self._described(self.dag)}: shared_key is for sensors whose poke is async; a plain "
                "one runs in a process of its own, which shares nothing"
            )

    @property
    def reschedule(self) -> bool:
        """Whether the slot is given back between the pokes."""
        return self.mode == "reschedule"

    def next_poke_delay(self, pokes: int, draw: float) -> float:
        """Seconds until the next poke, after `pokes` of them (1, 2, …); `draw` is a random number in [0, 1).

        With `exponential_backoff` the interval doubles each time, is stretched by up to its own
        length at random, and is capped at a day and at `max_wait`.
        """
        if not self.exponential_backoff:
            return self.poke_interval
        base = max(self.poke_interval * 2.0 ** min(pokes - 1, 40), 1.0)
        delay = min(base * (1.0 + draw), _LONGEST_WAIT)
        return delay if self.max_wait is None else min(delay, self.max_wait)

    @property
    def time_left(self) -> timedelta:
        """What is left of `timeout` in the running attempt: for the time limit of a wait that is deferred."""
        running = current_attempt.get(None)
        gone = 0.0 if running is None else (now() - running.attempt.first_started_at).total_seconds()
        return timedelta(seconds=max(self.timeout - max(gone, 0.0), 0.0))

    def resume_execution(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Any) -> Any:
        """As that of every operator. A wait that took too long ends as a poke would; with `soft_fail` what fails skips.

        Raises SensorTimeout, SkipTask.
        """
        try:
            result: object = super().resume_execution(next_method, next_kwargs, context)
        except TradewindError as error:
            means = self._softened(error)
            if means is error:
                raise
            raise means from error
        return self._going_on(result) if inspect.isawaitable(result) else result

    async def _going_on(self, result: Awaitable[Any]) -> Any:
        try:
            return await result
        except TradewindError as error:
            means = self._softened(error)
            if means is error:
                raise
            raise means from error

    def _softened(self, error: TradewindError) -> TradewindError:
        late = isinstance(error, TaskDeferralTimeout)
        if (self.soft_fail or self.never_fail) and not isinstance(error, SkipTask):
            return SkipTask(TIMED_OUT if late else error.message)
        return SensorTimeout(TIMED_OUT) if late else error

    def execute(self, context: Any) -> Any:
        """The wait, for classes that define an `execute` around it, and for calls by hand."""
        if current_attempt.get(None) is not None:
            return pkgutil.resolve_name("tradewind.worker.sensing:sense_inside")(self, context)
        began = time.monotonic()
        pokes = 0
        while True:
            asked = self.poke(context)
            answer = _awaited(asked) if inspect.iscoroutine(asked) else cast("PokeAnswer", asked)
            pokes += 1
            if answer:
                return answer.xcom_value if isinstance(answer, PokeReturnValue) else None
            if time.monotonic() - began > self.timeout:
                raise (SkipTask if self.soft_fail or self.never_fail else TaskFailed)(TIMED_OUT)
            time.sleep(self.next_poke_delay(pokes, 0.5))


def _awaited(answer: Coroutine[Any, Any, PokeAnswer]) -> PokeAnswer:
    import asyncio  # DAG files that only define sensors need no loop

    return asyncio.run(answer)


def _seconds(least: float) -> Callable[[object, str], float]:
    def check(value: object, where: str) -> float:
        seconds = duration(value, where).total_seconds()
        if seconds < least:
            raise AuthoringError(f"{where} must be a non-negative number of seconds; received {value!r}")
        return seconds

    return check


def _max_wait(value: object, where: str) -> float | None:
    return None if value is None else _seconds(0.0)(value, where)


def _mode(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in MODES:
        hint = "; sensors that can be deferred take deferrable=True" if value == "deferrable" else ""
        raise AuthoringError(
            f"{where}: the mode must be one of {', '.join(map(repr, MODES))}; received {value!r}{hint}"
        )
    return value


def _key(value: object, where: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise AuthoringError(f"{where}: a text that is not empty is needed, not {value!r}")
    return value


def _flag(value: object, _where: str) -> bool:
    return bool(value)


_CHECKS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "poke_interval": _seconds(0.0),
    "timeout": _seconds(0.0),
    "mode": _mode,
    "max_wait": _max_wait,
    "soft_fail": _flag,
    "silent_fail": _flag,
    "never_fail": _flag,
    "exponential_backoff": _flag,
    "shared_key": _key,
}
