"""Which runs of a schedule are due, where its cursor goes, and when to look again."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tradewind.model.errors import AuthoringError, ParamValidationError
from tradewind.model.rows import ScheduleCursor
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunType
from tradewind.rules.timetables import DataInterval, RunInfo, TimeRestriction, Timetable, timetable_of

NO_CURSOR = ScheduleCursor(None, None, None, None, None, None)
"""The cursor of a schedule that has not begun."""


_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.:+@=-]{1,150}")


class DueRuns(NamedTuple):
    """Runs to create now, in order, with the cursor that goes into the same transaction.

    `wake_at` is when the next run is due. None: not by the clock (nothing follows, or `limit` was
    reached and a run must end first).
    """

    runs: tuple[RunInfo, ...]
    cursor: ScheduleCursor
    wake_at: datetime | None


def due_runs(spec: DagSpec, cursor: ScheduleCursor | None, now: datetime, limit: int, active: int = 0) -> DueRuns:
    """The runs of the schedule that are due by `now` and not yet created, at most `limit`.

    `active` is the number of unfinished runs; only a continuous schedule asks (it goes on when it
    is 0). With catchup off, of the runs that were missed only the newest is made up for.

    Raises:
        AuthoringError: the schedule cannot be evaluated here; the message names the DAG.
    """
    try:
        timetable = timetable_of(spec.timetable)
    except AuthoringError as error:
        raise AuthoringError(f"DAG {spec.dag_id!r}: {error.message}") from error
    restriction = restriction_of(spec)
    cursor = cursor or NO_CURSOR
    last = _interval(cursor.last_interval_start, cursor.last_interval_end)
    if not timetable.can_be_scheduled:
        return DueRuns((), cursor_of(last, None), None)
    continuous = spec.timetable.kind == "continuous"
    most = min(limit, 0 if active else 1) if continuous else limit
    info = timetable.next_run(last, restriction, now) if continuous else _next(timetable, cursor, restriction, now)
    runs: list[RunInfo] = []
    while info is not None and info.run_after <= now and len(runs) < most:
        runs.append(info)
        last = info.interval
        info = timetable.next_run(last, restriction, now)
    wake_at = info.run_after if info is not None and info.run_after > now else None
    return DueRuns(tuple(runs), cursor_of(last, info), wake_at)


def restriction_of(spec: DagSpec) -> TimeRestriction:
    """The bounds of the DAG: its least start date and, if all tasks have an end, its greatest end date."""
    starts = [task.start_date for task in spec.tasks if task.start_date is not None]
    starts += [spec.start_date] if spec.start_date is not None else []
    ends = [task.end_date for task in spec.tasks if task.end_date is not None]
    latest = spec.end_date
    if spec.tasks and len(ends) == len(spec.tasks):
        latest = max(ends) if latest is None else max(*ends, latest)
    return TimeRestriction(min(starts, default=None), latest, spec.catchup)


def next_run(spec: DagSpec, last: DataInterval | None, now: datetime, *, restricted: bool = True) -> RunInfo | None:
    """The run that follows the one about `last` (None: the first); `restricted=False` ignores the DAG's dates."""
    bounds = restriction_of(spec) if restricted else TimeRestriction(None, None, catchup=True)
    return timetable_of(spec.timetable).next_run(last, bounds, now)


def manual_run(spec: DagSpec, run_after: datetime) -> RunInfo:
    """A run that somebody asks for at `run_after`, which becomes its logical date. Raises ParamValidationError for one
    whose interval would lie outside the calendar.
    """
    try:
        at = run_after.astimezone(UTC)
        return RunInfo(at, at, timetable_of(spec.timetable).manual_interval(at))
    except OverflowError:
        day = run_after.isoformat()
        raise ParamValidationError(f"logical date {day} is at the end of the calendar: choose another one") from None


def dag_run_id_of(run_type: RunType, logical_date: datetime) -> str:
    """The name of a run: ``scheduled__2026-01-01T00:00:00+00:00``."""
    return f"{run_type.value}__{logical_date.astimezone(UTC).isoformat()}"


def keyed_run_id(run_type: RunType, key: str) -> str:
    """The name of the one run that there may be for a key: ``manual__key``, or a digest of the key where it is long
    or has characters that a name had better not have. Raises AuthoringError for an empty key.
    """
    if not key:
        raise AuthoringError("the key of a run must not be empty")
    if _PLAIN_KEY.fullmatch(key) is None:
        key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{run_type.value}__{key}"


def _next(timetable: Timetable, cursor: ScheduleCursor, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
    """The next run: the one that was foreseen, while the schedule still says so, else computed anew.

    With catchup off, or without a start date, a look at a later time gives a later run, so what was
    foreseen for a moment that has just passed must be kept; it is given up only when the run after it is due as well.
    """
    last = _interval(cursor.last_interval_start, cursor.last_interval_end)
    foreseen = foreseen_in(cursor)
    anew = timetable.next_run(last, restriction, now)
    by_clock = not restriction.catchup or restriction.earliest is None
    if not by_clock or foreseen is None or foreseen == anew or foreseen.run_after > now:
        return anew
    if timetable.next_run(last, restriction, foreseen.run_after) != foreseen:
        return anew
    following = timetable.next_run(foreseen.interval, restriction._replace(catchup=True), now)
    return anew if following is not None and following.run_after <= now else foreseen


def foreseen_in(cursor: ScheduleCursor | None) -> RunInfo | None:
    """The next run as it was foreseen when the cursor was written."""
    if cursor is None:
        return None
    interval = _interval(cursor.next_interval_start, cursor.next_interval_end)
    if interval is None or cursor.next_run_after is None or cursor.next_logical_date is None:
        return None
    return RunInfo(cursor.next_run_after, cursor.next_logical_date, interval)


def _interval(start: datetime | None, end: datetime | None) -> DataInterval | None:
    return None if start is None or end is None else DataInterval(start, end)


def interval_in(cursor: ScheduleCursor | None) -> DataInterval | None:
    """The interval of the schedule's last run."""
    return None if cursor is None else _interval(cursor.last_interval_start, cursor.last_interval_end)


def cursor_of(last: DataInterval | None, info: RunInfo | None) -> ScheduleCursor:
    """Where a schedule stands: its last run was about `last`, its next is `info`."""
    start, end = last if last is not None else (None, None)
    if info is None:
        return ScheduleCursor(start, end, None, None, None, None)
    return ScheduleCursor(start, end, info.logical_date, info.interval.start, info.interval.end, info.run_after)
