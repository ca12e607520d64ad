"""Tracebacks of user code without the frames that are ours or the import system's."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

import tradewind.model

_OURS: Final = str(Path(tradewind.model.__file__).parent.parent) + "/"
_EXAMPLES: Final = _OURS + "examples/"
_CHAINS: Final = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
_LONGEST: Final = 100_000
"""Characters of a traceback that are kept: an error may carry megabytes."""


def user_trace(error: BaseException) -> str:
    """The traceback of `error` and of its causes as text, only with the user's own frames.

    Where the user's code called something of Tradewind that raised, the last frame is the calling line.
    """
    trace = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    todo = [trace]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list([frame for frame in part.stack if _is_users(frame.filename)])
        todo += [inner for inner in (part.__cause__, part.__context__, *(part.exceptions or ())) if inner is not None]
    text = "".join(trace.format()).rstrip()
    return _bounded(text.encode(errors="backslashreplace").decode())  # halves of surrogate pairs cannot travel


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - _LONGEST} characters are left out …\n{text[-half:]}"


def in_one_line(error: str) -> str:
    """The line of an import error that says most: of a traceback what was raised, else the first, which is ours."""
    lines = error.strip().splitlines() or [""]
    if not lines[0].startswith(("Traceback ", "  File ", "File ")) and _CHAINS.isdisjoint(lines):
        return lines[0]
    frames = [number for number, line in enumerate(lines) if line.lstrip().startswith("File ")]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line for line in after if line and not line[0].isspace()), lines[-1])


def _is_users(filename: str) -> bool:
    if filename.startswith("<frozen "):
        return False
    return not filename.startswith(_OURS) or filename.startswith(_EXAMPLES)
