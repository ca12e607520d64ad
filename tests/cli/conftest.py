"""A home with DAG files, and the command run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradewind.cli.main import cli

Run = Callable[..., Result]

DEMO = """
from tradewind import DAG, BashOperator, PythonOperator, task


def show(at: str, n: int) -> None:
    print(at, n)


with DAG("demo", schedule="@daily", start_date="2024-01-01", tags=["a"]) as dag:
    @task
    def one(x: int) -> int:
        print("hello", x)
        return x + 1

    @task
    async def two(x: int) -> int:
        return x * 2

    say = BashOperator(task_id="say", bash_command="echo {{ ds }} {{ dag_run.conf.get('n', 'none') }}")
    shown = PythonOperator(task_id="shown", python_callable=show, op_kwargs={"at": "{{ ts }}", "n": 1})
    first = one(1)
    two(first) >> say
    first >> shown >> say

with DAG("bad", schedule=None):
    @task
    def fails():
        raise ValueError("this one fails")

    fails()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with one DAG file; nothing of the machine's own configuration."""
    import os

    for name in list(os.environ):
        if name.startswith(("TRADEWIND", "AIRFLOW")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "demo.py").write_text(DEMO)
    (tmp_path / "tradewind.toml").write_text("[dags]\nload_examples = false\n")
    return tmp_path


@pytest.fixture
def run(home: Path) -> Run:
    """`run("dags", "list")`: the command's result."""

    def call(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(args), input=input, catch_exceptions=False)

    return call
