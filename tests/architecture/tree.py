"""The source files of the project, as the checks of this folder read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("runtime/tradewind", "executors/tradewind_executors", "providers/tradewind_providers")


def source_files() -> list[Path]:
    """Every Python file of the three packages."""
    return [path for root in SOURCE_ROOTS for path in python_files(ROOT / root)]


def python_files(folder: Path) -> list[Path]:
    """Every Python file under a folder, but for what Node put there."""
    return sorted(path for path in folder.rglob("*.py") if "node_modules" not in path.parts)


def shown(path: Path) -> str:
    """A path as the reader of a failure wants it."""
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
