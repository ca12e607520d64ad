"""`dags test`: a whole run in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


def test_what_tasks_print_is_shown_with_their_names(run: Run) -> None:
    lines = run("dags", "test", "demo", "2024-01-05").output.splitlines()
    assert "[one] hello 1" in lines
    assert "[say] 2024-01-05 none" in lines
    assert lines.index("[one] hello 1") < next(n for n, line in enumerate(lines) if line.startswith("✔ shown"))


WAITING = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.decorators import task
from airflow.exceptions import AirflowException
from airflow.sensors.date_time import DateTimeSensor
from airflow.sensors.python import PythonSensor

asked = []
with DAG("waits", schedule="@daily", start_date=datetime(2024, 1, 1)) as dag:
    @task(retries=2, retry_delay=timedelta(hours=1))
    def thrice():
        raise AirflowException("never")

    @task
    def slow(ti=None):
        import time
        time.sleep(0.2)
        asked.append("slow")
        ti.xcom_push("when", datetime(2024, 1, 1))
        return {"n": [1, 2]}

    there = PythonSensor(
        task_id="there", python_callable=lambda: "slow" in asked, poke_interval=3600, timeout=86400
    )
    other = PythonSensor(
        task_id="other", python_callable=lambda: "slow" in asked, poke_interval=3600, timeout=86400, mode="reschedule"
    )
    never = PythonSensor(task_id="never", python_callable=lambda: False, poke_interval=3600, soft_fail=True)
    late = PythonSensor(task_id="late", python_callable=lambda: False, poke_interval=3600, timeout=86400)
    soon = DateTimeSensor(
        task_id="soon", target_time="{{ macros.datetime.now(logical_date.tzinfo) + macros.timedelta(hours=3) }}"
    )
    slow(), thrice()
"""


def test_the_answer_for_programs_and_skipped_waiting(run: Run, home: Path) -> None:
    """A sensor that waits for another task still sees it done, though its day passes at once."""
    (home / "waits.py").write_text(WAITING)
    command = ("dags", "test", "waits", "2024-03-03", "--file", str(home / "waits.py"), "--output", "json", "--no-wait")
    result = run(*command)
    assert result.exit_code == 1
    answer = json.loads(result.output.splitlines()[-1])
    assert answer["state"] == "failed"
    assert answer["logical_date"] == "2024-03-03T00:00:00+00:00"
    assert answer["data_interval"] == ["2024-03-02T00:00:00+00:00", "2024-03-03T00:00:00+00:00"]
    assert answer["tis"] == [
        ["late", -1, "failed", 1],
        ["never", -1, "skipped", 1],
        ["other", -1, "success", 1],
        ["slow", -1, "success", 1],
        ["soon", -1, "success", 1],
        ["there", -1, "success", 1],
        ["thrice", -1, "failed", 3],
    ]
    assert answer["xcoms"] == [
        ["slow", -1, "return_value", {"n": [1, 2]}],
        ["slow", -1, "when", {"__type__": "datetime"}],
    ]
    assert answer["errors"] == {"late[-1]": "AirflowSensorTimeout", "thrice[-1]": "AirflowException"}


def test_what_no_output_can_encode_is_an_escape(home: Path) -> None:
    """A real standard output: the one of tests takes everything."""
    code = "from tradewind import DAG, task\nwith DAG('half'):\n    @task\n    def f(): return 'ä\\ud800'\n    f()\n"
    (home / "half.py").write_text(code)
    command = ("dags", "test", "half", "--file", str(home / "half.py"), "--output", "json")
    done = subprocess.run([sys.executable, "-m", "tradewind", *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["xcoms"] == [["f", -1, "return_value", "ä\ud800"]]


def test_the_answer_in_every_form(run: Run) -> None:
    answers = {form: run("dags", "test", "demo", "2024-01-05", "--output", form) for form in ("table", "json", "yaml")}
    assert "demo 2024-01-05T00:00:00+00:00: success in " in answers["table"].stdout
    assert yaml.safe_load(answers["yaml"].stdout) == json.loads(answers["json"].stdout)


def test_what_never_ends_is_ended_and_named(run: Run, home: Path) -> None:
    text = "from tradewind import DAG, PythonSensor\nwith DAG('waits', schedule=None):\n"
    (home / "waits.py").write_text(text + "    PythonSensor(task_id='never', python_callable=lambda: False)\n")
    result = run("dags", "test", "waits", "-S", str(home / "waits.py"), "--timeout", "0.5")
    assert result.exit_code == 1
    assert "never had not ended after 0.5 s: it is running (try 1)" in result.output


ASKS = """
from dataclasses import dataclass
from tradewind import DAG, signal, task

@dataclass
class Release:
    ok: bool

with DAG("asks", schedule=None):

    @task(durable=True)
    async def decide(ctx):
        await ctx.ask(Release, to="team", subject="Release it?")

    @task(durable=True)
    async def listen(ctx, n):
        await ctx.wait_for(signal("go"), timeout=3600)

    @task(durable=True)
    async def has_a_default(ctx):
        await ctx.ask(Release, timeout=0.01, default=Release(False))

    decide(), listen.expand(n=[1, 2]), has_a_default()
"""


def test_whoever_waits_for_people_says_so(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there who could answer: what waits for them is told once a task, with what to do about it."""
    monkeypatch.setattr("tradewind.trial_watch.TOLD_AFTER", 0.3)
    (home / "asks.py").write_text(ASKS)
    result = run("dags", "test", "asks", "-S", str(home / "asks.py"), "--timeout", "2")
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if "nobody" in line]
    assert len(told) == 2
    (decide,) = [line for line in told if line.startswith("decide waits for an answer to 'Release it?'")]
    assert "tradewind inputs answer asks decide --set" in decide
    assert "default" in decide
    assert "--timeout" in decide
    (listen,) = [line for line in told if line.startswith("listen waits for the signal 'go' until ")]
    assert "tradewind tasks signal asks listen go" in listen
    assert "--no-wait" in listen


def test_marked_tasks_and_own_executors(run: Run) -> None:
    result = run("dags", "test", "bad", "--mark-success-pattern", "fails")
    assert result.exit_code == 0, result.output
    assert "✔ fails success" in result.output
    result = run("dags", "test", "demo", "2024-01-05", "--use-executor")
    assert result.exit_code == 0, result.output
    assert "[one] hello 1" in result.output
    result = run("dags", "test", "demo", "--use-executor", "--no-wait")
    assert (result.exit_code, "skips no time in other processes" in result.output) == (2, True)
    result = run("dags", "test", "bad", "--mark-success-pattern", "[")
    assert result.exit_code == 1
    assert "mark_success_pattern: '[' is no regular expression" in result.output
