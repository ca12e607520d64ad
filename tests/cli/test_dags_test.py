"""`dags test`: a whole run in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself


def test_a_good_run(run: Run, home: Path) -> None:
    result = run("dags", "test", "demo", "2024-01-05", "-c", '{"n": 4}')
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("demo 2024-01-05T00:00:00+00:00: success in ")
    for task_id in ("one", "two", "say", "shown"):
        assert f"✔ {task_id} success" in result.output
    assert not (home / "postgres").exists()


def test_a_failing_run_shows_why(run: Run) -> None:
    result = run("dags", "test", "bad")
    assert result.exit_code == 1
    assert "✘ fails failed" in result.output
    assert "ValueError: this one fails" in result.output


def test_a_broken_file(run: Run, home: Path) -> None:
    (home / "dags" / "broken.py").write_text("from tradewind import DAG\nbroken = 1 / 0\n")
    result = run("dags", "test", "broken")
    assert result.exit_code == 1
    assert f'File "{home}/dags/broken.py", line 2' in result.output


def test_threads_of_a_file_do_not_hold_up_the_end(home: Path) -> None:
    text = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    (home / "dags" / "demo.py").write_text(text + (home / "dags" / "demo.py").read_text())
    command = [sys.executable, "-m", "tradewind", "dags", "test"]
    for dag_id, code in {"demo": 0, "bad": 1, "nobody": 1}.items():
        ended = subprocess.run([*command, dag_id], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert dag_id in ended.stdout + ended.stderr


def test_a_file_that_takes_long_is_named(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.cli.dag_files.SLOW_AFTER", 0.01)
    (home / "dags" / "slow.py").write_text("import time\nfrom tradewind import DAG\ntime.sleep(0.3)\n")
    result = run("dags", "test", "nobody")
    assert result.exit_code == 1
    assert f"Still loading {home / 'dags' / 'slow.py'}" in result.output
