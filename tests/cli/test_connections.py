"""`tradewind connections`, `pools` and the encryption key, on a database of the test's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run

URI = "postgres://me:pass%3Aword@db:5432/shop?sslmode=require"


@pytest.fixture(autouse=True)
def on_database(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """The commands work on a database of the test's own, without a daemon."""
    monkeypatch.setenv("TRADEWIND__DATABASE__URL", database_url)
    assert run("db", "migrate").exit_code == 0


def test_the_life_of_a_connection(run: Run) -> None:
    added = run("connections", "add", "shop", "--conn-uri", URI, "--conn-description", "the shop")
    assert added.output == "Successfully added `conn_id`=shop : postgres://me:******@db:5432/shop\n"
    twice = run("connections", "add", "shop", "--conn-uri", URI)
    assert (twice.exit_code, "already exists" in twice.output) == (1, True)
    [found] = json.loads(run("connections", "get", "shop", "-o", "json").output)
    assert (found["host"], found["port"], found["password"], found["description"]) == (
        "db",
        5432,
        "pass:word",
        "the shop",
    )
    assert (found["extra_dejson"], found["get_uri"]) == ({"sslmode": "require"}, URI)
    listed = run("connections", "list", "-o", "json")
    assert [row["conn_id"] for row in json.loads(listed.output)] == ["shop"]
    assert "pass:word" not in listed.output
    assert run("connections", "delete", "shop").exit_code == 0
    gone = run("connections", "delete", "shop")
    assert (gone.exit_code, "Did not find a connection with `conn_id`=shop" in gone.output) == (1, True)
    assert "AIRFLOW_CONN_SHOP" in run("connections", "get", "shop").output


@pytest.mark.spec("1:11:airflow connections add")
def test_single_fields_and_the_id_at_the_end(run: Run) -> None:
    fields = "--conn-type postgres --conn-host localhost --conn-login postgres --conn-password mysecretpassword"
    assert run("connections", "add", *fields.split(), "my_postgres").exit_code == 0
    [found] = json.loads(run("connections", "get", "my_postgres", "-o", "json").output)
    assert (found["conn_type"], found["password"]) == ("postgres", "mysecretpassword")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--conn-type"),
        (["--conn-host", "h"], "--conn-type is missing"),
        (["--conn-uri", URI, "--conn-host", "h"], "do not go together"),
        (["--conn-uri", "no scheme"], "scheme"),
        (["--conn-json", "[1]"], "JSON object"),
        (["--conn-json", '{"hots": "h"}'], "hots"),
        (["--conn-type", "http", "--conn-extra", "{bad"], "--conn-extra is not JSON"),
        (["--conn-type", "http", "--conn-extra", "[1]"], "--conn-extra has to be a JSON object"),
    ],
)
def test_bad_connections_are_refused(run: Run, given: list[str], said: str) -> None:
    wrong = run("connections", "add", "c", *given)
    assert (wrong.exit_code, said in wrong.output) == (2, True), wrong.output


@pytest.mark.parametrize("form", ["json", "yaml", "env", "env-json"])
def test_export_and_import_give_the_same(run: Run, home: Path, form: str) -> None:
    run("connections", "add", "shop", "--conn-uri", URI)
    run("connections", "add", "web", "--conn-json", '{"conn_type": "http", "host": "h", "extra": {"a": [1]}}')
    before = json.loads(run("connections", "list", "-o", "json").output)
    kind = form.partition("-")[0]
    file = home / f"all.{kind}"
    more = ["--serialization-format", "json"] if form == "env-json" else []
    assert run("connections", "export", str(file), *more).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    for conn_id in ("shop", "web"):
        run("connections", "delete", conn_id)
    done = run("connections", "import", str(file))
    assert (done.exit_code, "2 of 2 connections imported." in done.output) == (0, True), done.output
    after = json.loads(run("connections", "list", "-o", "json").output)
    assert [{k: v or None for k, v in row.items()} for row in after] == [
        {k: v or None for k, v in row.items()} for row in before
    ]
    [web] = json.loads(run("connections", "get", "web", "-o", "json").output)
    assert web["extra_dejson"] == {"a": [1]}


