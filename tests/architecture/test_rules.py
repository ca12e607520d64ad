"""Rules of the house that no other tool checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.architecture.tree import ROOT, parsed, python_files, shown, source_files

# A statement opens with its verb and goes on like SQL; prose that only begins with such a word does not match.
_SQL = re.compile(
    r"^\s*(?:"
    r"SELECT\s[\s\S]*?\bFROM\b|SELECT\s+\w+\(|WITH\s+\w+(?:\s*\([^)]*\))?\s+AS\s*(?:NOT\s+MATERIALIZED\s*|MATERIALIZED\s*)?\("
    r"|INSERT\s+INTO\s|UPDATE\s+[\w.\"]+\s[\s\S]*?\bSET\b|DELETE\s+FROM\s|COPY\s+[\w.\"]+[\s(]"
    r"|(?:CREATE|ALTER|DROP)\s+(?:UNIQUE\s+|TEMP\s+)?(?:TABLE|INDEX|TYPE|SCHEMA|DATABASE|SEQUENCE|VIEW|FUNCTION|ROLE)\s"
    r"|LISTEN\s+\w+\s*$|NOTIFY\s+\w+|TRUNCATE\s+TABLE\s"
    r")"
)
_STORE = ROOT / "runtime/tradewind/store"
_FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "shared"}
_IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "urandom", "monotonic", "perf_counter"}


def _texts(tree: ast.Module) -> list[tuple[int, str]]:
    """The string constants of a file that are not docstrings, with their lines."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def sql_in(source: str) -> list[int]:
    """The lines of a source text on which a string holds a statement of SQL."""
    return [line for line, text in _texts(ast.parse(source)) if _SQL.match(text)]


def test_sql_is_recognised() -> None:
    assert sql_in('q = "SELECT a, b FROM task"') == [1]
    assert sql_in('q = """\\n  WITH x AS (SELECT 1) UPDATE t SET a = 1"""') == [1]
    assert sql_in('q = "UPDATE runtime SET seq = seq + 1"') == [1]
    assert sql_in('"""SELECT a FROM b"""\n\ndef f():\n    """DELETE FROM t"""') == []
    assert sql_in('raise ValueError("Select a pool with --pool, or update the DAG.")') == []
    assert sql_in('print("Update the DAG file and try again")') == []


def test_sql_is_only_in_the_store() -> None:
    """Operators and hooks of databases build statements for the users' own databases: providers are exempt."""
    found = [
        f"{shown(path)}:{line}"
        for path in source_files()
        if not path.is_relative_to(_STORE) and not path.is_relative_to(ROOT / "providers")
        for line in sql_in(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_sql_files_are_only_in_the_store() -> None:
    folders = (ROOT / "runtime", ROOT / "executors")
    stray = [path for folder in folders for path in folder.rglob("*.sql") if not path.is_relative_to(_STORE)]
    assert not [shown(path) for path in stray if "node_modules" not in path.parts]


def test_decisions_read_no_clock_and_draw_no_chance() -> None:
    """The import contracts keep clocks and loops out of `rules` and `model`; this does it for `datetime.now`."""
    found = [
        f"{shown(path)}:{node.lineno} {node.func.attr}()"
        for part in ("rules", "model")
        for path in python_files(ROOT / "runtime/tradewind" / part)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _IMPURE_CALLS
    ]
    assert not found


def test_names_say_what_is_inside() -> None:
    bad = [shown(path) for path in source_files() if _words(path) & _FORBIDDEN_NAMES]
    assert not bad


def _words(path: Path) -> set[str]:
    names = (path.stem, *path.relative_to(ROOT).parent.parts[1:])
    return {word for name in names for word in name.lower().split("_")}


def test_unit_tests_do_not_sleep() -> None:
    """A unit test waits for an event, or runs on virtual time; `sleep(0)` only gives the loop a turn."""
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files(ROOT / "tests/unit")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and _is_sleep(node)
    ]
    assert not found


def _is_sleep(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    zero = bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    return name == "sleep" and not zero
