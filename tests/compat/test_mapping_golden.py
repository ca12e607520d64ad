"""Dynamic mapping as recorded from Airflow: DAG files with its names, carried out by the real machine in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.served_airflow import served_airflow
from tradewind.authoring.current_context import get_current_context
from tradewind.authoring.dag import DAG
from tradewind.trial import TrialReport, try_dag

CASES = Path(__file__).parents[1] / "data" / "golden" / "mapping.jsonl"
HEAD = """
from airflow.decorators import task, task_group
from airflow.exceptions import AirflowSkipException


def given(arguments):
    names = ("x", "y", "z", "w", "fixed", "added")
    return {k: v for k, v in arguments.items() if k in names and not (isinstance(v, str) and v == "unset")}


@task
def collect(values):
    return list(values) if values is not None else None


with DAG(dag_id=ID, start_date=START, schedule=None) as dag:
"""


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CASES.read_text().splitlines()]


def plain(value: object) -> Any:
    """As JSON has it: tuples are lists."""
    return orjson.loads(orjson.dumps(value))


def dag_of(case: dict[str, Any], calls: list[Any]) -> DAG:
    """The DAG that the case's text defines; `calls` takes note of every call."""

    def seen(arguments: dict[str, Any]) -> None:
        ti = get_current_context()["ti"]
        calls.append([ti.task_id, ti.map_index, plain(arguments)])

    names: dict[str, Any] = {
        "DAG": DAG,
        "START": datetime(2024, 1, 1, tzinfo=UTC),
        "ID": case["id"],
        "seen": seen,
        "get_current_context": get_current_context,
    }
    with served_airflow():
        exec(compile(HEAD + case["body"] + "\n", "golden_case.py", "exec"), names)
    found: DAG = names["dag"]
    return found


def instances_of(dag: DAG, report: TrialReport) -> list[dict[str, Any]]:
    """Every instance with what it returned, in order of definition and map index."""
    order = {task_id: number for number, task_id in enumerate(dag.task_ids)}
    rows = sorted(report.instances, key=lambda row: (order[row.task_id], row.map_index))
    return [
        {
            "task_id": row.task_id,
            "map_index": row.map_index,
            "state": row.state.value,
            "returned": {"value": plain(report.results[place])} if place in report.results else None,
        }
        for row in rows
        for place in [(row.task_id, row.map_index)]
    ]


def errors_of(report: TrialReport) -> dict[str, list[str]]:
    """What each failed attempt raised."""
    return {
        f"{attempt.task_id}[{attempt.map_index}]": [attempt.detail["error"]["type"], attempt.detail["error"]["message"]]
        for attempt in report.attempts
        if attempt.detail and attempt.detail.get("error")
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
async def test_mapping(case: dict[str, Any]) -> None:
    calls: list[Any] = []
    dag = dag_of(case, calls)
    report = await try_dag(dag)
    assert instances_of(dag, report) == case["instances"]
    assert report.run.state.value == case["run_state"]
    assert sorted(calls, key=orjson.dumps) == sorted(case["arguments"], key=orjson.dumps)
    assert errors_of(report) == case.get("errors", {})
