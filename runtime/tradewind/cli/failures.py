"""Errors as one sentence and an exit code that means something."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_DATABASE: Final = 3
EXIT_INTERRUPTED: Final = 130

T = TypeVar("T")


class Failure(click.ClickException):
    """Ends the command with a message on standard error and this exit code."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def failing_clearly() -> Generator[None, None, None]:
    """Turns Tradewind's own errors into a `Failure`; everything else keeps its traceback."""
    from tradewind.model.errors import ConfigError, StoreError, TradewindError

    try:
        yield
    except ConfigError as error:
        raise Failure(error.message, EXIT_USAGE) from error
    except StoreError as error:
        raise Failure(error.message, EXIT_NO_DATABASE) from error
    except TradewindError as error:
        raise Failure(error.message) from error
    except BaseExceptionGroup as group:
        ours = group.subgroup(TradewindError)
        if ours is None:
            raise
        inner: BaseException = ours
        while isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        with failing_clearly():
            raise inner from group


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine on a loop of its own; Ctrl-C ends with 130."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise Failure("interrupted", EXIT_INTERRUPTED) from None
