"""Compares what the tasks wrote into their file with what the store says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from benchmarks.crash_dags import DAG_ID, Note

INSTANCES = """
select i.run_id, i.task_id, i.state::text, i.try_number, r.dag_run_id, r.state::text as run_state
from task_instance i join dag_run r using (run_id) where r.dag_id = $1"""

ATTEMPTS = """
select a.run_id, a.task_id, a.try_number, encode(a.attempt, 'hex') as attempt, a.kind::text,
       extract(epoch from a.started_at)::float8 as started, extract(epoch from a.ended_at)::float8 as ended, a.detail
from attempt a join dag_run r using (run_id) where r.dag_id = $1"""

XCOMS = """
select x.run_id, x.task_id, x.data from xcom x join dag_run r using (run_id)
where r.dag_id = $1 and x.key = 'return_value'::bytea"""

LIVE = "select count(*) from live_attempt"

FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

Place = tuple[int, str]
Row = Mapping[str, Any]


@dataclass(slots=True)
class Verdict:
    """What the judge found, each with the words that say where."""

    lost: list[str] = field(default_factory=list[str])
    stuck: list[str] = field(default_factory=list[str])
    double_completed: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    """Rows that contradict each other: a result of another attempt, an attempt that is live for ever."""

    runs: int = 0
    tasks: int = 0
    repeated_bodies: int = 0
    """Bodies that ran again because their first end was not committed. Allowed."""


class Rows(NamedTuple):
    """What the store says."""

    instances: Sequence[Row]
    attempts: Sequence[Row]
    xcoms: Sequence[Row]
    live: int


async def read_rows(database: dict[str, Any]) -> Rows:
    """All rows of the DAG. Raises SystemExit where PostgreSQL does not keep what it has committed."""
    connection = await asyncpg.connect(**database)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            if await connection.fetchval(f"show {setting}") != "on":
                raise SystemExit(f"{setting} is off: this judgement would mean nothing")
        return Rows(
            await connection.fetch(INSTANCES, DAG_ID),
            await connection.fetch(ATTEMPTS, DAG_ID),
            await connection.fetch(XCOMS, DAG_ID),
            await connection.fetchval(LIVE),
        )
    finally:
        await connection.close()


def judge_rows(rows: Rows, notes: Sequence[Note], acknowledged: Iterable[str], tasks: int) -> Verdict:
    """Holds the store against the notes, and against the runs whose trigger was acknowledged."""
    found = Verdict()
    _judge_runs(found, rows.instances, set(acknowledged), tasks)
    accepted = _judge_attempts(found, rows.attempts)
    _judge_instances(found, rows, accepted)
    _judge_notes(found, accepted, notes)
    _judge_xcoms(found, accepted, rows.xcoms)
    if rows.live:
        found.wrong.append(f"{rows.live} attempts are called live though all runs have ended")
    return found


def _judge_runs(found: Verdict, instances: Sequence[Row], acknowledged: set[str], tasks: int) -> None:
    rows: dict[str, int] = defaultdict(int)
    states: dict[str, str] = {}
    for row in instances:
        rows[row["dag_run_id"]] += 1
        states[row["dag_run_id"]] = row["run_state"]
    found.runs, found.tasks = len(rows), len(instances)
    found.lost += [f"run {name} was acknowledged and is not there" for name in sorted(acknowledged - set(rows))]
    found.lost += [f"run {name} has {count} of {tasks} tasks" for name, count in rows.items() if count != tasks]
    found.stuck += [f"run {name} is {state}" for name, state in states.items() if state not in ("success", "failed")]


def _judge_attempts(found: Verdict, attempts: Sequence[Row]) -> dict[Place, Row]:
    """The accepted success of each task; two of one task are a double."""
    accepted: dict[Place, Row] = {}
    for row in attempts:
        place = (row["run_id"], row["task_id"])
        if row["kind"] == "success":
            if place in accepted:
                found.double_completed.append(f"two attempts of {place} were accepted as its success")
            accepted[place] = row
    for row in attempts:
        won = accepted.get((row["run_id"], row["task_id"]))
        if won is not None and row["started"] > won["ended"]:
            found.double_completed.append(f"an attempt of {row['task_id']} was opened after another's success")
    return accepted


def _judge_instances(found: Verdict, rows: Rows, accepted: dict[Place, Row]) -> None:
    reasons = {(row["run_id"], row["task_id"]): row["detail"] for row in rows.attempts if row["kind"] != "success"}
    for row in rows.instances:
        place, state = (row["run_id"], row["task_id"]), row["state"]
        if state not in FINAL:
            found.lost.append(f"task {place} is {state} for ever")
        elif state == "success" and place not in accepted:
            found.wrong.append(f"task {place} is success without an attempt that says so")
        elif state != "success":
            found.failed.append(f"task {place} is {state}: {reasons.get(place)!r}")


def _judge_notes(found: Verdict, accepted: dict[Place, Row], notes: Sequence[Note]) -> None:
    ended = {(note.run_id, note.task_id, note.attempt) for note in notes if note.what == "end"}
    bodies: dict[Place, int] = defaultdict(int)
    for place, row in accepted.items():
        if (*place, row["attempt"]) not in ended:
            found.lost.append(f"task {place} is success, but the body of its attempt never came to its end")
    for note in notes:
        if note.what != "begin":
            continue
        place = (note.run_id, note.task_id)
        bodies[place] += 1
        won = accepted.get(place)
        if won is not None and note.attempt != won["attempt"] and note.wall > won["ended"]:
            found.double_completed.append(f"a body of {place} began after another attempt's success")
    found.repeated_bodies = sum(count - 1 for count in bodies.values())


def _judge_xcoms(found: Verdict, accepted: dict[Place, Row], xcoms: Sequence[Row]) -> None:
    """Each task returns its attempt: the stored value must be that of the accepted one."""
    values = {(row["run_id"], row["task_id"]): row["data"] for row in xcoms}
    for place, row in accepted.items():
        value = values.get(place)
        if value is None:
            found.wrong.append(f"task {place} is success and its result is not there")
        elif row["attempt"].encode() not in value:
            found.wrong.append(f"task {place} has the result of another attempt")
