"""Timetables give the runs that a real Airflow 2.11 gave, wherever its own answer holds water."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from dateutil.relativedelta import relativedelta

from tradewind.model.specs import Json, TimetableSpec
from tradewind.rules.timetables import DataInterval, TimeRestriction, Timetable, timetable_of
from tradewind.rules.timetables.spans import span_to_json

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
MOST_RUNS = 8

UNMARKED_DEFECTS = {
    "sc_p0197": "the first run comes an hour late: two times of the expression are left out",
    "sc_p0233": "the first run comes an hour late: two times of the expression are left out",
    "sc_p0307": "a year still to come ends the schedule before its only run",
    "sc_p0639": "the schedule ends on a day full of its times; the manual interval leaves out an hour",
    "sd_p0010": "two intervals overlap",
    "sd_p0124": "an interval is left out",
}
"""Cases whose answer is wrong by the measure of the golden data itself but is not marked so there.
`test_unmarked_defects` proves each."""


def load(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


CASES = load("schedules.jsonl") + load("schedules_dst.jsonl")


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def span(data: dict[str, dict[str, Any]]) -> dict[str, Json]:
    ((kind, arguments),) = data.items()
    return span_to_json(timedelta(**arguments) if kind == "timedelta" else relativedelta(**arguments))


def spec_of(case: dict[str, Any]) -> TimetableSpec:
    args: dict[str, Json] = {}
    if "cron" in case:
        args = {"cron": case["cron"], "timezone": case["timezone"]}
    if "delta" in case:
        args = {"delta": span(case["delta"])}
    if case.get("interval"):
        args["interval"] = span(case["interval"])
    if case["timetable"] == "events":
        args = {name: case[name] for name in ("event_dates", "restrict_to_events")}
    return TimetableSpec(case["timetable"], args)


def runs_of(case: dict[str, Any], timetable: Timetable) -> list[dict[str, str] | None]:
    restriction = TimeRestriction(at(case["start_date"]), at(case["end_date"]), case["catchup"])
    now = datetime.fromisoformat(case["now"])
    given = case["last_automated_data_interval"]
    last = DataInterval(*map(datetime.fromisoformat, given)) if given else None
    runs: list[dict[str, str] | None] = []
    while len(runs) < MOST_RUNS:
        info = timetable.next_run(last, restriction, now)
        if info is None:
            return [*runs, None]
        last = info.interval
        runs.append(
            {
                "run_after": info.run_after.isoformat(),
                "data_interval_start": info.interval.start.isoformat(),
                "data_interval_end": info.interval.end.isoformat(),
                "logical_date": info.logical_date.isoformat(),
            }
        )
    return runs


def manual_of(case: dict[str, Any], timetable: Timetable) -> list[list[str]]:
    moments = map(datetime.fromisoformat, case["manual_moments"])
    return [[end.isoformat() for end in timetable.manual_interval(moment)] for moment in moments]


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] not in UNMARKED_DEFECTS], ids=lambda c: c["id"])
def test_timetable(case: dict[str, Any]) -> None:
    timetable = timetable_of(spec_of(case))
    doubtful = case.get("doubtful", ())
    if "next_runs" not in doubtful:
        assert runs_of(case, timetable) == case["next_runs"]
    if "manual_data_intervals" not in doubtful:
        assert manual_of(case, timetable) == case["manual_data_intervals"]
    assert timetable.summary == case["summary"]
    assert timetable.can_be_scheduled == case["can_be_scheduled"]


@pytest.mark.parametrize("case", [c for c in CASES if c.get("doubtful")], ids=lambda c: c["id"])
def test_doubtful_cases_are_sane_here(case: dict[str, Any]) -> None:
    timetable = timetable_of(spec_of(case))
    runs = [run for run in runs_of(case, timetable) if run is not None]
    ends = [run["run_after"] for run in runs]
    assert ends == sorted(set(ends))
    assert all(run["data_interval_start"] < run["data_interval_end"] for run in runs if "interval" in case["timetable"])
    assert all(start <= end for start, end in manual_of(case, timetable))


def left_out(case: dict[str, Any], before: str, after: str | None) -> bool:
    """Whether a time of the expression lies between `after` and `before` (the six hours before it are searched)."""
    end = datetime.fromisoformat(before)
    begin = max(filter(None, (at(after), end - timedelta(hours=6))))
    zone = ZoneInfo(case["timezone"])
    minutes = int((end - begin).total_seconds() // 60)
    walls = [(end - timedelta(minutes=n)).astimezone(zone).replace(tzinfo=None) for n in range(1, minutes)]
    return any(croniter.match(case["cron"], wall) for wall in walls)


def contradicts_itself(case: dict[str, Any]) -> bool:
    """Whether the golden answer breaks the rules that the golden data holds doubtful answers to."""
    runs = case["next_runs"]
    if runs[0] is None:
        return case["end_date"] is None and croniter(case["cron"], at(case["now"])).get_next() > 0
    whole = [run for run in runs if run is not None]
    if case["timetable"] == "cron_data_interval":
        return any(b["data_interval_start"] != a["data_interval_end"] for a, b in pairwise(whole))
    return left_out(case, whole[0]["run_after"], case["start_date"])


@pytest.mark.parametrize("case", [c for c in CASES if c["id"] in UNMARKED_DEFECTS], ids=lambda c: c["id"])
def test_unmarked_defects(case: dict[str, Any]) -> None:
    assert contradicts_itself(case), UNMARKED_DEFECTS[case["id"]]
    assert all(start <= end for start, end in manual_of(case, timetable_of(spec_of(case))))
