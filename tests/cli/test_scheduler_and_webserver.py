"""`tradewind scheduler` and `tradewind webserver` as two processes of one shell, with Airflow's variables."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cli.test_standalone import SECONDS, environment, own_home
from tests.web.conftest import basic

pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]

__all__ = ["own_home"]  # the fixture


def variables(home: Path) -> dict[str, str]:
    """The environment of somebody who has only ever known Airflow's variables."""
    kept = {name: text for name, text in environment(home).items() if name != "TRADEWIND_HOME"}
    return {**kept, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


class Shell:
    """A shell in which commands are started with `&`."""

    def __init__(self, home: Path) -> None:
        script = 'set -m; while read -r line; do eval "$line"; done; kill -INT $(jobs -p); wait'
        self.process = subprocess.Popen(
            ["bash", "-c", script],
            env=variables(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            self._lines.put(line)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, name: str) -> str:
        """What stands behind this name in a line of its own."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {name!r} in: {''.join(self.said)}") from None
            found, _, text = line.strip().partition("  ")
            if found == name:
                return text.strip()

    def close(self) -> None:
        """The end of the input; both commands get what Ctrl-C gives."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
            self._reader.join(SECONDS)
            assert self.process.stdout is not None
            self.process.stdout.close()


@contextlib.contextmanager
def shell(home: Path) -> Generator[Shell]:
    opened = Shell(home)
    try:
        yield opened
    finally:
        opened.close()


def asked(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def airflow(home: Path, *args: str) -> str:
    """What a command prints; it has to succeed."""
    command = [sys.executable, "-m", "tradewind", *args]
    done = subprocess.run(command, env=variables(home), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.spec("1:11:airflow webserver", "3:L01", "3:L02", "3:L03", "3:L04")
def test_two_commands_in_one_shell(own_home: Path) -> None:
    airflow(own_home, "db", "init")
    python = f"{shlex.quote(sys.executable)} -m tradewind"
    with shell(own_home) as terminal:
        terminal.type(f"{python} scheduler --dags {own_home}/dags &")
        terminal.until("Stop")
        terminal.type(f"{python} webserver -p 0 --access_logfile access.log --error_logfile logs/web/error.log &")
        url = terminal.until("Pages")
        login = basic(*terminal.until("Login").split(" / "))
        status, text = asked(f"{url}/api/v1/dags?limit=5", **login, Referer=f"{url}/dags?token=hidden")
        assert (status, "demo" in text) == (200, True), text
        asked(f"{url}/api/v1/nowhere", **{"User-Agent": 'a "quoted" one'})
        assert "success" in airflow(own_home, "dags", "trigger", "demo", "--unpause", "--wait", "-r", "one")
        assert "hello 1" in asked(f"{url}/api/v1/dags/demo/dagRuns/one/taskInstances/one/logs/1", **login)[1]
    lines = (own_home / "access.log").read_text().splitlines()
    first = next(line for line in lines if "/api/v1/dags " in line)
    assert first.startswith("127.0.0.1 - - [")
    assert re.search(rf'"GET /api/v1/dags HTTP/1\.1" 200 \d+ "{url}/dags" "Python-urllib/', first), first
    assert "hidden" not in "".join(lines)
    assert any(r'"a \"quoted\" one"' in line for line in lines)
    server = (own_home / "logs/web/error.log").read_text()
    assert "listening on http://127.0.0.1:" in server
    assert ", process " in server
    assert not any("listening" in line or "GET /" in line for line in terminal.said), "they are in their files"
    task_logs = [path.relative_to(own_home / "logs").as_posix() for path in (own_home / "logs").rglob("*.jsonl")]
    assert "dag_id=demo/run_id=one/task_id=one/attempt=1.jsonl" in task_logs


@pytest.mark.spec("2:0:CLI", "2:0:Env", "3:F04", "1:15:AIRFLOW_HOME")
def test_the_home_is_airflows_and_may_be_relative(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`db init` makes the database there; DAG files, logs and keys are there; `tasks test` records nothing."""
    monkeypatch.chdir(own_home)
    told = {**variables(own_home), "AIRFLOW_HOME": "."}
    module = [sys.executable, "-m", "tradewind"]

    def run(*args: str) -> str:
        done = subprocess.run([*module, *args], env=told, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert f"built-in PostgreSQL in {own_home}" in run("db", "init")
    assert "up to date" in run("db", "upgrade")
    assert (own_home / "postgres").is_dir()
    facts = run("info")
    assert str(own_home / "dags") in facts
    assert str(own_home / "logs") in facts
    rows = {(row["section"], row["key"]): row["value"] for row in json.loads(run("config", "list", "-o", "json"))}
    assert rows["dags", "folder"] == str(own_home / "dags")
    assert rows["logging", "folder"] == str(own_home / "logs")
    assert "hello 1" in run("tasks", "test", "demo", "one", "2024-01-01")
    assert "No DAGs yet" in run("dags", "list"), "trying a task records nothing"


def waited_for(path: Path, words: str) -> str:
    """What is in the file once these words are."""
    deadline = time.monotonic() + SECONDS
    while True:
        text = path.read_text() if path.exists() else ""
        if words in text:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


@pytest.mark.spec("3:K05", "3:K06")
def test_both_in_the_background(own_home: Path) -> None:
    """`-D`: the shell is free at once. A second one of a home is refused; more run in front, or from other homes."""
    airflow(own_home, "db", "init")
    processes: list[int] = []
    try:
        for name, *options in (("scheduler",), ("webserver", "-p0", "--access_logfile", "access.log")):
            said = airflow(own_home, name, "-D", *options)
            number = int((own_home / f"tradewind-{name}.pid").read_text())
            processes.append(number)
            assert said.startswith(f"Process {number} goes on in the background: {own_home}/tradewind-{name}.log.")
        waited_for(own_home / "tradewind-scheduler.log", "Stop")
        text = waited_for(own_home / "tradewind-webserver.log", "Stop")
        url = next(line.split()[1] for line in text.splitlines() if line.strip().startswith("Pages"))
        assert asked(f"{url}/api/v1/health")[0] == 200
        assert "success" in airflow(own_home, "dags", "trigger", "demo", "--unpause", "--wait", "-r", "one")
        assert '"GET /api/v1/health HTTP/1.1" 200 ' in waited_for(own_home / "access.log", "health")
        command = [sys.executable, "-m", "tradewind", "scheduler", "-D"]
        again = subprocess.run(
            command, env=variables(own_home), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert again.returncode == 2
        assert f"tradewind-scheduler runs already, as process {processes[0]}" in again.stderr
    finally:
        for number in processes:
            os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + SECONDS
        while any(Path(f"/proc/{number}/stat").exists() and not ended(number) for number in processes):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def ended(number: int) -> bool:
    """Whether nothing but its entry is left of the process, for whoever inherits it to take away."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
