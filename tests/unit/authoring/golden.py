"""Golden cases, run as the DAG files that they are: with the names of Airflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.served_airflow import served_airflow
from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import task_group
from tradewind.authoring.edges import chain
from tradewind.authoring.params import Param
from tradewind.authoring.task_group import TaskGroup
from tradewind.standard.bash import BashOperator
from tradewind.standard.decorators import task
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import BranchPythonOperator, PythonOperator

FOLDER = Path(__file__).parents[2] / "data" / "golden"
START = datetime(2024, 1, 1, tzinfo=UTC)

STRUCTURE_HEAD = """
from airflow.decorators import task, task_group
from airflow.models.baseoperator import chain, chain_linear, cross_downstream
from airflow.operators.empty import EmptyOperator
from airflow.utils.edgemodifier import Label
from airflow.utils.task_group import TaskGroup


@task
def produce():
    return 1


@task
def consume(*values):
    return values


with DAG(dag_id="d", start_date=START, schedule=None) as dag:
"""


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a golden file."""
    text = (FOLDER / name).read_text()
    return json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]


def names() -> dict[str, Any]:
    """What the texts use without importing it."""
    return {
        "DAG": DAG,
        "START": START,
        "BashOperator": BashOperator,
        "BranchPythonOperator": BranchPythonOperator,
        "EmptyOperator": EmptyOperator,
        "Param": Param,
        "PythonOperator": PythonOperator,
        "TaskGroup": TaskGroup,
        "chain": chain,
        "task": task,
        "task_group": task_group,
        "timedelta": timedelta,
    }


def run_text(text: str) -> dict[str, Any]:
    """The names that a DAG text defines."""
    found = names()
    with served_airflow():
        exec(compile(text, "golden_case.py", "exec"), found)
    return found
