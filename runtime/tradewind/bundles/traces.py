"""Tracebacks of user code without the frames that are ours or the import system's."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

import tradewind.model

_OURS: Final = str(Path(tradewind.model.__file__).parent.parent) + "/"
_EXAMPLES: Final = _OURS + "examples/"


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
    return "".join(trace.format()).rstrip()


def in_one_line(error: str) -> str:
    """The line of an import error that says most: of a traceback the last, else the first, which is ours."""
    lines = error.strip().splitlines() or [""]
    return lines[-1] if lines[0].startswith(("Traceback ", "  File ", "File ")) else lines[0]


def _is_users(filename: str) -> bool:
    if filename.startswith("<frozen "):
        return False
    return not filename.startswith(_OURS) or filename.startswith(_EXAMPLES)
