"""The timetable classes of authors, and what `DAG(schedule=…)` accepts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from dateutil.relativedelta import MO, relativedelta

from tradewind.authoring.timetables import (
    ContinuousTimetable,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DagRunInfo,
    DataInterval,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    EventsTimetable,
    MultipleCronTriggerTimetable,
    NullTimetable,
    OnceTimetable,
    TimeRestriction,
    Timetable,
    next_dagrun_info,
    timetable_for,
)
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import DagSpec
from tradewind.rules.timetables import timetable_of
from tradewind.rules.timetables.spans import span_from_json, span_to_json

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "made"),
    [
        (None, NullTimetable()),
        ("@once", OnceTimetable()),
        ("@continuous", ContinuousTimetable()),
        ("@daily", CronDataIntervalTimetable("0 0 * * *", "Europe/Paris")),
        ("@midnight", CronDataIntervalTimetable("0 0 * * *", "Europe/Paris")),
        ("@quarterly", CronDataIntervalTimetable("0 0 1 */3 *", "Europe/Paris")),
        ("@annually", CronDataIntervalTimetable("@yearly", "Europe/Paris")),
        ("0 6 * * MON", CronDataIntervalTimetable("0 6 * * MON", "Europe/Paris")),
        (timedelta(hours=2), DeltaDataIntervalTimetable(timedelta(hours=2))),
        (relativedelta(months=1), DeltaDataIntervalTimetable(relativedelta(months=1))),
        (DeltaTriggerTimetable(timedelta(1)), DeltaTriggerTimetable(timedelta(1))),
    ],
)
def test_what_a_schedule_may_be(schedule: object, made: Timetable) -> None:
    assert timetable_for(schedule, "Europe/Paris") == made
    assert hash(timetable_for(schedule, "Europe/Paris")) == hash(made)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("every day", "schedule='every day'.*five fields.*for example"),
        ("@fortnightly", "@fortnightly.*no preset.*@weekly"),
        (3, r"schedule=3 \(int\) is no schedule"),
        (timedelta(0), "longer than zero"),
        (timedelta(hours=-1), "longer than zero"),
        (relativedelta(day=1), "longer than zero"),
        ("0 0 31 2 *", "never comes"),
    ],
)
def test_what_it_may_not_be(schedule: object, says: str) -> None:
    with pytest.raises(AuthoringError, match=says):
        timetable_for(schedule)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CronTriggerTimetable(5, timezone="UTC"), "cron=5 is not a text"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: CronTriggerTimetable("0 0 * * *", timezone="Nowhere"), "CronTriggerTimetable: timezone.*'Nowhere'"),
        (lambda: CronTriggerTimetable("0 0 * *", timezone="UTC"), "CronTriggerTimetable: cron"),
        (lambda: CronTriggerTimetable("@daily", timezone="UTC", interval=3), "interval=3 is neither"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: CronTriggerTimetable("@daily", timezone="UTC", interval=timedelta(-1)), "must not be negative"),
        (lambda: MultipleCronTriggerTimetable(timezone="UTC"), "at least one cron expression"),
        (lambda: DeltaTriggerTimetable(timedelta(0)), "delta=.*longer than zero"),
        (lambda: EventsTimetable(["soon"]), "event_dates: 'soon'"),  # type: ignore[list-item]  # wrong on purpose
    ],
)
def test_mistakes_name_class_and_argument(make: Any, says: str) -> None:
    with pytest.raises(AuthoringError, match=says):
        make()


def test_zones_may_be_objects() -> None:
    for zone in ("Europe/Paris", ZoneInfo("Europe/Paris"), pendulum.timezone("Europe/Paris")):
        assert CronTriggerTimetable("@daily", timezone=zone).to_spec().args["timezone"] == "Europe/Paris"
    offset = CronTriggerTimetable("@daily", timezone=timezone(timedelta(hours=5, minutes=30)))
    assert offset.to_spec().args["timezone"] == "+05:30"


def test_specs_hold_all_that_the_scheduler_needs() -> None:
    spec = CronTriggerTimetable(
        "0 6 * * *", timezone="UTC", interval=timedelta(hours=1), run_immediately=True
    ).to_spec()
    assert spec.kind == "cron_trigger"
    assert dict(spec.args) == {
        "cron": "0 6 * * *",
        "timezone": "UTC",
        "interval": {"timedelta": 3600.0},
        "run_immediately": True,
    }
    assert (spec.summary, spec.description, spec.can_be_scheduled) == ("0 6 * * *", "At 06:00", True)
    assert NullTimetable().to_spec().can_be_scheduled is False
    several = MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * *", timezone="UTC", interval=relativedelta(days=1))
    assert timetable_of(several.to_spec()).summary == "0 6 * * *, 0 18 * * *"


@pytest.mark.parametrize(
    "span",
    [
        timedelta(days=3, microseconds=7),
        relativedelta(months=1, days=-2, hours=3),
        relativedelta(months=1, day=31),
        relativedelta(weekday=MO(2)),
        relativedelta(hour=0),
    ],
)
def test_spans_travel_as_json(span: timedelta | relativedelta) -> None:
    assert span_from_json(span_to_json(span)) == span


def test_events() -> None:
    later, earlier = NEW_YEAR + timedelta(days=3), NEW_YEAR
    events = EventsTimetable([later, earlier], restrict_to_events=True)
    assert events.summary == "2 events"
    assert events.infer_manual_data_interval(run_after=NEW_YEAR + timedelta(days=1)).start == earlier
    assert EventsTimetable([earlier], description="launches").summary == "launches"
    assert EventsTimetable([]).description == "No events"
    restriction = TimeRestriction(NEW_YEAR, None, catchup=True)
    first = events.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert first == DagRunInfo.exact(earlier)
    last = DataInterval.exact(later)
    assert events.next_dagrun_info(last_automated_data_interval=last, restriction=restriction) is None


class EveryFullMoon(Timetable):
    """Of an author's own."""

    def next_dagrun_info(self, **_: Any) -> DagRunInfo | None:
        return None


