"""Compares what the tasks wrote into their file with what the store says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

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


async def judge(database: dict[str, Any], notes: Sequence[Note], acknowledged: Iterable[str], tasks: int) -> Verdict:
    """Reads the store and holds it against the notes and the runs whose trigger was acknowledged."""
    connection = await asyncpg.connect(**database)
    try:
        instances = await connection.fetch(INSTANCES, DAG_ID)
        attempts = await connection.fetch(ATTEMPTS, DAG_ID)
        xcoms = await connection.fetch(XCOMS, DAG_ID)
        live = await connection.fetchval(LIVE)
    finally:
        await connection.close()
    found = Verdict()
    _judge_runs(found, instances, set(acknowledged), tasks)
    accepted = _judge_attempts(found, attempts)
    _judge_instances(found, instances, accepted, attempts)
    _judge_notes(found, accepted, notes)
    _judge_xcoms(found, accepted, xcoms)
    if live:
        found.wrong.append(f"{live} attempts are called live though all runs have ended")
    return found


def _judge_runs(found: Verdict, instances: Sequence[Any], acknowledged: set[str], tasks: int) -> None:
    rows: dict[str, int] = defaultdict(int)
    states: dict[str, str] = {}
    for row in instances:
        rows[row["dag_run_id"]] += 1
        states[row["dag_run_id"]] = row["run_state"]
    found.runs, found.tasks = len(rows), len(instances)
    found.lost += [f"run {name} was acknowledged and is not there" for name in sorted(acknowledged - set(rows))]
    found.lost += [f"run {name} has {count} of {tasks} tasks" for name, count in rows.items() if count != tasks]
    found.stuck += [f"run {name} is {state}" for name, state in states.items() if state not in ("success", "failed")]


def _judge_attempts(found: Verdict, attempts: Sequence[Any]) -> dict[Place, Any]:
    """The accepted success of each task; two of one task are a double."""
    accepted: dict[Place, Any] = {}
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


def _judge_instances(
    found: Verdict, instances: Sequence[Any], accepted: dict[Place, Any], attempts: Sequence[Any]
) -> None:
    reasons = {(row["run_id"], row["task_id"]): row["detail"] for row in attempts if row["kind"] != "success"}
    for row in instances:
        place, state = (row["run_id"], row["task_id"]), row["state"]
        if state not in FINAL:
            found.lost.append(f"task {place} is {state} for ever")
        elif state == "success" and place not in accepted:
            found.wrong.append(f"task {place} is success without an attempt that says so")
        elif state != "success":
            found.failed.append(f"task {place} is {state}: {reasons.get(place)!r}")


def _judge_notes(found: Verdict, accepted: dict[Place, Any], notes: Sequence[Note]) -> None:
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


def _judge_xcoms(found: Verdict, accepted: dict[Place, Any], xcoms: Sequence[Any]) -> None:
    """Each task returns its attempt: the stored value must be that of the accepted one."""
    values = {(row["run_id"], row["task_id"]): row["data"] for row in xcoms}
    for place, row in accepted.items():
        value = values.get(place)
        if value is None:
            found.wrong.append(f"task {place} is success and its result is not there")
        elif row["attempt"].encode() not in value:
            found.wrong.append(f"task {place} has the result of another attempt")
