"""The face: exactly these names, each where it says, loaded only when used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tradewind


def test_every_name_of_the_list_is_there_and_typed() -> None:
    source = ast.parse(Path(tradewind.__file__).read_text())
    typed = {
        (f"{node.module}", alias.name)
        for block in source.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    home_of: dict[str, str] = vars(tradewind)["_HOME_OF"]
    homes = {(home, name) for name, home in home_of.items()}
    assert typed == homes
    assert sorted(tradewind.__all__) == sorted(name for _, name in homes)
    for name in tradewind.__all__:
        assert getattr(tradewind, name) is not None
        assert name in dir(tradewind)


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="tradewind has no 'Dag'"):
        _ = getattr(tradewind, "Dag")  # noqa: B009 - a type checker would not let it through


def test_importing_loads_next_to_nothing() -> None:
    text = "import sys, tradewind; print(sorted(m for m in sys.modules if m.startswith('tradewind.')))"
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_pipeline_loads_no_heavy_library() -> None:
    text = (
        "import sys\n"
        "from tradewind import DAG, task\n"
        "with DAG('d', start_date='2026-01-01') as dag:\n"
        "    task(print)('hello')\n"
        "print([m for m in ('jinja2', 'pendulum', 'jsonschema', 'asyncio', 'aiohttp', 'asyncpg') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