def test_classes_of_ones_own_travel_by_name_and_data() -> None:
    spec = timetable_for(EveryFullMoon()).to_spec()
    assert (spec.kind, spec.summary) == ("custom", "EveryFullMoon")
    assert spec.args == {"class": f"{__name__}.EveryFullMoon", "data": {}}

    class Sneaky(CronDataIntervalTimetable):
        def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
            return DataInterval.exact(run_after)

    assert Sneaky("@daily").to_spec().kind == "custom"
    assert Sneaky("@daily").arithmetic.manual_interval(NEW_YEAR) == DataInterval.exact(NEW_YEAR)

    class Nothing(Timetable): ...

    with pytest.raises(AuthoringError, match=r"Nothing.*defines neither next_dagrun_info"):
        Nothing().to_spec()

    class Odd(EveryFullMoon):
        def serialize(self) -> Any:
            return {"x": object()}

    with pytest.raises(AuthoringError, match="has to give JSON"):
        Odd().to_spec()


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("monday", "has to give a DataInterval"),
        (DagRunInfo(datetime(2026, 1, 1), DataInterval.exact(NEW_YEAR)), "with a time zone"),  # noqa: DTZ001
        (DagRunInfo.interval(NEW_YEAR, NEW_YEAR - timedelta(days=1)), "ends before it starts"),
        (DagRunInfo.exact(NEW_YEAR - timedelta(days=9)), "goes back"),
        (DagRunInfo.exact(NEW_YEAR), "stands still"),
    ],
)
def test_answers_that_are_none_are_named(answer: Any, match: str) -> None:
    class Mine(Timetable):
        def next_dagrun_info(self, **_: Any) -> Any:
            return answer

    with pytest.raises(AuthoringError, match=f"Mine.*{match}"):
        Mine().arithmetic.next_run(DataInterval.exact(NEW_YEAR), TimeRestriction(None, None, catchup=True), NEW_YEAR)


def test_a_subclass_that_only_names_a_schedule_is_fine() -> None:
    class Nightly(CronDataIntervalTimetable):
        def __init__(self) -> None:
            super().__init__("0 2 * * *", "UTC")

    assert Nightly().to_spec().summary == "0 2 * * *"


def test_the_next_run_of_a_dag() -> None:
    spec = DagSpec(
        "d", timetable=timetable_for("@daily").to_spec(), start_date=NEW_YEAR, end_date=NEW_YEAR, catchup=True
    )
    first = next_dagrun_info(spec, None)
    assert first is not None
    assert first == DagRunInfo.interval(NEW_YEAR, NEW_YEAR + timedelta(days=1))
    assert first.logical_date == NEW_YEAR
    assert next_dagrun_info(spec, first.data_interval) is None
    assert next_dagrun_info(spec, first.data_interval, restricted=False) is not None


def test_run_ids_and_reprs() -> None:
    timetable = timetable_for("@daily")
    assert timetable.generate_run_id(run_type="manual", logical_date=NEW_YEAR) == "manual__2024-01-01T00:00:00+00:00"  # type: ignore[arg-type]  # texts are taken, too
    assert repr(timetable) == "CronDataIntervalTimetable(cron='0 0 * * *', timezone='UTC')"
