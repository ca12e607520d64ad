"""No schedule can bring the scheduler down: whatever a DAG file says, there are runs or one clear error."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.authoring.timetables import timetable_for
from tradewind.model.assets import AssetEvent, QueuedEvent
from tradewind.model.errors import AuthoringError
from tradewind.model.rows import ScheduleCursor
from tradewind.model.specs import DagSpec, TimetableSpec
from tradewind.rules.assets import interval_of, is_met
from tradewind.rules.due import due_runs
from tradewind.rules.timetables import KINDS

BEGIN = datetime(2015, 1, 1, tzinfo=UTC)
moments = st.integers(0, 20 * 365 * 24 * 3600).map(lambda seconds: BEGIN + timedelta(seconds=seconds))
texts = st.one_of(
    st.text(alphabet="0123456789*/-, @LRHWsunMON#?", max_size=24),
    st.text(max_size=12),
    st.lists(
        st.from_regex(r"\*|[0-9]{1,3}([-/,][0-9]{1,3})?|L|\*/[0-9]{1,2}", fullmatch=True), min_size=4, max_size=7
    ).map(" ".join),
)
spans = st.one_of(
    st.timedeltas(),
    st.builds(relativedelta, months=st.integers(-30, 30), days=st.integers(-40, 40), hours=st.integers(-30, 30)),
    st.builds(relativedelta, months=st.integers(0, 3), day=st.integers(1, 31), hour=st.integers(0, 23)),
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
NAMES = ("cron", "crons", "timezone", "interval", "delta", "event_dates", "run_immediately", "condition", "timetable")


def follow(spec: TimetableSpec, start: datetime | None, now: datetime, *, catchup: bool) -> None:
    """Three looks at a schedule, each from where the one before has left it."""
    dag = DagSpec("d", timetable=spec, start_date=start, catchup=catchup)
    cursor: ScheduleCursor | None = None
    last: datetime | None = None
    for _ in range(3):
        due = due_runs(dag, cursor, now, 3)
        for run in due.runs:
            assert last is None or run.interval.end >= last
            assert run.interval.start <= run.interval.end
            last = run.interval.end
        cursor, now = due.cursor, due.wake_at or now + timedelta(days=1)


@pytest.mark.spec("1:S7", "1:S8")
@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.one_of(texts, spans), st.one_of(st.none(), moments), moments, st.booleans())
def test_whatever_stands_in_schedule(schedule: Any, start: datetime | None, now: datetime, catchup: bool) -> None:
    with suppress(AuthoringError):
        follow(timetable_for(schedule, "Europe/Amsterdam").to_spec(), start, now, catchup=catchup)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.sampled_from(NAMES), plain, max_size=4), moments)
def test_whatever_stands_in_the_arguments_of_a_stored_schedule(kind: str, args: dict[str, Any], now: datetime) -> None:
    with suppress(AuthoringError):
        follow(TimetableSpec(kind, args), BEGIN, now, catchup=True)


def event(number: int, uri: str, *aliases: str) -> AssetEvent:
    at = BEGIN + timedelta(minutes=number)
    return AssetEvent(number, 1, uri, f"name of {uri}", at, aliases=aliases)


def both_ways(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    parts = st.lists(inner, max_size=3)
    return st.one_of(st.fixed_dictionaries({"any": parts}), st.fixed_dictionaries({"all": parts}))


leaves: list[dict[str, Any]] = [{"asset": "a"}, {"asset": "b"}, {"uri": "c"}, {"name": "name of a"}, {"alias": "z"}]
conditions: st.SearchStrategy[dict[str, Any]] = st.recursive(st.sampled_from(leaves), both_ways, max_leaves=6)


def by_hand(condition: dict[str, Any], uris: set[str]) -> bool:
    ((kind, value),) = condition.items()
    match kind:
        case "any":
            return any(by_hand(part, uris) for part in value)
        case "all":
            return bool(value) and all(by_hand(part, uris) for part in value)
        case "alias":
            return "b" in uris
        case "name":
            return str(value).removeprefix("name of ") in uris
        case _:
            return value in uris


@settings(max_examples=300, deadline=None, derandomize=True)
@given(conditions, st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=5))
def test_conditions_over_what_has_come(condition: dict[str, Any], came: list[tuple[str, bool]]) -> None:
    queued = [
        QueuedEvent(event(n, uri, *(("z",) if uri == "b" else ())), wakes, BEGIN) for n, (uri, wakes) in enumerate(came)
    ]
    counting = {uri for uri, wakes in came if wakes}
    assert is_met(condition, queued) == (bool(counting) and by_hand(condition, counting))


@pytest.mark.parametrize("odd", [{}, {"asset": "a", "uri": "b"}, {"other": 1}])
def test_what_is_no_condition(odd: dict[str, Any]) -> None:
    with pytest.raises(AuthoringError, match="a condition over assets has one of the keys"):
        is_met(odd, [QueuedEvent(event(0, "a"), True, BEGIN)])


def test_a_run_is_about_what_the_runs_that_sent_its_events_were_about() -> None:
    first, second = event(1, "a"), event(2, "b")
    assert interval_of([], BEGIN) == (BEGIN, BEGIN)
    assert interval_of([first, second], BEGIN) == (first.at, second.at)


@pytest.mark.spec("1:S6", "1:S7")
def test_ends_of_months() -> None:
    """`L` in an expression, and a relativedelta with an absolute day."""
    cron = timetable_for("0 6 L * *").to_spec()
    delta = timetable_for(relativedelta(months=1, day=31)).to_spec()
    start = datetime(2024, 1, 31, tzinfo=UTC)
    for spec, hour in ((cron, 6), (delta, 0)):
        dag = DagSpec("d", timetable=spec, start_date=start, catchup=True)
        due = due_runs(dag, None, datetime(2024, 5, 31, 12, tzinfo=UTC), 9)
        ends = [(run.interval.end.month, run.interval.end.day, run.interval.end.hour) for run in due.runs]
        assert ends == [(2, 29, hour), (3, 31, hour), (4, 30, hour), (5, 31, hour)]
