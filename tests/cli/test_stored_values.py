"""DAG files that look variables up at their top level, loaded by commands and by the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

AT_THE_TOP = """
from tradewind import DAG, BashOperator, BaseHook, Variable

with DAG("of_" + Variable.get("team", "nobody"), schedule=None):
    said = "echo {{ conn.web.host }} {{ conn.web.password }} {{ var.value.api_token }}"
    BashOperator(task_id="say", bash_command=said)
"""


@pytest.fixture(autouse=True)
def on_database(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The commands work on a database of the test's own, without a daemon."""
    monkeypatch.setenv("TRADEWIND__DATABASE__URL", database_url)
    assert run("db", "migrate").exit_code == 0
    (home / "dags" / "top.py").write_text(AT_THE_TOP)


def test_a_command_finds_what_is_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "of_nobody" in run("dags", "show", "of_nobody").output
    run("variables", "set", "team", "blue")
    assert run("dags", "show", "of_blue").exit_code == 0
    monkeypatch.setenv("AIRFLOW_VAR_TEAM", "red")
    assert run("dags", "show", "of_red").exit_code == 0


def test_secrets_are_masked_in_rendered_templates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("version")  # imported before the loop runs
    run("connections", "add", "web", "--conn-uri", "http://u:open-sesame@example.com")
    run("variables", "set", "api_token", "simsalabim")
    shown = run("tasks", "render", "of_nobody", "say")
    assert "echo example.com *** ***" in shown.output, shown.output


def test_a_trial_run_finds_what_is_stored(run: Run, home: Path) -> None:
    run("variables", "set", "stored", "in the database")
    run("connections", "add", "web", "--conn-uri", "http://h")
    (home / "dags" / "trial.py").write_text(TRIAL)
    tried = run("dags", "test", "tried")
    assert tried.exit_code == 0, tried.output
    assert run("variables", "get", "stored").output == "in the database\n", "a trial changes nothing"


TRIAL = """
from tradewind import DAG, Connection, Variable, task

with DAG("tried", schedule=None):
    @task
    def look() -> None:
        assert Variable.get("stored") == "in the database"
        assert Connection.get("web").host == "h"
        Variable.set("stored", "of the trial")
        assert Variable.get("stored") == "of the trial"

    look()
"""
