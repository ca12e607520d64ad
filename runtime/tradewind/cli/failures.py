"""Errors as one sentence and an exit code that means something."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_DATABASE: Final = 3
EXIT_INTERRUPTED: Final = 130

T = TypeVar("T")


class Failure(click.ClickException):
    """Ends the command with a message on standard error and exit code 1."""

    exit_code = EXIT_FAILED


class WrongUse(Failure):
    """The same with 2: the configuration or the way of asking is wrong."""

    exit_code = EXIT_USAGE


class NoDatabase(Failure):
    """The same with 3."""

    exit_code = EXIT_NO_DATABASE


class Interrupted(Failure):
    """The same with 130, as shells have it for Ctrl-C."""

    exit_code = EXIT_INTERRUPTED


@contextmanager
def failing_clearly() -> Generator[None, None, None]:
    """Turns Tradewind's own errors and Ctrl-C into a `Failure`; everything else keeps its traceback."""
    from tradewind.model.errors import ConfigError, StoreError, TradewindError

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    except ConfigError as error:
        raise WrongUse(error.message) from error
    except StoreError as error:
        raise NoDatabase(error.message) from error
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


def run_async(work: Coroutine[Any, Any, T], loop_factory: Callable[[], AbstractEventLoop] | None = None) -> T:
    """Runs the coroutine on a loop of its own."""
    import asyncio

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)
