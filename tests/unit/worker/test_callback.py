"""Callbacks that run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import orjson

DAG_FILE = """
    from datetime import datetime
    from tradewind.authoring.dag import DAG
    from tradewind.authoring.operator import BaseOperator

    class Does(BaseOperator):
        def execute(self, context):
            pass

    def note(context):
        facts = [context["dag_run"].run_id, context["reason"], context["ti"].task_id, context.get("exception")]
        print(*facts, context["ds"])

    async def note_async(context):
        print("async", context["reason"])

    def broken(context):
        raise ValueError("broken")

    def asks(context):
        context["ti"].xcom_pull("t")

    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1), on_success_callback=[broken, note_async],
             on_failure_callback=note):
        Does(task_id="t", on_failure_callback=note, on_retry_callback=asks)
"""


def run(path: Path, **callback: Any) -> tuple[int, str, str]:
    path.write_text(textwrap.dedent(DAG_FILE))
    request = {
        "dag_id": "d",
        "dag_run_id": "r",
        "state": "failed",
        "logical_date": "2026-01-02T00:00:00+00:00",
        "fileloc": str(path),
        "relative_fileloc": path.name,
        "callback": callback,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tradewind.worker.callback"],
        input=orjson.dumps(request),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_of_a_dag(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path / "f.py", which="on_failure", reason="a final task failed")
    assert (code, out) == (0, "r a final task failed t a final task failed 2026-01-02\n")


def test_of_a_task(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path / "f.py", which="on_failure", reason="killed", task_id="t", try_number=2)
    assert (code, out) == (0, "r killed t killed 2026-01-02\n")


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    code, out, err = run(tmp_path / "f.py", which="on_success", reason="done")
    assert code == 1
    assert "ValueError: broken" in err
    assert out == "async done\n"


def test_the_system_cannot_be_asked(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "f.py", which="on_retry", reason="x", task_id="t")
    assert code == 1
    assert "cannot be asked in a callback" in err


def test_a_task_that_is_gone(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "f.py", which="on_failure", reason="x", task_id="gone")
    assert code == 1
    assert "has no task 'gone' any more" in err