def test_import_goes_on_over_bad_entries_and_names_them(run: Run, home: Path) -> None:
    run("connections", "add", "old", "--conn-uri", "http://old")
    file = home / "some.json"
    file.write_text(json.dumps({"old": "http://new", "good": {"conn_type": "http"}, "bad": 3, "worse": {"hots": 1}}))
    done = run("connections", "import", str(file))
    assert done.exit_code == 1
    for part in ("Imported connection good", "connection old: connection already", "connection bad:", "hots", "1 of 4"):
        assert part in done.output
    assert run("connections", "import", str(file), "--overwrite").exit_code == 1
    assert '"new"' in run("connections", "get", "old", "-o", "json").output


def test_trying_and_default_connections(run: Run, home: Path) -> None:
    run("connections", "add", "here", "--conn-type", "fs", "--conn-extra", json.dumps({"path": str(home)}))
    run("connections", "add", "there", "--conn-type", "fs", "--conn-extra", json.dumps({"path": str(home / "no")}))
    assert "Connection success!" in run("connections", "test", "here").output
    failed = run("connections", "test", "there")
    assert (failed.exit_code, "does not exist" in failed.output) == (1, True)
    assert "postgres_default" in run("connections", "create-default-connections").output
    assert run("connections", "create-default-connections").output == "0 connections made\n"


def test_pools(run: Run, home: Path) -> None:
    assert run("pools", "set", "small", "2", "for few", "--include-deferred").output == "Pool small created\n"
    assert run("pools", "set", "wide", "-1").exit_code == 0
    [small] = json.loads(run("pools", "get", "small", "-o", "json").output)
    assert (small["slots"], small["open"], small["description"], small["include_deferred"]) == (2, 2, "for few", True)
    file = home / "pools.json"
    assert "Exported 3 pools" in run("pools", "export", str(file)).output
    assert run("pools", "delete", "small").exit_code == 0
    kept = run("pools", "delete", "default_pool")
    assert (kept.exit_code, "cannot be deleted" in kept.output) == (1, True)
    assert "there is no pool 'small'" in run("pools", "delete", "small").output
    assert run("pools", "import", str(file)).output == "Uploaded 3 pool(s)\n"
    file.write_text('{"a": {"slots": 1}, "b": {"slots": "x"}}')
    some = run("pools", "import", str(file))
    assert (some.exit_code, "Uploaded 1 pool(s)" in some.output, "'b'" in some.output) == (1, True, True)
    names = [row["pool"] for row in json.loads(run("pools", "list", "-o", "json").output)]
    assert names == ["a", "default_pool", "small", "wide"]
    assert run("pools", "set", "x", "-2").exit_code == 2


@pytest.mark.spec("3:UC11", "3:F03")
def test_keys_are_changed(run: Run, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    old, new = run("generate-fernet-key").output.strip(), run("generate-fernet-key").output.strip()
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", old)
    run("variables", "set", "v", "1")
    run("connections", "add", "c", "--conn-uri", "http://h")
    (home / "key").write_text(new)
    monkeypatch.delenv("AIRFLOW__CORE__FERNET_KEY")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY_CMD", f"cat {shlex.quote(str(home / 'key'))}")
    wrong = run("variables", "get", "v")
    assert (wrong.exit_code, "variable 'v' was encrypted with another key" in wrong.output) == (2, True)
    assert "AIRFLOW__CORE__FERNET_KEY_CMD" in wrong.output
    assert run("rotate-fernet-key").exit_code == 1
    (home / "key").write_text(f"{new},{old}")
    assert run("rotate-fernet-key").output == "2 encrypted anew, 0 were under the first key already.\n"
    (home / "key").write_text(new)
    assert run("variables", "get", "v").output == "1\n"
