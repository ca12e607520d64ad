"""Which rows of the specification a test proves, which wait, and why: `docs/spec-coverage.md` is made from it.

A test names its rows with `@pytest.mark.spec("1:C10", …)`; this package finds the markers in the sources of the
tests, without importing them.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent.parent / "tests"
MOST_ROWS_A_TEST: Final = 5


class Row(NamedTuple):
    """A row of the specification: its key (`1:C10`, `1:5a:ds`), its section and its title, where it has one."""

    key: str
    section: str
    title: str

    @property
    def section_key(self) -> str:
        """`1:5a` of `1:5a Context variables`."""
        return self.section.partition(" ")[0]


class Proof(NamedTuple):
    """A test, as `path::Class::function`, and the rows that its marker names."""

    test: str
    rows: tuple[str, ...]


@lru_cache(1)
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the specification."""
    lines = (HERE / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Row(data["row"], data["section"], data["title"]) for data in map(json.loads, lines))


@lru_cache(1)
def reasons() -> Mapping[str, str]:
    """Row, or section, to the reason why no test proves it."""
    data = tomllib.loads((HERE / "not-built.toml").read_text(encoding="utf-8"))
    return {**data["sections"], **data.get("rows", {})}


def reason_for(row: Row) -> str | None:
    """Why there is no test for the row: its own reason, else that of its section; None where none is stated."""
    given = reasons()
    for key in (row.key, row.section_key, row.section_key.rstrip("abcdefghi")):
        if key in given:
            return given[key]
    return None


@lru_cache(1)
def proofs() -> tuple[Proof, ...]:
    """Every test with the marker, by path and place. Raises ValueError for a marker that does not hold texts."""
    found: list[Proof] = []
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "mark.spec" in source:
            name = path.relative_to(TESTS.parent).as_posix()
            found += _in_body(ast.parse(source).body, name, ())
    return tuple(found)


def _in_body(body: Sequence[ast.stmt], name: str, of_class: tuple[str, ...]) -> Iterator[Proof]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _in_body(node.body, f"{name}::{node.name}", of_class + _marked(node, name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marked = of_class + _marked(node, name)
            if marked and node.name.startswith("test"):
                yield Proof(f"{name}::{node.name}", marked)


def _marked(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> tuple[str, ...]:
    named: list[str] = []
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.spec":
            for argument in decorator.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise ValueError(f"{name}::{node.name}: the rows of a spec marker are texts")
                named.append(argument.value)
    return tuple(named)


class Share(NamedTuple):
    """How many rows there are, how many of them tests prove, and how many stand with a reason."""

    rows: int
    proved: int
    reasoned: int

    @property
    def not_built(self) -> float:
        """Part of the rows that no test proves, in per cent."""
        return 100 * (self.rows - self.proved) / self.rows


def tests_of_rows() -> Mapping[str, Sequence[str]]:
    """Row key to the tests that name it."""
    tests: dict[str, list[str]] = {}
    for proof in proofs():
        for key in proof.rows:
            tests.setdefault(key, []).append(proof.test)
    return tests


def share() -> Share:
    """The figures of the page, and of the README."""
    tests = tests_of_rows()
    open_rows = [row for row in rows() if row.key not in tests]
    return Share(len(rows()), len(rows()) - len(open_rows), sum(reason_for(row) is not None for row in open_rows))


def sentence() -> str:
    """The line of the README."""
    found = share()
    return (
        f"Of the {found.rows} rows of the specification that Tradewind is built to, tests prove {found.proved}; "
        f"{found.not_built:.0f} % are not built or not proved yet."
    )


def page() -> str:
    """The whole page."""
    tests = tests_of_rows()
    parts = [
        "# What of the specification is proved\n",
        "A row is proved by the tests that name it. What no test names has the reason beside it, or waits.\n",
        sentence() + "\n",
    ]
    section = ""
    for row in rows():
        if row.section != section:
            section = row.section
            parts += [f"\n## {section}\n", "| row | what | proved by |", "| --- | --- | --- |"]
        parts.append(f"| `{_cell(row.key)}` | {_cell(row.title)} | {_proof(row, tests)} |")
    return "\n".join(parts) + "\n"


def _proof(row: Row, tests: Mapping[str, Sequence[str]]) -> str:
    if row.key in tests:
        return ", ".join(f"`{test.removeprefix('tests/')}`" for test in tests[row.key])
    return _cell(reason_for(row) or "waits")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
