"""A file has at most 600 lines and a function 80; we aim at 400 and 40."""

from __future__ import annotations

from tests.architecture.tree import ROOT, functions, parsed, python_files, shown, source_files

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 80


def test_no_file_is_too_long() -> None:
    files = [*source_files(), *python_files(ROOT / "tests"), *python_files(ROOT / "benchmarks")]
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > FILE_LINES_MAX}


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{shown(path)}:{function.lineno} {function.name}: {length} lines"
        for path in source_files()
        for function in functions(parsed(path))
        if (length := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not too_long
