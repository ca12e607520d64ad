"""How a sensor's pokes become one attempt: the pace, the time limit, and what a poke's answer means."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import random
from typing import Any, Final, NamedTuple, cast

from tradewind.authoring.access import current_attempt
from tradewind.authoring.pace import Pace, current_pace
from tradewind.authoring.sensor import TIMED_OUT, BaseSensorOperator, PokeReturnValue, SensorTimeout
from tradewind.authoring.stored_values import packed, unpacked
from tradewind.model.errors import FailWithoutRetry, RescheduleTask, SkipTask, TaskSignal, TaskTimeout
from tradewind.model.outcomes import Wait
from tradewind.worker.steps import Work

SENSOR_KIND: Final = "tradewind.sensor"
"""The kind of the wait for an async sensor's next poke."""

POKE_AT_LEAST: Final = 60.0
"""Seconds that a shared poll may always take, also where the sensor's time is nearly out."""


class SensorWait(NamedTuple):
    """Where a sensor that waits stands: when its next poke is due, and how many it has made."""

    at: datetime
    pokes: int

    @staticmethod
    def of(wait: Wait) -> SensorWait:
        """What `Sensing.wait` has written."""
        given: dict[str, Any] = {} if wait.args is None else unpacked(wait.args)
        return SensorWait(given["at"], given["pokes"])


@dataclass(slots=True)
class Sensing:
    """The state of one attempt of a sensor.

    `before` is how many seconds ago the try's first slice began when this attempt did: a
    rescheduled sensor goes on counting.
    """

    sensor: BaseSensorOperator
    before: float
    began: float
    pace: Pace
    pokes: int = 0

    @staticmethod
    def of(work: Work) -> Sensing:
        """For the attempt that begins now."""
        return Sensing.since(cast("BaseSensorOperator", work.operator), work.attempt.first_started_at)

    @staticmethod
    def since(sensor: BaseSensorOperator, first_started_at: datetime) -> Sensing:
        """For a sensor whose try began then."""
        pace = current_pace.get()
        since = (pace.now() - first_started_at).total_seconds()
        return Sensing(sensor, max(since, 0.0), pace.monotonic(), pace)

    @property
    def elapsed(self) -> float:
        """Seconds since the try's first slice began."""
        return self.before + self.pace.monotonic() - self.began

    def pause(self) -> float:
        """After a poke that was not satisfied: seconds until the next one of this attempt.

        Raises SensorTimeout (or SkipTask with soft_fail) once the time is out, so each slice pokes, however late it
        has begun; RescheduleTask in reschedule mode.
        """
        sensor = self.sensor
        self.pokes += 1
        if self.elapsed > sensor.timeout:
            raise self._out_of_time()
        pokes = self.pokes
        if sensor.reschedule and sensor.exponential_backoff:
            pokes = _pokes_in(self.elapsed, sensor.poke_interval)
        delay = sensor.next_poke_delay(pokes, random())  # noqa: S311 - spreads load, guards nothing
        if sensor.reschedule:
            raise RescheduleTask(self.pace.now() + timedelta(seconds=delay))
        return delay

    def _out_of_time(self) -> Exception:
        softly = self.sensor.soft_fail or self.sensor.never_fail
        return SkipTask(TIMED_OUT) if softly else SensorTimeout(TIMED_OUT)

    async def answer_in_time(self, asking: Awaitable[Any]) -> Any:
        """The answer of a poll that sensors share. While one hangs, those whose time is out end.

        Raises SensorTimeout (or SkipTask with soft_fail), and what the poke raises.
        """
        limit = asyncio.timeout(max(self.sensor.timeout - self.elapsed, POKE_AT_LEAST))
        try:
            async with limit:
                return await asking
        except TimeoutError:
            if limit.expired():
                raise self._out_of_time() from None
            raise

    def until(self, moment: datetime) -> float:
        """Seconds from now to this moment; 0 for one that has passed."""
        return max((moment - self.pace.now()).total_seconds(), 0.0)

    def wait(self, pause: float) -> Wait:
        """What the instance waits for until its next poke, which is due after `pause` seconds."""
        at = self.pace.now() + timedelta(seconds=pause)
        return Wait(SENSOR_KIND, packed({"at": at, "pokes": self.pokes}, "where the sensor stands"))

    def failed(self, error: Exception) -> None:
        """A poke raised. Returns where the sensor goes on all the same; else raises what it means."""
        sensor = self.sensor
        if isinstance(error, (SkipTask, RescheduleTask)) or (
            isinstance(error, TaskTimeout) and not (sensor.soft_fail or sensor.never_fail)
        ):
            raise error
        if sensor.never_fail or (sensor.soft_fail and isinstance(error, (FailWithoutRetry, TaskTimeout))):
            raise SkipTask(f"the poke failed with {type(error).__name__}: {error}") from error
        if sensor.silent_fail and not isinstance(error, TaskSignal):
            logging.getLogger("tradewind.task").error("The poke failed; silent_fail is set", exc_info=error)
            return
        raise error


async def sense(sensing: Sensing, ask: Callable[[], Awaitable[Any]], rest: Callable[[float], Awaitable[object]]) -> Any:
    """Pokes by `ask` until the answer ends the wait, and gives what it leaves. `rest` is called with the seconds until
    the next poke.
    """
    while True:
        try:
            done, value = satisfied(await ask())
            if done:
                return value
        except Exception as error:
            sensing.failed(error)
        await rest(sensing.pause())


def sense_blocking(sensing: Sensing, ask: Callable[[], Any], rest: Callable[[float], object]) -> Any:
    """As `sense`, of a plain sensor."""
    while True:
        try:
            done, value = satisfied(ask())
            if done:
                return value
        except Exception as error:
            sensing.failed(error)
        rest(sensing.pause())


def sense_inside(sensor: BaseSensorOperator, context: Any) -> Any:
    """The wait of a sensor whose class has an `execute` of its own, called from in there: the result, or on a loop the
    coroutine that gives it.
    """
    sensing = Sensing.since(sensor, current_attempt.get().attempt.first_started_at)
    if sensor.is_async:
        return sense(sensing, partial(poked, sensor, context), asyncio.sleep)
    return sense_blocking(sensing, partial(sensor.poke, context), sensing.pace.rest)


async def poked(sensor: BaseSensorOperator, context: Any) -> Any:
    """The answer of one poke, plain or async."""
    answer: Any = sensor.poke(context)
    return await answer if inspect.isawaitable(answer) else answer


def shared_key_of(work: Work) -> str | None:
    """The key under which the sensor shares its polls, rendered; None: it asks for itself."""
    key = cast("BaseSensorOperator", work.operator).shared_key
    if key is None or "{" not in key:
        return key
    return str(work.operator.render_template(key, work.context))


def senses(work: Work) -> bool:
    """Whether the attempt pokes: that of a sensor, unless it goes on after a wait of its own."""
    resume = work.attempt.resume
    return work.traits.outcome_kind == "sensor" and (resume is None or not resume.method)


def _pokes_in(elapsed: float, interval: float) -> int:
    """How many doubling intervals fit into the time so far: a rescheduled sensor remembers only that."""
    pokes, total = 1, max(interval, 1.0)
    while total < elapsed and pokes < 40:
        total += max(interval, 1.0) * 2.0**pokes
        pokes += 1
    return pokes


def satisfied(answer: Any) -> tuple[bool, Any]:
    """Whether a poke's answer ends the wait, and the value it leaves; of a plain answer the truth counts."""
    if isinstance(answer, PokeReturnValue):
        return answer.is_done, answer.xcom_value
    return bool(answer), None
