"""From what user code did (a value, an exception, a dead process) to the `Outcome` of its attempt."""

from __future__ import annotations

import resource
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

import tradewind.worker
from tradewind.authoring.masking import masked_text
from tradewind.model.errors import (
    FailWithoutRetry,
    RescheduleTask,
    SkipTask,
    TaskTimeout,
)
from tradewind.model.outcomes import ErrorInfo, ExitInfo, Outcome
from tradewind.model.states import OutcomeKind

_WORKER: Final = str(Path(tradewind.worker.__path__[0]))
_OURS: Final = str(Path(_WORKER).parent)
_EXECUTORS: Final = str(Path(_OURS).parent / "tradewind_executors")

LONGEST_TRACEBACK: Final = 64 * 1024
"""Characters that are kept of a traceback: a group of a thousand errors must not fill the attempt's row."""
LONGEST_MESSAGE: Final = 8 * 1024
"""Characters that are kept of an error's own text."""


class AttemptCancelled(BaseException):
    """Raised in user code when its attempt is ended from outside. Not an Exception: `except Exception` lets it by."""


def outcome_of_error(error: BaseException) -> Outcome:
    """What an exception that left user code means."""
    message = _text(error)
    if isinstance(error, SkipTask):
        return Outcome(OutcomeKind.SKIPPED, reason=message)
    if isinstance(error, RescheduleTask):
        return Outcome(OutcomeKind.RESCHEDULED, reschedule_at=error.at)
    if isinstance(error, AttemptCancelled):
        return Outcome(OutcomeKind.CANCELLED, reason=message or "ended from outside")
    info = error_info(error)
    if isinstance(error, FailWithoutRetry):
        return Outcome(OutcomeKind.FAILED_FOR_GOOD, error=info, reason=message)
    if isinstance(error, TaskTimeout):
        return Outcome(OutcomeKind.TIMED_OUT, error=info, reason=message)
    if isinstance(error, SystemExit):
        said = shortened(masked_text(f"the task called sys.exit({error.code!r})"), LONGEST_MESSAGE)
        return Outcome(OutcomeKind.FAILED, error=info, reason=said)
    if isinstance(error, MemoryError):
        return Outcome(OutcomeKind.FAILED, error=info, reason="out of memory: Python raised MemoryError")
    return Outcome(OutcomeKind.FAILED, error=info, reason=f"{type(error).__name__}: {message}"[:500])


def error_info(error: BaseException) -> ErrorInfo:
    """The exception as text; its traceback begins where the author's code does."""
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        lines = traceback.format_exception(kind, error, _authors_part(error.__traceback__))
        text = "".join(lines)
    except Exception as broken:
        text = f"{name}, whose text cannot be made: {type(broken).__name__}\n"
    return ErrorInfo(name, _text(error), shortened(masked_text(speakable(text)), LONGEST_TRACEBACK))


def _text(error: BaseException) -> str:
    try:
        return shortened(masked_text(speakable(str(error))), LONGEST_MESSAGE)
    except Exception:
        return f"(the text of this {type(error).__name__} cannot be made)"


def shortened(text: str, most: int) -> str:
    """The beginning and the end of a text of more than `most` characters, with a line between that says so."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters are left out here …\n{text[-half:]}"


def speakable(text: str) -> str:
    """`text` with what UTF-8 cannot say (lone surrogates) as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _authors_part(tb: TracebackType | None) -> TracebackType | None:
    """The traceback without our frames on top; all of it below the worker's where it is ours throughout."""
    whole = tb
    while tb is not None and _is_in(tb, _WORKER, _EXECUTORS):
        tb = tb.tb_next
    if tb is None:
        return whole
    inner: TracebackType | None = tb
    while inner is not None and _is_in(inner, _OURS):
        inner = inner.tb_next
    return inner if inner is not None else tb


def _is_in(tb: TracebackType, *folders: str) -> bool:
    return tb.tb_frame.f_code.co_filename.startswith(folders)


def failed(reason: str, error: BaseException | None = None) -> Outcome:
    """A failure found by the executor, not by the attempt itself."""
    return Outcome(OutcomeKind.FAILED, error=None if error is None else error_info(error), reason=reason)


def untold(error: Exception) -> Outcome:
    """In the place of one that does not fit into a frame: a name in it is no text, or it is too large."""
    return failed(f"what became of the task cannot be told: {error}", error)


def lost(reason: str) -> Outcome:
    """The carrier died: the same try may be repeated."""
    return Outcome(OutcomeKind.LOST, reason=reason)


def outcome_of_exit(exit_info: ExitInfo) -> Outcome:
    """What it means that a process ended without reporting an outcome."""
    if exit_info.oom:
        reason = "out of memory: the kernel killed the process (SIGKILL)"
    elif exit_info.signal is not None:
        reason = f"killed by signal {exit_info.signal} ({signal_name(exit_info.signal)})"
    else:
        reason = f"exit code {exit_info.code}: the process ended without reporting an outcome"
    return Outcome(OutcomeKind.FAILED, exit=exit_info, reason=reason)


def signal_name(number: int) -> str:
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def exit_info_of_self() -> ExitInfo:
    """What this process has used so far, as an orderly exit."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1024 if sys.platform == "darwin" else 1
    return ExitInfo(
        code=0,
        max_rss_kib=usage.ru_maxrss // scale,
        user_seconds=round(usage.ru_utime, 4),
        system_seconds=round(usage.ru_stime, 4),
    )
