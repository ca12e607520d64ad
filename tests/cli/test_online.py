"""Commands against a real PostgreSQL, without a runtime and with one in another thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tradewind.config import load_config
from tradewind.database import open_store
from tradewind.host import Runtime
from tradewind.services.bundle_watcher import BundleWatcher

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself


@pytest.fixture
def database(database_url: str, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty, migrated database that the configuration names."""
    monkeypatch.setenv("TRADEWIND__DATABASE__URL", database_url)
    assert run("db", "migrate").exit_code == 0
    return database_url


@pytest.fixture
def published(database: str, home: Path) -> None:
    """The DAGs of the home are in the database; no runtime is left."""

    async def work() -> None:
        config = load_config()
        async with open_store(config) as store:
            lease = await store.runtime_join("test")
            watcher = BundleWatcher(store, lambda: lease, config, lambda ids: None)
            task = asyncio.create_task(watcher.run())
            async with asyncio.timeout(60):
                await watcher.ready.wait()
            task.cancel()
            await asyncio.wait([task])
            await store.runtime_leave(lease)

    asyncio.run(work())


@contextmanager
def running() -> Generator[None, None, None]:
    """A runtime in a thread of its own, for the time of the block."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    failed: list[BaseException] = []

    async def live() -> None:
        try:
            async with Runtime(load_config(overrides={"scheduler.drain_timeout": 1})) as runtime:
                await runtime.files_loaded()
                ready.set()
                await stop.wait()
        except BaseException as error:
            failed.append(error)
            ready.set()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(live())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        with contextlib.suppress(RuntimeError):  # it has failed, and its loop is closed
            loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        if failed:
            raise failed[0]


@pytest.mark.spec("1:11:airflow db init", "3:K03", "3:UC7")
def test_migrating(database_url: str, run: Run) -> None:
    before = run("db", "check", "--database", database_url)
    assert before.exit_code == 3
    assert "tradewind db migrate" in before.output
    first = run("db", "migrate", "--database", database_url)
    assert "Running upgrade  -> 0001, first" in first.output
    assert "up to date" in run("db", "upgrade", "--database", database_url).output
    assert run("db", "check", "--database", database_url).exit_code == 0


@pytest.mark.parametrize("command", ["check", "migrate", "reset"])
def test_a_server_that_is_too_old(database_url: str, run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("tradewind.store.migrate.OLDEST_SERVER", 99)  # so this one, the newest, is too old
    result = run("db", command, *(["--yes"] if command == "reset" else []), "--database", database_url)
    assert result.exit_code == 3
    said = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert "PostgreSQL 18" in said[0]
    assert "Upgrade the server, or set no database URL" in said[0]


@pytest.mark.spec("3:K02")
def test_reset_asks_first(published: None, run: Run) -> None:
    assert run("db", "reset", input="n\n").exit_code == 1
    assert "demo" in run("dags", "list").output
    assert run("db", "reset", "--yes").exit_code == 0
    assert "No DAGs yet" in run("dags", "list").output


def test_lists(published: None, run: Run, home: Path) -> None:
    rows = {row["dag_id"]: row for row in json.loads(run("dags", "list", "-o", "json").output)}
    assert rows["demo"]["fileloc"] == str(home / "dags" / "demo.py")
    assert rows["demo"]["is_paused"] is True
    assert rows["demo"]["schedule"] == "0 0 * * *"
    table = run("dags", "list").output.splitlines()
    assert table[0].split(" | ")[0].strip() == "dag_id"
    assert "No data found" in run("dags", "list-runs", "demo").output
    assert run("dags", "list-import-errors").output == "No import errors.\n"


@pytest.mark.spec("2:T-04")
def test_import_errors_end_with_1(database: str, home: Path, run: Run, request: pytest.FixtureRequest) -> None:
    (home / "dags" / "broken.py").write_text("from tradewind import DAG\n1/0\n")
    request.getfixturevalue("published")
    result = run("dags", "list-import-errors")
    assert result.exit_code == 1
    assert "broken.py" in result.output
    assert "ZeroDivisionError: division by zero" in result.output
    assert len(json.loads(run("dags", "list-import-errors", "-o", "json").output)) == 1


def test_requests_without_a_runtime_are_kept(published: None, run: Run) -> None:
    result = run("dags", "trigger", "demo", "--unpause")
    assert result.exit_code == 0
    assert "kept in the database" in result.output
    assert "tradewind standalone" in result.output
    assert run("dags", "trigger", "demo", "--unpause", "--wait").exit_code == 1


def test_names_that_nobody_has(published: None, run: Run) -> None:
    result = run("dags", "trigger", "dmo")
    assert result.exit_code == 1
    assert "Did you mean 'demo'?" in result.output
    assert run("dags", "state", "demo").output == "Error: DAG 'demo' has not run yet\n"
    assert run("tasks", "state", "demo", "one", "2024-01-01").exit_code == 1


def test_a_paused_dag_is_not_triggered_without_a_word(published: None, run: Run) -> None:
    result = run("dags", "trigger", "demo")
    assert result.exit_code == 1
    assert "--unpause" in result.output


@pytest.mark.spec(
    "1:11:airflow users create",
    "3:K09",
    "3:X02",
)
def test_logins(database: str, run: Run) -> None:
    args = ["--username", "ada", "--firstname", "A", "--lastname", "L", "--email", "a@example.org"]
    created = run("users", "create", *args, "--role", "Admin", "--password", "secret")
    assert created.output == 'User "ada" created with role "Admin"\n'
    assert run("users", "show", "ada").output == "ada\tAdmin\tactive\n"
    assert run("users", "create", *args, "--role", "king", "--password", "x").exit_code == 2
    assert run("users", "show", "bob").exit_code == 1


def test_every_answer_is_there_for_programs(database: str, run: Run) -> None:
    """What people get as text, as one JSON and as one YAML object."""

    def both(*args: str) -> dict[str, Any]:
        answers = [run(*args, "-o", output) for output in ("json", "yaml")]
        assert [answer.exit_code for answer in answers] == [0, 0], [answer.output for answer in answers]
        one, other = json.loads(answers[0].output), yaml.safe_load(answers[1].output)
        assert list(one) == list(other)
        found: dict[str, Any] = one
        return found

    assert both("db", "reset", "--yes")["status"] == "empty"
    with running():
        created = run("dags", "trigger", "demo", "-c", '{"n": 4}', "--unpause", "--wait", "-r", "r1", "-o", "json")
        ended = json.loads(created.stdout)
        assert (ended["dag_run_id"], ended["state"]) == ("r1", "success")
        assert "Created <DagRun demo @ " in created.stderr
        state = both("dags", "state", "demo", "r1")
        assert (state["state"], state["conf"]) == ("success", {"n": 4})
        assert both("tasks", "state", "demo", "two", "r1")["state"] == "success"
        assert both("tasks", "failed-deps", "demo", "two", "r1")["task_id"] == "two"
        assert both("dags", "pause", "demo") == {"dag_id": "demo", "is_paused": True, "applied": True}
    assert both("dags", "unpause", "demo")["applied"] is False
    assert both("dags", "trigger", "demo", "--unpause")["dag_run_id"] is None
    assert both("db", "check")["status"] == "healthy"
    assert both("db", "migrate")["applied"] == []
    lines = run("tasks", "logs", "demo", "one", "r1", "-o", "json").output.splitlines()
    assert "hello 1" in [json.loads(line)["message"] for line in lines]
    records: list[dict[str, Any]] = yaml.safe_load(run("tasks", "logs", "demo", "one", "r1", "-o", "yaml").output)
    assert len(records) == len(lines)


@pytest.mark.spec("1:11:airflow dags trigger", "1:G7", "1:G8")
def test_a_whole_run(database: str, run: Run) -> None:
    with running():
        result = run("dags", "trigger", "demo", "-c", '{"n": 4}', "--unpause", "--wait", "--run-id", "r1")
        assert result.exit_code == 0, result.output
        assert "Created <DagRun demo @ " in result.output
        assert ": r1, externally triggered: True>" in result.output
        assert "Run r1: success after" in result.output
        assert run("dags", "state", "demo", "r1").output == 'success, {"n":4}\n'
        assert run("tasks", "state", "demo", "two", "r1").output == "success\n"
        states = json.loads(run("tasks", "states-for-dag-run", "demo", "r1", "-o", "json").output)
        assert {row["task_id"]: row["state"] for row in states} == dict.fromkeys(
            ["one", "two", "say", "shown"], "success"
        )
        log = run("tasks", "logs", "demo", "say", "r1", "--follow")
        assert log.exit_code == 0
        assert " 4" in log.output
        assert "hello 1" in run("tasks", "logs", "demo", "one", "r1").output
        runs = json.loads(run("dags", "list-runs", "-d", "demo", "--state", "success", "-o", "json").output)
        assert "r1" in {row["run_id"] for row in runs}
        assert run("dags", "pause", "demo").output == "Dag: demo, paused: True\n"
        failed = run("dags", "trigger", "bad", "--unpause", "--wait", "--run-id", "r2")
        assert failed.exit_code == 1
        assert "failed: fails   tradewind tasks logs bad fails r2" in failed.output
        again = run("dags", "trigger", "bad", "--run-id", "r2")
        assert again.exit_code == 1
        assert "r2" in again.output
