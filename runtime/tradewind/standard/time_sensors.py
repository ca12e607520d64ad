"""Sensors for moments. They need no process: the plain ones are asked on the event loop, the `Async` ones defer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, TypedDict, Unpack, cast

from tradewind.authoring.access import current_attempt
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.instants import duration, instant
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.pace import now
from tradewind.authoring.sensor import BaseSensorOperator, SensorSettings
from tradewind.authoring.triggers import StartTriggerArgs
from tradewind.model.errors import AuthoringError
from tradewind.standard.moment_triggers import DateTimeTrigger


class DeferralSettings(TypedDict, total=False):
    """How a sensor for a moment waits.

    `deferrable`: it hands the moment to the runtime's timer. `start_from_trigger`: so it begins, without an attempt
    before, where the moment is known when the file is read. `end_from_trigger`: so it ends, without an attempt after.
    """

    deferrable: bool
    start_from_trigger: bool
    end_from_trigger: bool
    trigger_kwargs: Mapping[str, Any] | None


class MomentSettings(DeferralSettings, SensorSettings, total=False):
    """Arguments of all sensors for moments."""


class MomentSensor(BaseSensorOperator):
    """Waits until `moment(context)` has passed."""

    outcome_kind: ClassVar[OutcomeForm] = "sensor"
    own_arguments: ClassVar[frozenset[str]] = frozenset(DeferralSettings.__annotations__)
    always_defers: ClassVar[bool] = False
    """The `…Async` classes wait on the runtime's timer whatever the configuration says."""

    def __init__(self, **arguments: Unpack[MomentSettings]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in DeferralSettings.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        more: Mapping[str, Any] = own.get("trigger_kwargs") or {}
        self.deferrable: bool = own.get("deferrable", self.always_defers or current_defaults().deferrable)
        self.start_from_trigger = bool(own.get("start_from_trigger"))
        self.end_from_trigger: bool = bool(own.get("end_from_trigger", more.get("end_from_trigger")))
        if self.deferrable or self.start_from_trigger:
            vars(self)["outcome_kind"] = "value"

    def execute(self, context: Any) -> Any:
        """Defers to the moment; without `deferrable` it is asked for as other sensors are."""
        if not (self.deferrable or self.start_from_trigger):
            return super().execute(context)
        at = self.moment(context)
        if at > now():
            trigger = DateTimeTrigger(at, end_from_trigger=self.end_from_trigger)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.time_left)
        return self.execute_complete(context)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """The moment has come."""
        self.log.info("The time has come")

    @property
    def is_async(self) -> bool:
        """It only looks at a clock; a subclass with a `poke` of its own may do more."""
        return "poke" not in _between(type(self))

    @abstractmethod
    def moment(self, context: Any) -> datetime:
        """The aware moment that is waited for."""

    def poke(self, context: Any) -> bool:
        """Whether the moment has come."""
        target = self.moment(context)
        self.log.info("Checking if the time (%s) has come", target.isoformat())
        return now() > target


class SleepingSensor(MomentSensor):
    """A `MomentSensor` that looks once, sleeps exactly until the moment (or its timeout) and looks again."""

    _left: float = 0.0

    def poke(self, context: Any) -> bool:
        """Whether the moment has come."""
        self._left = (self.moment(context) - now()).total_seconds()
        return super().poke(context)

    def next_poke_delay(self, pokes: int, draw: float) -> float:
        """Seconds until the moment, at most until the timeout."""
        return max(min(self._left + 0.001, self.timeout + 0.001), 0.001)


class DateTimeSensor(MomentSensor):
    """Waits until `target_time`, a datetime or an ISO text (also from a template)."""

    template_fields = ("target_time",)

    def __init__(self, *, target_time: datetime | str, **arguments: Unpack[MomentSettings]) -> None:
        super().__init__(**arguments)
        given = cast("object", target_time)
        if not isinstance(given, (str, datetime)):
            raise AuthoringError(
                f"{type(self).__name__} {self.task_id!r}: Expected str or datetime.datetime type for target_time. "
                f"Got {type(given)}"
            )
        self.target_time = target_time.isoformat() if isinstance(target_time, datetime) else target_time
        if self.start_from_trigger and "{" not in self.target_time:
            self.start_trigger_args = StartTriggerArgs(
                trigger_cls=DateTimeTrigger.trigger_kind,
                trigger_kwargs={"moment": self.moment(None), "end_from_trigger": self.end_from_trigger},
                next_method="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )

    def moment(self, context: Any) -> datetime:
        """The target. Raises AuthoringError for a text that is no date."""
        return instant(self.target_time, f"{type(self).__name__} {self.task_id!r}: target_time")


class DateTimeSensorAsync(DateTimeSensor, SleepingSensor):
    """`DateTimeSensor` that defers until then."""

    always_defers: ClassVar[bool] = True


class TimeSensor(MomentSensor):
    """Waits until the clock in the DAG's zone shows `target_time` today."""

    def __init__(self, *, target_time: time, **arguments: Unpack[MomentSettings]) -> None:
        super().__init__(**arguments)
        given = cast("object", target_time)
        if not isinstance(given, time):
            raise AuthoringError(f"{type(self).__name__} {self.task_id!r}: target_time is a time, not {given!r}")
        self.target_time = target_time

    def moment(self, context: Any) -> datetime:
        """The time of the day on which the try began, so that a wait over midnight ends."""
        zone = self.target_time.tzinfo or (self.dag.timezone if self.dag is not None else UTC)
        running = current_attempt.get(None)
        began = now().astimezone(zone) if running is None else running.attempt.first_started_at.astimezone(zone)
        return datetime.combine(began, self.target_time.replace(tzinfo=None), zone)


class TimeSensorAsync(TimeSensor, SleepingSensor):
    """`TimeSensor` that defers until then."""

    always_defers: ClassVar[bool] = True


class TimeDeltaSensor(MomentSensor):
    """Waits until `delta` after the end of the run's data interval."""

    def __init__(self, *, delta: timedelta | float, **arguments: Unpack[MomentSettings]) -> None:
        super().__init__(**arguments)
        self.delta = duration(delta, f"{type(self).__name__} {self.task_id!r}: delta")

    def moment(self, context: Any) -> datetime:
        """The interval's end and the delta."""
        running = current_attempt.get(None)
        end: datetime = context["data_interval_end"] if running is None else running.attempt.run.interval_end
        return end + self.delta


class TimeDeltaSensorAsync(TimeDeltaSensor, SleepingSensor):
    """`TimeDeltaSensor` that defers until then."""

    always_defers: ClassVar[bool] = True


class WaitSensor(SleepingSensor):
    """Waits `time_to_wait` from the moment the try began."""

    def __init__(self, *, time_to_wait: timedelta | float, **arguments: Unpack[MomentSettings]) -> None:
        super().__init__(**arguments)
        where = f"WaitSensor {self.task_id!r}: time_to_wait"
        if isinstance(time_to_wait, timedelta):
            self.time_to_wait = time_to_wait
        else:  # a number means minutes
            self.time_to_wait = duration(time_to_wait, where) * 60

    def moment(self, context: Any) -> datetime:
        """The beginning and the wait."""
        running = current_attempt.get(None)
        began = context["ti"].start_date if running is None else running.attempt.first_started_at
        return cast("datetime", began) + self.time_to_wait


def _between(kind: type) -> frozenset[str]:
    """Names that the classes of others define below ours."""
    others = (base for base in kind.__mro__ if base.__module__ != __name__ and issubclass(base, MomentSensor))
    return frozenset(name for base in others for name in vars(base))
