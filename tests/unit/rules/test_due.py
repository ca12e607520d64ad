"""Which runs are due: catchup, limits, changed schedules, what must never be lost or doubled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.model.errors import AuthoringError
from tradewind.model.rows import ScheduleCursor
from tradewind.model.specs import DagSpec, Json, TaskSpec, TimetableSpec
from tradewind.model.states import RunType
from tradewind.rules.due import DueRuns, dag_run_id_of, due_runs, manual_run, next_run, restriction_of

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def dag(
    kind: str = "cron_data_interval",
    *,
    catchup: bool = True,
    start: datetime | None = START,
    end: datetime | None = None,
    **args: Json,
) -> DagSpec:
    if kind == "cron_data_interval":
        args = {"cron": "0 0 * * *", "timezone": "UTC", **args}
    return DagSpec("d", (TaskSpec("a"),), TimetableSpec(kind, args), start_date=start, end_date=end, catchup=catchup)


def starts(due: DueRuns) -> list[str]:
    return [run.logical_date.strftime("%m-%d %H:%M") for run in due.runs]


def test_a_first_run_waits_for_the_end_of_its_interval() -> None:
    due = due_runs(dag(), None, START + 13 * HOUR, 5)
    assert due.runs == ()
    assert due.wake_at == START + DAY
    assert due.cursor == ScheduleCursor(None, None, START, START, START + DAY, START + DAY)
    due = due_runs(dag(), due.cursor, START + DAY, 5)
    assert starts(due) == ["01-01 00:00"]
    assert due.wake_at == START + 2 * DAY


def test_catchup_creates_every_interval_but_no_more_than_the_limit() -> None:
    due = due_runs(dag(), None, START + 10 * DAY, 3)
    assert starts(due) == ["01-01 00:00", "01-02 00:00", "01-03 00:00"]
    assert due.wake_at is None
    due = due_runs(dag(), due.cursor, START + 10 * DAY, 100)
    assert len(due.runs) == 7
    assert due.wake_at == START + 11 * DAY


def test_without_catchup_only_the_newest_interval() -> None:
    spec = dag(catchup=False)
    due = due_runs(spec, None, START + 10 * DAY + HOUR, 5)
    assert starts(due) == ["01-10 00:00"]
    assert due.wake_at == START + 11 * DAY
    due = due_runs(spec, due.cursor, START + 20 * DAY + HOUR, 5)
    assert starts(due) == ["01-20 00:00"]


def test_nothing_is_due_twice() -> None:
    for catchup in (True, False):
        due = due_runs(dag(catchup=catchup), None, START + 3 * DAY, 50)
        assert due_runs(dag(catchup=catchup), due.cursor, START + 3 * DAY, 50).runs == ()


def test_end_date_bounds_the_start_of_the_interval() -> None:
    spec = dag(end=START + 2 * DAY)
    due = due_runs(spec, None, START + 30 * DAY, 50)
    assert starts(due) == ["01-01 00:00", "01-02 00:00", "01-03 00:00"]
    assert (due.wake_at, due.cursor.next_run_after) == (None, None)


def test_a_run_in_time_keeps_the_rhythm_of_a_trigger_without_catchup() -> None:
    spec = dag("delta_trigger", catchup=False, delta={"timedelta": 3600.0})
    due = due_runs(spec, None, START + 5 * MINUTE, 5)
    assert starts(due) == ["01-01 00:05"]
    due = due_runs(spec, due.cursor, START + 65 * MINUTE + timedelta(seconds=2), 5)
    assert starts(due) == ["01-01 01:05"]
    assert due.wake_at == START + 125 * MINUTE


def test_a_changed_schedule_replaces_what_was_foreseen() -> None:
    due = due_runs(dag(catchup=False, cron="0 0 * * *"), None, START + 10 * DAY + HOUR, 5)
    due = due_runs(dag(catchup=False, cron="0 12 * * *"), due.cursor, START + 11 * DAY + HOUR, 5)
    assert starts(due) == ["01-10 12:00"]
    assert due.wake_at == START + 11 * DAY + 12 * HOUR


def test_once_runs_once() -> None:
    spec = dag("once")
    assert due_runs(spec, None, START - HOUR, 5).wake_at == START
    due = due_runs(spec, None, START + HOUR, 5)
    assert starts(due) == ["01-01 00:00"]
    again = due_runs(spec, due.cursor, START + 9 * DAY, 5)
    assert (again.runs, again.wake_at) == ((), None)


def test_continuous_goes_on_when_the_run_has_ended() -> None:
    spec = dag("continuous")
    due = due_runs(spec, None, START + HOUR, 2)
    assert [run.interval for run in due.runs] == [(START, START + HOUR)]
    busy = due_runs(spec, due.cursor, START + 2 * HOUR, 1, active=1)
    assert (busy.runs, busy.wake_at) == ((), None)
    due = due_runs(spec, busy.cursor, START + 3 * HOUR, 2)
    assert [run.interval for run in due.runs] == [(START + HOUR, START + 3 * HOUR)]


def test_a_trigger_without_start_date_begins_with_the_next_tick() -> None:
    spec = dag("cron_trigger", start=None, cron="0 6 * * *", timezone="UTC")
    due = due_runs(spec, None, START, 5)
    assert due.wake_at == START + 6 * HOUR
    due = due_runs(spec, due.cursor, START + 6 * HOUR + timedelta(milliseconds=3), 5)
    assert starts(due) == ["01-01 06:00"]


def test_run_immediately_makes_up_for_the_tick_before() -> None:
    spec = dag("cron_trigger", start=None, cron="0 6 * * *", timezone="UTC", run_immediately=True)
    assert starts(due_runs(spec, None, START, 5)) == ["12-31 06:00"]
    near = dag("cron_trigger", start=None, cron="0 6 * * *", timezone="UTC", run_immediately=3600.0)
    assert due_runs(near, None, START, 5).runs == ()
    assert starts(due_runs(near, None, START + 7 * HOUR, 5)) == ["01-01 06:00"]


def test_none_never_runs_by_itself_and_keeps_no_next_run() -> None:
    due = due_runs(dag("none"), None, START, 5)
    assert (due.runs, due.wake_at, due.cursor.next_run_after) == ((), None, None)


def test_an_unknown_kind_names_the_dag() -> None:
    with pytest.raises(AuthoringError, match=r"DAG 'd'.*'lunar'"):
        due_runs(dag("lunar"), None, START, 5)


def test_bounds_come_from_dag_and_tasks() -> None:
    early, late = TaskSpec("a", start_date=START - DAY, end_date=START + DAY), TaskSpec("b", end_date=START + 9 * DAY)
    spec = DagSpec("d", (early, late), start_date=START, end_date=START + 3 * DAY)
    assert restriction_of(spec)[:2] == (START - DAY, START + 9 * DAY)
    assert restriction_of(DagSpec("d", (early, TaskSpec("b")), end_date=START)).latest == START
    assert restriction_of(DagSpec("d")).latest is None


def test_a_manual_run_is_about_the_last_whole_interval() -> None:
    run = manual_run(dag(), START + 5 * DAY + HOUR)
    assert run.logical_date == run.run_after == START + 5 * DAY + HOUR
    assert run.interval == (START + 4 * DAY, START + 5 * DAY)


def test_run_ids() -> None:
    assert dag_run_id_of(RunType.SCHEDULED, START) == "scheduled__2024-01-01T00:00:00+00:00"
    assert dag_run_id_of(RunType.MANUAL, START.replace(microsecond=5)) == "manual__2024-01-01T00:00:00.000005+00:00"


def test_unrestricted_look_ahead() -> None:
    spec = dag(end=START)
    last = due_runs(spec, None, START + DAY, 5).runs[-1].interval
    assert next_run(spec, last, START) is None
    unbounded = next_run(spec, last, START, restricted=False)
    assert unbounded is not None
    assert unbounded.logical_date == START + DAY


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 200_000), min_size=1, max_size=12),
    st.sampled_from(["*/10 * * * *", "0 * * * *", "30 2 * * *", "0 0 * * 1"]),
    st.booleans(),
    st.integers(1, 4),
)
def test_looking_often_or_seldom_never_doubles_and_never_goes_back(
    pauses: list[int], cron: str, catchup: bool, limit: int
) -> None:
    spec = dag(catchup=catchup, cron=cron, timezone="Europe/Amsterdam")
    now, cursor, seen = START, None, list[datetime]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        due = due_runs(spec, cursor, now, limit)
        assert len(due.runs) <= limit
        assert all(run.run_after <= now for run in due.runs)
        assert due.wake_at is None or due.wake_at > now
        seen += [run.logical_date for run in due.runs]
        cursor = due.cursor
    assert seen == sorted(set(seen))
    if catchup and len(seen) > 1:
        chain = due_runs(spec, None, now, len(seen))
        assert [run.logical_date for run in chain.runs] == seen
