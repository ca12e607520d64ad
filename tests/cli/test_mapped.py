"""Mapped tasks on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tradewind.cli.dags_test import summary
from tradewind.model.keys import RunId
from tradewind.model.rows import InstanceRow
from tradewind.model.states import TaskState

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself

MAPPED = """
from tradewind import DAG, BashOperator, task

with DAG("mapped", schedule=None):
    BashOperator.partial(task_id="say").expand(bash_command=["echo one", "echo two {{ ds }}"])

    @task
    def odd(x: int) -> int:
        if x == 2:
            raise ValueError(f"{x} is even")
        return x

    odd.expand(x=[1, 2, 3])
"""


@pytest.fixture
def dag_file(home: Path) -> Path:
    file = home / "dags" / "mapped.py"
    file.write_text(MAPPED)
    return file


def test_one_instance_is_rendered_and_run(run: Run, dag_file: Path) -> None:
    assert dag_file.exists()
    shown = run("tasks", "render", "mapped", "say", "2026-01-05", "--map-index", "1").output
    assert "echo two 2026-01-05" in shown
    result = run("tasks", "test", "mapped", "odd", "2026-01-05", "--map-index", "1")
    assert result.exit_code == 1
    assert "ValueError: 2 is even" in result.output
    assert run("tasks", "test", "mapped", "odd", "2026-01-05", "--map-index", "2").exit_code == 0


def test_which_instance_has_to_be_said(run: Run, dag_file: Path) -> None:
    assert dag_file.exists()
    result = run("tasks", "test", "mapped", "odd", "2026-01-05")
    assert result.exit_code == 1
    assert "task 'odd' is mapped: say which instance is meant by its map index" in result.output


def test_a_whole_run_names_the_instances(run: Run, dag_file: Path) -> None:
    assert dag_file.exists()
    result = run("dags", "test", "mapped", "2026-01-05")
    assert result.exit_code == 1
    for text in ("✔ say[0] success", "✔ say[1] success", "✔ odd[2] success", "✘ odd[1] failed", "\nodd[1]:"):
        assert text in result.output


@pytest.mark.parametrize(
    ("instances", "shown"),
    [
        ({}, ("none", "")),
        ({-1: TaskState.RUNNING}, ("running", "running")),
        ({0: TaskState.SUCCESS, 1: TaskState.SUCCESS}, ("success", "2 success")),
        (
            {0: TaskState.SUCCESS, 1: TaskState.FAILED, 2: TaskState.RUNNING},
            ("failed", "1 failed, 1 running, 1 success"),
        ),
    ],
)
def test_a_line_of_the_tree_counts_instances(instances: Mapping[int, TaskState], shown: tuple[str, str]) -> None:
    rows = {index: InstanceRow(RunId(1), "t", index, state=state) for index, state in instances.items()}
    assert summary(rows) == shown
