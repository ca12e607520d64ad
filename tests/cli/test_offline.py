"""Commands that need no database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run
from tradewind.cli.main import COMMANDS
from tradewind.version import VERSION

pytestmark = pytest.mark.blocks_the_loop  # a command has the loop for itself


def test_version(run: Run) -> None:
    assert run("version").output == f"{VERSION}\n"


def test_the_module_is_the_command_and_imports_little(home: Path) -> None:
    code = """
import runpy, sys
sys.argv = ["tradewind", "version"]
try:
    runpy.run_module("tradewind", run_name="__main__")
except SystemExit:
    print(sorted({"asyncpg", "aiohttp", "rich", "pendulum", "jinja2", "asyncio"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{VERSION}\n[]\n"


def test_closed_streams_and_a_narrow_encoding(home: Path) -> None:
    code = """
import os, sys
from tradewind.cli.main import main
sys.argv = ["tradewind", "dags", "show", "demo"] if sys.stdout else ["tradewind", "config", "list"]
try:
    main()
except SystemExit:
    os.fstat(0)
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, code]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2514" in done.stdout
    command[2] += " >&-"
    assert subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False).returncode == 0


def test_answers_for_programs(run: Run) -> None:
    assert json.loads(run("version", "-o", "json").output) == {"version": VERSION}
    graph = json.loads(run("dags", "show", "demo", "-o", "json").output)
    assert {task["task_id"]: task["downstream"] for task in graph["tasks"]}["one"] == ["shown", "two"]
    fields = yaml.safe_load(run("tasks", "render", "demo", "shown", "2019-07-19", "-o", "yaml").output)
    assert fields["op_kwargs"] == {"at": "2019-07-19T00:00:00+00:00", "n": 1}


def test_ctrl_c_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tradewind.cli.options.parse_instant", interrupted)
    result = run("tasks", "render", "demo", "shown", "2019-07-19")
    assert (result.exit_code, result.stderr) == (130, "Error: interrupted\n")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_where_the_list_says(name: str, run: Run) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    assert getattr(import_module(module), attribute).name == name
    assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize("args", [["dag", "list"], ["dags", "lst"], ["dags", "list", "-o", "xml"]])
def test_wrong_usage_ends_with_2(run: Run, args: list[str]) -> None:
    assert run(*args).exit_code == 2


def test_the_nearest_command_is_named(run: Run) -> None:
    assert "Did you mean 'standalone'?" in run("standalon").output


def test_bad_configuration_ends_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND__WEB__PROT", "1")
    result = run("config", "list")
    assert result.exit_code == 2
    assert "Did you mean 'port'?" in result.output


@pytest.mark.spec("3:F02")
def test_config_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "7")
    rows = {(row["section"], row["key"]): row for row in json.loads(run("config", "list", "-o", "json").stdout)}
    assert rows["core", "parallelism"]["value"] == "7"
    assert rows["core", "parallelism"]["source"] == "environment AIRFLOW__CORE__PARALLELISM"
    assert rows["dags", "load_examples"]["source"].startswith("file ")
    changed = json.loads(run("config", "list", "--changed", "-o", "json").stdout)
    assert {row["key"] for row in changed} == {"parallelism", "load_examples"}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("web", "port", "8080"), ("webserver", "web_server_port", "8080"), ("core", "load_examples", "false")],
)
def test_config_get_value(run: Run, section: str, key: str, value: str) -> None:
    assert run("config", "get-value", section, key).output == f"{value}\n"


def test_info(run: Run, home: Path) -> None:
    found = yaml.safe_load(run("info", "-o", "yaml").output)
    assert found["version"] == VERSION
    assert found["home"] == str(home)
    assert "inline" in found["executors"]


def test_dags_show(run: Run) -> None:
    assert run("dags", "show", "demo").output.splitlines() == [
        "demo (0 0 * * *, 4 tasks)",
        "one [@task]",
        "├── shown [PythonOperator]",
        "│   └── say [BashOperator]",
        "└── two [@task]",
        "    └── say [BashOperator] (*)",
    ]


def test_dags_show_saves(run: Run, tmp_path: Path) -> None:
    dot, mermaid = tmp_path / "x.dot", tmp_path / "x.mmd"
    assert run("dags", "show", "demo", "--save", str(dot)).exit_code == 0
    assert '  "one" -> "two";' in dot.read_text()
    assert run("dags", "show", "demo", "--save", str(mermaid)).exit_code == 0
    assert mermaid.read_text().startswith("flowchart LR\n")
    assert run("dags", "show", "demo", "--save", str(tmp_path / "x.bmp")).exit_code == 2


def test_an_unknown_dag_names_the_nearest_and_what_is_broken(run: Run, home: Path) -> None:
    (home / "dags" / "broken.py").write_text("from tradewind import DAG\n1/0\n")
    result = run("dags", "show", "demos")
    assert result.exit_code == 1
    assert "there is no DAG 'demos'" in result.output
    assert "Did you mean 'demo'?" in result.output
    assert "ZeroDivisionError" in result.output


def test_subdir(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.py"
    file.write_text("from tradewind import DAG\nd = DAG('far', schedule=None)\n")
    assert run("tasks", "list", "far", "-S", str(file)).exit_code == 0
    assert run("tasks", "list", "far").exit_code == 1


def test_tasks_list(run: Run) -> None:
    assert run("tasks", "list", "demo").output.split() == ["one", "say", "shown", "two"]
    rows = json.loads(run("tasks", "list", "demo", "-o", "json").output)
    assert {row["task_id"]: row["upstream"] for row in rows}["say"] == ["shown", "two"]
    assert run("tasks", "list", "demo", "--tree").output.startswith("one [@task]\n├── ")


@pytest.mark.spec("1:11:airflow tasks render", "1:J6")
def test_tasks_render(run: Run) -> None:
    rule = "# " + "-" * 58
    output = run("tasks", "render", "demo", "shown", "2019-07-19T00:00:00").output
    head = [rule, "# property: templates_dict", rule, "None", "", rule, "# property: op_args", rule, "[]"]
    assert output.splitlines()[:9] == head
    assert output.splitlines()[-2:] == ["{'at': '2019-07-19T00:00:00+00:00', 'n': 1}", ""]
    conf = run("tasks", "render", "demo", "say", "2019-07-19", "--conf", '{"n": 4}').output
    assert "echo 2019-07-19 4" in conf


@pytest.mark.spec("1:11:airflow tasks test", "2:T-51", "3:K11")
def test_tasks_test(run: Run) -> None:
    result = run("tasks", "test", "demo", "one", "2020-01-01")
    assert result.exit_code == 0
    assert "hello 1" in result.output
    assert "Starting attempt 1 of 1" in result.output
    assert "Marking task as SUCCESS" in result.output


def test_tasks_test_of_a_failing_task(run: Run) -> None:
    result = run("tasks", "test", "bad", "fails")
    assert result.exit_code == 1
    assert "ValueError: this one fails" in result.output


def test_tasks_test_answers_programs(run: Run) -> None:
    """What the task says is on standard error, the answer alone on standard output."""
    good = run("tasks", "test", "demo", "one", "2020-01-01", "-o", "json")
    answer = json.loads(good.stdout)
    assert (answer["outcome"], answer["xcoms"]) == ("success", {"return_value": 2})
    assert "hello 1" in good.stderr
    bad = run("tasks", "test", "bad", "fails", "-o", "yaml")
    assert bad.exit_code == 1
    assert yaml.safe_load(bad.stdout)["error"]["message"] == "this one fails"


def test_tasks_test_of_a_task_that_is_not_there(run: Run) -> None:
    result = run("tasks", "test", "demo", "nope")
    assert result.exit_code == 1
    assert "has no task 'nope'" in result.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["tasks", "render", "demo", "say", "yesterday"], "'yesterday' is not a date"),
        (["tasks", "test", "demo", "say", "--conf", "{"], "is not JSON"),
        (["tasks", "test", "demo", "say", "--conf", "[1]"], "not an object"),
        (["tasks", "test", "demo", "say", "--conf", "@/no/such/file"], "cannot be read"),
        (["run", "--roles", "cook"], "cook is no role"),
        (["standalone", "--database", "mysql://u:pw@h/db"], "PostgreSQL"),
    ],
)
def test_bad_values_end_with_2(run: Run, args: list[str], said: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.output


def test_a_database_that_cannot_be_reached_ends_with_3(run: Run) -> None:
    result = run("db", "check", "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert result.exit_code == 3
    assert "127.0.0.1" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, shell: str) -> None:
    assert "_TRADEWIND_COMPLETE" in run("completion", shell).output
