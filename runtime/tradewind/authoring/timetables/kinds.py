"""The timetables that come with the product."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import ClassVar

from dateutil.relativedelta import relativedelta

from tradewind.authoring.instants import instant, utc
from tradewind.authoring.timetables.base import Timetable, zone_text
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.timetables.cron import check_expression
from tradewind.rules.timetables.spans import moves_forward, nominal_seconds, span_to_json
from tradewind.rules.timetables.zones import zone_of

Delta = timedelta | relativedelta
_NOTHING = timedelta()


def _cron(owner: str, argument: str, text: object) -> str:
    if not isinstance(text, str):
        raise AuthoringError(f"{owner}: {argument}={text!r} is not a text; for example {argument}='0 6 * * MON-FRI'")
    try:
        return check_expression(text)
    except AuthoringError as error:
        raise AuthoringError(f"{owner}: {argument}: {error.message}") from error


def _zone(owner: str, timezone: str | tzinfo) -> str:
    name = zone_text(timezone, owner)
    try:
        zone_of(name)
    except AuthoringError as error:
        raise AuthoringError(f"{owner}: timezone: {error.message}") from error
    return name


def _delta(owner: str, argument: str, delta: object) -> Delta:
    if not isinstance(delta, (timedelta, relativedelta)):
        raise AuthoringError(
            f"{owner}: {argument}={delta!r} is neither a timedelta nor a relativedelta; "
            f"for example {argument}=timedelta(hours=2)"
        )
    return delta


def _forward(owner: str, argument: str, delta: object) -> Delta:
    checked = _delta(owner, argument, delta)
    if not moves_forward(checked):
        raise AuthoringError(
            f"{owner}: {argument}={checked!r} must be longer than zero; for example timedelta(hours=2)"
        )
    return checked


def _interval(owner: str, interval: object) -> Delta:
    """What trigger timetables are about; zero is the default, backwards is refused."""
    checked = _delta(owner, "interval", interval)
    if nominal_seconds(checked) < 0:
        raise AuthoringError(f"{owner}: interval={checked!r} must not be negative; for example timedelta(days=1)")
    return checked


class CronDataIntervalTimetable(Timetable):
    """Each tick of a cron expression starts the run about the time since the tick before.

    `cron` may be a preset such as `@daily`; it is read as wall-clock time of `timezone`.
    """

    kind: ClassVar[str] = "cron_data_interval"

    def __init__(self, cron: str, timezone: str | tzinfo = "UTC") -> None:
        owner = type(self).__name__
        self.cron = _cron(owner, "cron", cron)
        self.timezone = _zone(owner, timezone)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        return {"cron": self.cron, "timezone": self.timezone}


class CronTriggerTimetable(Timetable):
    """A run at each tick of a cron expression, about the `interval` before it (default: that moment).

    `run_immediately` is for DAGs without a start date: whether the first run makes up for the tick
    before now; a timedelta says how long ago that tick may be.
    """

    kind: ClassVar[str] = "cron_trigger"

    def __init__(
        self,
        cron: str,
        *,
        timezone: str | tzinfo,
        interval: Delta = _NOTHING,
        run_immediately: bool | timedelta = False,
    ) -> None:
        owner = type(self).__name__
        self.cron = _cron(owner, "cron", cron)
        self.timezone = _zone(owner, timezone)
        self.interval = _interval(owner, interval)
        self.run_immediately = run_immediately

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        return {"cron": self.cron, "timezone": self.timezone, **_trigger_arguments(self.interval, self.run_immediately)}


class MultipleCronTriggerTimetable(Timetable):
    """A run at each tick of any of several cron expressions; ticks that coincide make one run."""

    kind: ClassVar[str] = "multiple_cron_trigger"

    def __init__(
        self,
        *crons: str,
        timezone: str | tzinfo,
        interval: Delta = _NOTHING,
        run_immediately: bool | timedelta = False,
    ) -> None:
        owner = type(self).__name__
        if not crons:
            raise AuthoringError(f"{owner}: at least one cron expression is needed, for example '0 6 * * *'")
        self.crons = tuple(_cron(owner, "crons", cron) for cron in crons)
        self.timezone = _zone(owner, timezone)
        self.interval = _interval(owner, interval)
        self.run_immediately = run_immediately

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        more = _trigger_arguments(self.interval, self.run_immediately)
        return {"crons": list(self.crons), "timezone": self.timezone, **more}


class DeltaDataIntervalTimetable(Timetable):
    """Intervals of one length, the first from the start date on; each run starts when its interval is over."""

    kind: ClassVar[str] = "delta_data_interval"

    def __init__(self, delta: Delta) -> None:
        self.delta = _forward(type(self).__name__, "delta", delta)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        return {"delta": span_to_json(self.delta)}


class DeltaTriggerTimetable(Timetable):
    """A run at the start date and then one each `delta`, about the `interval` before it (default: that moment)."""

    kind: ClassVar[str] = "delta_trigger"

    def __init__(self, delta: Delta, *, interval: Delta = _NOTHING) -> None:
        self.delta = _forward(type(self).__name__, "delta", delta)
        self.interval = _interval(type(self).__name__, interval)

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        return {"delta": span_to_json(self.delta), **_trigger_arguments(self.interval, False)}


class OnceTimetable(Timetable):
    """One run, at the start date."""

    kind: ClassVar[str] = "once"


class ContinuousTimetable(Timetable):
    """The next run as soon as the one before has ended. Needs `max_active_runs=1`."""

    kind: ClassVar[str] = "continuous"
    active_runs_limit: ClassVar[int | None] = 1


class NullTimetable(Timetable):
    """Never by itself: runs are triggered."""

    kind: ClassVar[str] = "none"


class EventsTimetable(Timetable):
    """A run at each of a list of moments.

    With `restrict_to_events` a manual run is about the last of the moments. Moments without a zone
    are taken in the configured one. `presorted` is accepted and changes nothing.
    """

    kind: ClassVar[str] = "events"

    def __init__(
        self,
        event_dates: Iterable[datetime],
        restrict_to_events: bool = False,
        presorted: bool = False,
        description: str | None = None,
    ) -> None:
        del presorted
        where = f"{type(self).__name__}: event_dates"
        moments = (utc(instant(date, where)) for date in event_dates)
        self.event_dates = sorted(moment for moment in moments if moment is not None)
        self.restrict_to_events = restrict_to_events
        self._given_description = description

    def arguments(self) -> dict[str, Json]:
        """See Timetable."""
        found: dict[str, Json] = {"event_dates": [date.isoformat() for date in self.event_dates]}
        if self.restrict_to_events:
            found["restrict_to_events"] = True
        if self._given_description:
            found["description"] = self._given_description
        return found


def _trigger_arguments(interval: Delta, run_immediately: bool | timedelta) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if interval != _NOTHING and interval != relativedelta():
        found["interval"] = span_to_json(interval)
    if isinstance(run_immediately, timedelta):
        found["run_immediately"] = run_immediately.total_seconds()
    elif run_immediately:
        found["run_immediately"] = True
    return found
