"""`dags export`: DAG files as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.blocks_the_loop

FILE = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.decorators import dag, task, task_group
from airflow.models.param import Param
from airflow.operators.bash import BashOperator
from airflow.operators.empty import EmptyOperator
from airflow.utils.task_group import TaskGroup

with DAG(
    "all", schedule=timedelta(hours=6), start_date=datetime(2024, 1, 1), tags=["b", "a"], max_active_runs=2,
    default_args={"owner": "me", "retries": 2}, params={"n": Param(3, type="integer", minimum=1), "free": "x"},
):
    @task
    def one():
        return [1, 2]

    @task(trigger_rule="all_done", retries=0)
    def two(x):
        return x

    with TaskGroup("outer") as outer:
        with TaskGroup("inner"):
            BashOperator(task_id="say", bash_command="echo", retry_delay=timedelta(seconds=7), pool="small")
    end = EmptyOperator(task_id="end").as_teardown()
    mapped = two.expand(x=one())
    outer >> end
    mapped >> outer

with DAG("none", schedule=None):
    EmptyOperator(task_id="only")
"""


def export(run: Run, *args: str) -> Any:
    result = run("dags", "export", *args, "--output", "json")
    return json.loads(result.output)


def test_a_file(run: Run, home: Path) -> None:
    (home / "all.py").write_text(FILE)
    answer = export(run, "--file", str(home / "all.py"))
    assert answer["error"] is None
    found, none = answer["dags"]
    assert (none["dag_id"], none["schedule"], none["start_date"], none["catchup"]) == ("none", None, None, True)
    tasks = {task["task_id"]: task for task in found.pop("tasks")}
    assert found == {
        "dag_id": "all",
        "schedule": "timedelta(21600)",
        "schedule_assets": [],
        "schedule_condition": None,
        "start_date": "2024-01-01T00:00:00+00:00",
        "end_date": None,
        "catchup": True,
        "max_active_runs": 2,
        "max_active_tasks": 16,
        "default_args_keys": ["owner", "retries"],
        "tags": ["a", "b"],
        "params": {
            "n": {"value": 3, "schema_type": "integer", "schema_keys": ["minimum", "type"]},
            "free": {"value": "x", "schema_type": None, "schema_keys": []},
        },
        "task_group_tree": {
            "group_id": None,
            "mapped": False,
            "upstream_groups": [],
            "downstream_groups": [],
            "children": [
                {
                    "group_id": "outer",
                    "mapped": False,
                    "upstream_groups": [],
                    "downstream_groups": [],
                    "children": [
                        {
                            "group_id": "outer.inner",
                            "mapped": False,
                            "upstream_groups": [],
                            "downstream_groups": [],
                            "children": ["outer.inner.say"],
                        }
                    ],
                },
                "end",
                "one",
                "two",
            ],
        },
    }
    assert list(tasks) == ["outer.inner.say", "end", "one", "two"]
    assert tasks["two"] == {
        "task_id": "two",
        "operator": "_PythonDecoratedOperator",
        "trigger_rule": "all_done",
        "retries": 0,
        "retry_delay_s": 300.0,
        "pool": "default_pool",
        "upstream": ["one"],
        "downstream": ["outer.inner.say"],
        "template_fields": ["op_args", "op_kwargs", "templates_dict"],
        "is_mapped": True,
        "in_mapped_group": False,
        "is_setup": False,
        "is_teardown": False,
        "on_failure_fail_dagrun": False,
        "task_groups": [],
    }
    say = tasks["outer.inner.say"]
    assert (say["retry_delay_s"], say["pool"], say["task_groups"]) == (7.0, "small", ["outer", "outer.inner"])
    assert tasks["end"]["is_teardown"]


def test_named_dags_of_the_folder(run: Run) -> None:
    answer = export(run, "bad")
    assert [dag["dag_id"] for dag in answer["dags"]] == ["bad"]
    assert [dag["dag_id"] for dag in export(run)["dags"]] == ["demo", "bad"]
    result = run("dags", "export", "nobody")
    assert result.exit_code == 1
    assert "there is no DAG 'nobody'" in result.output


def test_a_broken_file_does_not_speak_for_another(run: Run, home: Path) -> None:
    (home / "dags" / "broken.py").write_text("from airflow import DAG\nbroken = 1 / 0\n")
    assert [dag["dag_id"] for dag in export(run, "demo")["dags"]] == ["demo"]
    said = run("dags", "export", "nobody").output
    assert "there is no DAG 'nobody'" in said
    assert said.rstrip().endswith("broken.py: ZeroDivisionError: division by zero")
    assert json.loads(run("dags", "export", "broken").output)["error"]["class"] == "ZeroDivisionError"


def test_a_file_that_cannot_be_loaded(run: Run, home: Path) -> None:
    (home / "broken.py").write_text("from airflow import DAG\nbroken = 1 / 0\n")
    result = run("dags", "export", "--file", str(home / "broken.py"))
    assert result.exit_code == 1
    expected: dict[str, object] = {"error": {"class": "ZeroDivisionError", "message": "division by zero"}, "dags": []}
    assert json.loads(result.output) == expected
