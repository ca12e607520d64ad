"""Who is told by mail, and what: about failed tries, and about tasks that should have ended by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from tradewind.model.moments import moment_after
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import RunType, TaskState

ENDED_WELL: Final = frozenset({TaskState.SUCCESS, TaskState.SKIPPED})
_SWITCH: Final = {"on_failure": "email_on_failure", "on_retry": "email_on_retry"}


class FailedTry(NamedTuple):
    """A try, as mail tells of it. `max_tries` is the number of the last try that may be followed by another."""

    map_index: int
    try_number: int
    max_tries: int
    hostname: str | None


def mail_of(task: TaskSpec, which: str, failed: FailedTry, outcome: Outcome) -> bytes | None:
    """The body of the outbox row for a mail about a try that has failed; None where nobody wants one."""
    to = task.extra.get("email")
    if not to or not task.extra.get(_SWITCH[which], True):
        return None
    reason = outcome.error.message if outcome.error is not None else outcome.reason
    body = {
        "which": which,
        "to": to,
        "task_id": task.task_id,
        "map_index": failed.map_index,
        "try_number": failed.try_number,
        "max_tries": failed.max_tries + 1,
        "hostname": failed.hostname,
        "reason": reason or outcome.reason,
    }
    return orjson.dumps(body)


def slas_of(spec: DagSpec) -> Mapping[float, tuple[TaskSpec, ...]]:
    """The tasks with an SLA, by its seconds."""
    found: dict[float, list[TaskSpec]] = {}
    for task in spec.tasks:
        seconds = task.extra.get("sla")
        if isinstance(seconds, (int, float)):
            found.setdefault(float(seconds), []).append(task)
    return {seconds: tuple(tasks) for seconds, tasks in found.items()}


def sla_moments(run: RunRow, spec: DagSpec) -> Iterable[tuple[datetime, tuple[TaskSpec, ...]]]:
    """When which tasks should have ended well: counted from the moment that the schedule set for the run.

    Runs that are not of the schedule have none.
    """
    if run.run_type is not RunType.SCHEDULED:
        return
    for seconds, tasks in sorted(slas_of(spec).items()):
        yield moment_after(run.run_after, seconds), tasks


def deadline_of(alert: Mapping[str, Json], run: RunRow, runtimes: Iterable[float]) -> datetime | None:
    """The moment of one of the DAG's deadlines for this run; None while it cannot be told.

    `runtimes` are the seconds that the last good runs took, for deadlines that are counted from their average.
    """
    kind = alert["reference"]
    if kind == "queued_at":
        start: datetime | None = run.queued_at
    elif kind == "logical_date":
        start = run.logical_date
    elif kind == "fixed":
        start = datetime.fromisoformat(alert["at"])
    else:
        took = list(runtimes)
        enough = bool(took) and len(took) >= int(alert.get("least_runs", 0))
        start = moment_after(run.queued_at, sum(took) / len(took)) if enough else None
    return None if start is None else moment_after(start, float(alert["interval"]))


def miss_of(dag_id: str, task_id: str, run: RunRow, state: TaskState, due: datetime) -> dict[str, Any]:
    """One line of a miss as `authoring.sla.SlaMiss` reads it."""
    return {"dag_id": dag_id, "task_id": task_id, "logical_date": run.logical_date, "state": state.value, "due": due}
