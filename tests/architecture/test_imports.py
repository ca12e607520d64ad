"""The layers hold, there are no circles, and the public face is what it says it is."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SOURCE_ROOTS, parsed

FACE = ROOT / "runtime/tradewind/__init__.py"


def test_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed: `make lint` runs it")
    roots = os.pathsep.join(str((ROOT / root).parent) for root in SOURCE_ROOTS)
    answer = subprocess.run(
        [str(program), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": roots},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_face_is_a_list_that_can_be_imported() -> None:
    face = importlib.import_module("tradewind")
    names: list[str] = list(face.__all__)
    assert names == sorted(set(names), key=names.index), "a name is listed twice"
    missing = [name for name in names if not hasattr(face, name)]
    assert not missing
    assert "DAG" in names
    assert "task" in names


def test_every_name_of_the_face_is_listed() -> None:
    """What the face imports for type checkers (each `name as name`) is what it lists, no more and no less."""
    face = importlib.import_module("tradewind")
    imported = {
        alias.asname
        for node in ast.walk(parsed(FACE))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }
    assert imported == set(face.__all__)


def test_the_face_costs_little_to_import() -> None:
    """What only a runtime needs stays away from DAG files: they are imported often, each time in a new process."""
    heavy = {"asyncpg", "aiohttp", "cryptography", "rich", "click"}
    code = f"import sys; from tradewind import DAG, task; print(*sorted({heavy} & set(sys.modules)))"
    roots = os.pathsep.join(str((ROOT / root).parent) for root in SOURCE_ROOTS)
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": roots},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == []
