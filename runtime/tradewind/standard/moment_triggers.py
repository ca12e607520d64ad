"""Triggers for moments. The runtime keeps them as entries of its timer, not as coroutines, where it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tradewind.authoring.instants import duration
from tradewind.authoring.pace import now
from tradewind.authoring.triggers import BaseTrigger, TaskSuccessEvent, TriggerEvent
from tradewind.model.errors import AuthoringError

_LONGEST_SLEEP: Final = 3_600.0
"""Seconds after which the clock is looked at again: somebody may have set it."""


class DateTimeTrigger(BaseTrigger, kind="tradewind.moment"):
    """Fires at `moment`, an aware datetime; its payload is the moment, in UTC.

    `end_from_trigger`: the task then succeeds without another attempt. Raises AuthoringError for what is no
    moment.
    """

    def __init__(self, moment: datetime, *, end_from_trigger: bool = False) -> None:
        super().__init__()
        self.moment = _moment(moment, type(self).__name__)
        self.end_from_trigger = end_from_trigger

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it; a delay is stored as the moment that it leads to."""
        said = {"moment": self.moment, "end_from_trigger": self.end_from_trigger}
        return "airflow.providers.standard.triggers.temporal.DateTimeTrigger", said

    def due(self) -> datetime | None:
        """The moment; None where the trigger itself ends the task, or a subclass waits otherwise."""
        return None if self.end_from_trigger or type(self).run is not DateTimeTrigger.run else self.moment

    @classmethod
    def moment_of(cls, arguments: Mapping[str, Any]) -> datetime | timedelta | None:
        """As `due`."""
        if arguments.get("end_from_trigger") or cls.run is not DateTimeTrigger.run:
            return None
        return _moment(arguments["moment"], cls.__name__)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleeps until the moment."""
        import asyncio  # DAG files that only define sensors need no loop

        while (left := (self.moment - now()).total_seconds()) > 0:  # noqa: ASYNC110 - nobody tells the time
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
        yield TaskSuccessEvent() if self.end_from_trigger else TriggerEvent(self.moment)


class TimeDeltaTrigger(DateTimeTrigger, kind="tradewind.delta"):
    """Fires after `delta`, a timedelta or seconds, from now on."""

    def __init__(self, delta: timedelta | float, *, end_from_trigger: bool = False) -> None:
        self.delta = duration(delta, f"{type(self).__name__}: delta")
        super().__init__(now() + self.delta, end_from_trigger=end_from_trigger)

    @classmethod
    def moment_of(cls, arguments: Mapping[str, Any]) -> datetime | timedelta | None:
        """The delta."""
        if arguments.get("end_from_trigger") or cls.run is not TimeDeltaTrigger.run:
            return None
        return duration(arguments["delta"], f"{cls.__name__}: delta")

    def due(self) -> datetime | None:
        """The moment."""
        return None if self.end_from_trigger or type(self).run is not TimeDeltaTrigger.run else self.moment

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleeps until the moment; that of a task which began with this trigger is counted from the try's begin."""
        began = getattr(self.task_instance, "start_date", None)
        if isinstance(began, datetime):
            self.moment = _moment(began, type(self).__name__) + self.delta
        async for event in super().run():
            yield event


def _moment(given: object, name: str) -> datetime:
    if not isinstance(given, datetime):
        raise AuthoringError(f"{name}: Expected datetime.datetime type for moment. Got {type(given)}")
    if given.tzinfo is None:
        raise AuthoringError(
            f"{name}: You cannot pass naive datetimes: {given.isoformat()} has no time zone; give it one, such as "
            "datetime(…, tzinfo=UTC)"
        )
    at = given.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)
