"""`tradewind standalone` as users start it: a process, its pages, Ctrl-C, and the next start."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import DEMO
from tests.web.conftest import basic

pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]
SECONDS = 120.0
BANNER = [
    "Starting Tradewind …",
    "Tradewind",
    "Pages",
    "Login",
    "DAG files",
    "Logs",
    "Database",
    "Stop",
    "DAGs",
]
"""All that a start says, a line each: nothing is said twice."""


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A home with DAG files. Not `tmp_path`: a server that runs as another user has to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="tradewind-cli-"))
    (folder / "dags").mkdir()
    (folder / "dags" / "demo.py").write_text(DEMO)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
    return {**kept, "TRADEWIND_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


def tradewind(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tradewind", *args]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False)


@contextlib.contextmanager
def standalone(home: Path, **variables: str) -> Generator[tuple[subprocess.Popen[str], dict[str, str]], None, None]:
    """The process, and what it printed: `Pages` to its URL and so on."""
    command = [sys.executable, "-m", "tradewind", "standalone", "--port", "0", "--no-examples"]
    with subprocess.Popen(
        command, env=environment(home) | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines))
        reader.start()
        try:
            yield process, _what_is_where(lines)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)
            reader.join(SECONDS)


def _read(stream: Iterable[str], lines: queue.Queue[str]) -> None:
    with contextlib.suppress(OSError):  # how a terminal ends that nobody has open any more
        for line in stream:
            lines.put(line)


def _what_is_where(lines: queue.Queue[str]) -> dict[str, str]:
    deadline, found = time.monotonic() + SECONDS, dict[str, str]()
    while "DAGs" not in found:
        line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
        name, _, text = line.strip().partition("  ")
        found[name] = text.strip()
    return found


def health(url: str) -> object:
    with urllib.request.urlopen(f"{url}/api/v1/health", timeout=SECONDS) as answer:
        return json.load(answer)


def each_change(url: str, headers: Mapping[str, str], *kinds: str) -> Generator[None]:
    """Goes round once at first and then for each event of these kinds. Fails when that takes too long."""
    end = time.monotonic() + SECONDS
    asked = urllib.request.Request(f"{url.rstrip('/')}/api/v1/events", headers=dict(headers))
    with urllib.request.urlopen(asked, timeout=SECONDS) as events:
        yield
        for line in events:
            assert time.monotonic() < end, "what is waited for does not come"
            if line.startswith(b"event: ") and line.decode().split()[1] in kinds:
                yield


@pytest.mark.spec("1:C7", "3:A06")
def test_start_use_stop_and_start_again(own_home: Path) -> None:
    (own_home / "dags" / "broken.py").write_text("from tradewind import DAG, nothing_of_this_name\n")
    with standalone(own_home) as (process, where):
        assert where["DAGs"].startswith("2, read after ")
        assert where["DAGs"].endswith(" s; a file has an error: tradewind dags list-import-errors")
        assert where["DAG files"] == str(own_home / "dags")
        assert where["Login"].startswith("admin / ")
        login = basic(*where["Login"].split(" / "))
        assert where["Database"] == f"PostgreSQL in {own_home}"
        assert "healthy" in json.dumps(health(where["Pages"]))
        done = tradewind(own_home, "dags", "trigger", "demo", "--unpause", "--wait", "-r", "first")
        assert done.returncode == 0, done.stdout + done.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0

    # nothing runs: a command starts the database, asks it, and stops it again
    asked = tradewind(own_home, "dags", "state", "demo", "first")
    assert (asked.stdout, asked.returncode) == ("success\n", 0), asked.stderr
    kept = tradewind(own_home, "dags", "trigger", "demo", "-r", "second")
    assert "kept in the database" in kept.stdout, kept.stdout + kept.stderr

    with standalone(own_home) as (process, where):
        assert "password in" in where["Login"]
        for _ in each_change(where["Pages"], login, "run"):
            if tradewind(own_home, "dags", "state", "demo", "second").stdout == "success\n":
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


PRINTS = """
from tradewind import DAG, task

with DAG("prints", schedule=None, is_paused_upon_creation=False):
    @task
    async def says():
        print("into the log")

    says()
"""

TAKE_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_on_a_terminal(own_home: Path) -> None:
    """It says where everything is, prints of coroutines go to their logs, and Ctrl-C is the key."""
    (own_home / "dags" / "prints.py").write_text(PRINTS)
    terminal, inside = os.openpty()
    command = [sys.executable, "-c", TAKE_THE_TERMINAL, "-m", "tradewind", "standalone", "--port", "0", "--no-examples"]
    with os.fdopen(terminal, "rb+", buffering=0) as keys, os.fdopen(terminal, closefd=False) as shown:
        process = subprocess.Popen(
            command, env=environment(own_home), stdin=inside, stdout=inside, stderr=inside, start_new_session=True
        )
        os.close(inside)
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_read, args=(shown, lines))
        reader.start()
        try:
            where = _what_is_where(lines)
            assert [name for name in where if "WARNING" not in name] == BANNER
            assert where["Tradewind"].endswith(f" s, process {process.pid}")
            done = tradewind(own_home, "dags", "trigger", "prints", "--wait", "-r", "first")
            assert done.returncode == 0, done.stdout + done.stderr
            log = tradewind(own_home, "tasks", "logs", "prints", "says", "first")
            assert "into the log" in log.stdout, log.stdout + log.stderr
            keys.write(b"\x03")
            assert process.wait(SECONDS) == 0
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)
            reader.join(SECONDS)
        assert "into the log" not in "".join(lines.queue)


RUDE = """
import asyncio
import sys

from tradewind import DAG, task

for name in ("stops_the_loop", "exits_in_a_callback", "never_lets_go", "harmless"):
    with DAG(name, schedule=None, is_paused_upon_creation=False):

        @task(task_id=name)
        async def body(name=name):
            if name == "stops_the_loop":
                asyncio.get_running_loop().stop()
            elif name == "exits_in_a_callback":
                asyncio.get_running_loop().call_soon(sys.exit, 3)
            while name == "never_lets_go":
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass
            await asyncio.sleep(0)

        body()
"""


@pytest.fixture
def not_under_nohup() -> Iterator[None]:
    """What is started hears of a closed terminal, also where these tests do not."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("not_under_nohup")
def test_coroutines_that_attack_the_loop_stop_nothing(own_home: Path) -> None:
    (own_home / "dags" / "rude.py").write_text(RUDE)
    with standalone(own_home, TRADEWIND__SCHEDULER__DRAIN_TIMEOUT="0.2") as (process, where):
        assert tradewind(own_home, "dags", "trigger", "never_lets_go").returncode == 0
        for name in ("stops_the_loop", "exits_in_a_callback", "harmless"):
            done = tradewind(own_home, "dags", "trigger", name, "--wait", "-r", "first")
            if done.returncode != 0:
                log = tradewind(own_home, "tasks", "logs", name, name, "first")
                pytest.fail(done.stdout + done.stderr + log.stdout + log.stderr)
        assert "healthy" in json.dumps(health(where["Pages"]))
        process.send_signal(signal.SIGHUP)  # the terminal has been closed: as Ctrl-C, however often it is said
        process.send_signal(signal.SIGHUP)
        assert process.wait(SECONDS) == 0
