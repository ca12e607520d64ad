"""`get_current_context()`: the context of the task whose function is running, from anywhere below it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tradewind.model.errors import AuthoringError

_current: ContextVar[Mapping[str, Any]] = ContextVar("tradewind_current_context")


def get_current_context() -> Mapping[str, Any]:
    """The context of the running task. Raises AuthoringError where none is running."""
    try:
        return _current.get()
    except LookupError:
        raise AuthoringError(
            "no task is running here, so there is no context; call get_current_context() inside a task's function"
        ) from None


@contextmanager
def running_with(context: Mapping[str, Any]) -> Generator[None, None, None]:
    """This context inside the `with` block."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
