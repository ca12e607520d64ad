"""`tradewind variables`, on a database of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def on_database(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work on a database of the test's own, without a daemon."""
    monkeypatch.setenv("TRADEWIND__DATABASE__URL", database_url)


@pytest.mark.usefixtures("on_database")
def test_the_life_of_a_variable(run: Run, home: Path) -> None:
    assert run("db", "migrate").exit_code == 0
    assert run("variables", "set", "a", "1", "--description", "what for").output == "Variable a created\n"
    assert run("variables", "get", "a").output == "1\n"
    assert run("variables", "set", "--json", "j", '{"x": [1]}').exit_code == 0
    assert run("variables", "get", "--json", "j").output == '{"x": [1]}\n'
    missing = run("variables", "get", "nope")
    assert (missing.exit_code, "Variable nope does not exist" in missing.output) == (1, True)
    assert run("variables", "get", "nope", "--default", "d").output == "d\n"
    listed = json.loads(run("variables", "list", "-o", "json").output)
    assert [(row["key"], row["description"]) for row in listed] == [("a", "what for"), ("j", None)]
    assert run("variables", "delete", "a").output == "Variable a deleted\n"
    assert run("variables", "delete", "a").exit_code == 1
    for key in ("", "k" * 251):
        assert "1 to 250 characters" in run("variables", "set", key, "x").output


@pytest.mark.usefixtures("on_database")
def test_export_and_import_give_the_same(run: Run, home: Path) -> None:
    run("db", "migrate")
    texts = {"t": "text", "n": "1", "j": '{"a": 1}', "odd": '{"a":1}', "q": '"quoted"'}
    for key, text in texts.items():
        run("variables", "set", key, text, "--description", "d" if key == "t" else "")
    file = home / "all.json"
    assert "5 variables successfully exported" in run("variables", "export", str(file)).output
    assert file.stat().st_mode & 0o777 == 0o600
    for key in texts:
        run("variables", "delete", key)
    assert run("variables", "import", str(file)).output == "5 of 5 variables successfully updated.\n"
    for key, text in texts.items():
        assert run("variables", "get", key).output == text + "\n"


@pytest.mark.usefixtures("on_database")
def test_import_goes_on_over_bad_entries_and_names_them(run: Run, home: Path) -> None:
    run("db", "migrate")
    file = home / "some.yaml"
    file.write_text("good: {value: 1, description: one}\nbad: [1, 2]\nold: new\n")
    run("variables", "set", "old", "old")
    done = run("variables", "import", str(file), "-a", "skip")
    assert done.exit_code == 1
    assert "1 of 3 variables successfully updated." in done.output
    assert "variable 'bad': 'bad' has 2 values" in done.output
    assert "'old' is there already: skipped" in done.output
    assert run("variables", "get", "old").output == "old\n"
    refused = run("variables", "import", str(file), "-a", "fail")
    assert (refused.exit_code, "good, old already exist" in refused.output) == (1, True)
    (home / "v.env").write_text("# settings\nX=a=b\n")
    assert run("variables", "import", str(home / "v.env")).exit_code == 0
    assert run("variables", "get", "X").output == "a=b\n"
    for name, text, said in (
        ("a.json", "[1]", "no object"),
        ("b.json", '{"a": 1, "a": 2}', "twice"),
        ("c.txt", "", ".yaml"),
    ):
        (home / name).write_text(text)
        wrong = run("variables", "import", str(home / name))
        assert (wrong.exit_code, said in wrong.output) == (2, True), wrong.output
