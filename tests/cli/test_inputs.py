"""Signals and answers of people from the command line, to a runtime in another thread."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.conftest import Run
from tests.cli.test_online import database, running
from tradewind.cli.human_inputs import from_fields, name_of_user

__all__ = ["database"]

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself

ASKS = """
from dataclasses import dataclass

from tradewind import DAG, signal, task


@dataclass
class Approve:
    ok: bool
    share: float = 1.0
    note: str = ""


with DAG("asks", schedule=None, is_paused_upon_creation=False):

    @task(durable=True)
    async def work(ctx):
        await ctx.publish("phase", {"n": 1})
        first = await ctx.wait_for(signal("go"))
        answer = await ctx.ask(Approve, to="team", subject="Is it good?")
        return [first, answer.ok, answer.share, answer.note]

    work()
"""


def until_asked(run: Run, kind: str) -> list[dict[str, Any]]:
    """What `inputs list` shows once the task waits: for a question, or for something else."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        rows: list[dict[str, Any]] = json.loads(run("inputs", "list", "--dag", "asks", "-o", "json").output)
        if kind == "question" and rows:
            return rows
        if kind == "signal" and run("tasks", "state", "asks", "work").output.strip() == "deferred":
            return rows
    raise AssertionError(f"the task never waited for a {kind}")


def test_signal_and_answer(database: str, home: Path, run: Run) -> None:
    (home / "dags" / "asks.py").write_text(ASKS)
    with running():
        assert run("dags", "trigger", "asks", "-r", "one").exit_code == 0
        assert until_asked(run, "signal") == []
        assert run("inputs", "list").output == "Nobody is asked anything.\n"
        refused = run("inputs", "answer", "asks", "work", "--set", "ok=true")
        assert refused.exit_code == 1
        assert "asks nothing; it is deferred" in refused.output
        assert run("tasks", "query", "asks", "work", "one", "phase").output == '{"n":1}\n'
        [told] = json.loads(run("tasks", "query", "asks", "work", "-o", "json").output)
        assert json.loads(run("tasks", "query", "asks", "work", "latest", "phase").output) == told["value"]
        assert (told["name"], told["value"], told["dag_run_id"]) == ("phase", {"n": 1}, "one")
        unknown = run("tasks", "query", "asks", "work", "one", "progress")
        assert unknown.exit_code == 1
        assert "publishes nothing under the name 'progress'; it publishes 'phase'" in unknown.output
        sent = run("tasks", "signal", "asks", "work", "go", '{"n": 1}', "--run", "one")
        assert sent.output == "Task 'work' of run 'one' goes on.\n"
        [asked] = until_asked(run, "question")
        assert (asked["name"], asked["subject"], asked["to"]) == ("Approve", "Is it good?", "team")
        assert "Is it good?" in run("inputs", "list").output
        assert '"boolean"' in run("inputs", "show", "asks", "work").output
        wrong = run("inputs", "answer", "asks", "work", "--set", "ok=maybe", "--run", "one")
        assert wrong.exit_code == 1
        assert "ok: 'maybe' is not of type 'boolean'" in wrong.output
        early = run("tasks", "signal", "asks", "work", "later", "-o", "json")
        assert json.loads(early.output)["resumed"] is False
        given = run("inputs", "answer", "asks", "work", "Approve", "--set", "ok=true", "--set", "note=7", "-o", "json")
        assert json.loads(given.output) == {
            "dag_id": "asks", "dag_run_id": "one", "task_id": "work", "name": "Approve", "resumed": True,
        }  # fmt: skip
        ends = time.monotonic() + 60
        while run("dags", "state", "asks", "one").output.strip() == "running" and time.monotonic() < ends:
            pass
        late = run("inputs", "answer", "asks", "work", "--json", '{"ok": true}')
        assert late.exit_code == 1
        assert "it has ended: success" in late.output


def test_a_user_that_has_no_name_answers_under_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456_789)
    assert name_of_user() == "4123456789"


def test_usage(run: Run) -> None:
    assert "--set (once for each field)" in run("inputs", "answer", "d", "t").output
    assert "give --dag as well" in run("inputs", "list", "--run", "one").output
    assert "is not JSON" in run("tasks", "signal", "d", "t", "go", "{").output


def test_fields_become_what_the_form_wants() -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer"}, "text": {"type": ["string", "null"]}}}
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "tags": {"type": "array"}, "in": {"$ref": "#/$defs/In"}, "a.b": {}},
        "$defs": {"In": inner},
    }
    fields = ["ok=true", "tags=one", "in.n=3", "in.text=null", "a.b=x=y"]
    assert from_fields(fields, schema) == {
        "ok": True, "tags": ["one"], "in": {"n": 3, "text": None}, "a.b": "x=y",
    }  # fmt: skip
    assert from_fields(["in.text=3", 'tags=["a", "b"]'], schema) == {"in": {"text": "3"}, "tags": ["a", "b"]}
    with pytest.raises(click.UsageError, match="FIELD=VALUE"):
        from_fields(["ok"], schema)
