"""Attempts and contexts for tests: a DAG's task as it would be running in a given run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.unit.authoring.in_memory_services import InMemoryServices, OnALoop
from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.dag import DAG
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import RunState, RunType

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def encoded(conf: Mapping[str, Any] | None) -> EncodedValue | None:
    return EncodedValue(CODEC_JSON, orjson.dumps(conf)) if conf else None


def run_row(number: int, run: Mapping[str, Any], dag_id: str) -> RunRow:
    """A run as golden cases describe it."""
    start, end = run["data_interval"]
    run_type = RunType(run["run_type"])
    return RunRow(
        run_id=RunId(number),
        dag_id=dag_id,
        dag_run_id=run["run_id"],
        version_hash="0" * 64,
        run_type=run_type,
        state=RunState(run["state"]),
        logical_date=when(run["logical_date"]),
        interval_start=when(start),
        interval_end=when(end),
        queued_at=when(run["logical_date"]),
        run_after=when(end),
        started_at=at(run["start_date"]),
        ended_at=at(run["end_date"]),
        conf=encoded(run["conf"]),
        external_trigger=run_type is RunType.MANUAL,
    )


def facts_of(row: RunRow) -> RunFacts:
    return RunFacts.of(row, DagSource("tests", "1", "/nowhere/dags.py", "dags.py"))


def a_run(dag_id: str, conf: Mapping[str, Any] | None = None) -> RunRow:
    """A manual run of today, noon."""
    text = NOON.isoformat()
    return run_row(
        7,
        {
            "run_id": f"manual__{text}",
            "run_type": "manual",
            "logical_date": text,
            "data_interval": [text, text],
            "state": "running",
            "start_date": text,
            "end_date": None,
            "conf": conf,
        },
        dag_id,
    )


def running(
    dag: DAG, task_id: str, row: RunRow | None = None, services: InMemoryServices | None = None, try_number: int = 1
) -> CurrentAttempt:
    """The task of the DAG as an attempt in a run (by default `a_run`)."""
    row = row or a_run(dag.dag_id)
    services = services or InMemoryServices()
    task = dag.task_dict[task_id]
    key = AttemptKey(AttemptId(bytes(16)), row.run_id, task_id, try_number=try_number)
    spec = TaskSpec(task_id, retries=task.retries)
    attempt = Attempt(key, spec, facts_of(row), task.retries + 1, row.started_at or NOON)
    return CurrentAttempt(attempt, OnALoop(services), services)
