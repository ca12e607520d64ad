"""Golden cases, and the names that their DAG texts import, bound to ours."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import task_group
from tradewind.authoring.edges import Label, chain, chain_linear, cross_downstream
from tradewind.authoring.params import Param
from tradewind.authoring.task_group import TaskGroup
from tradewind.standard.bash import BashOperator
from tradewind.standard.decorators import task
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import BranchPythonOperator, PythonOperator
from tradewind.standard.sensors import PythonSensor

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

_MODULES: dict[str, dict[str, Any]] = {
    "airflow": {},
    "airflow.decorators": {"task": task, "task_group": task_group},
    "airflow.models": {},
    "airflow.models.baseoperator": {
        "chain": chain,
        "chain_linear": chain_linear,
        "cross_downstream": cross_downstream,
    },
    "airflow.operators": {},
    "airflow.operators.empty": {"EmptyOperator": EmptyOperator},
    "airflow.sensors": {},
    "airflow.sensors.python": {"PythonSensor": PythonSensor},
    "airflow.utils": {},
    "airflow.utils.edgemodifier": {"Label": Label},
    "airflow.utils.task_group": {"TaskGroup": TaskGroup},
}


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a golden file."""
    text = (FOLDER / name).read_text()
    return json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]


@contextmanager
def foreign_names() -> Generator[None, None, None]:
    """`import airflow…` finds ours inside."""
    before = {name: sys.modules.get(name) for name in _MODULES}
    for name, content in _MODULES.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, original in before.items():
            if original is None:
                del sys.modules[name]
            else:
                sys.modules[name] = original


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
    with foreign_names():
        exec(compile(text, "golden_case.py", "exec"), found)
    return found
