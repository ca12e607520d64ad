"""`@resource`: something of the author's own that all tasks on one event loop share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast, overload

from tradewind.authoring.async_hook import line_of
from tradewind.authoring.instants import duration
from tradewind.authoring.loop_clients import Wanted, clients_here
from tradewind.model.errors import AuthoringError

P = ParamSpec("P")
C = TypeVar("C")

_IDLE: Final = timedelta(minutes=5)
_OPEN_TIMEOUT: Final = timedelta(minutes=1)


class Resource(Generic[P, C]):
    """What `@resource` makes of a function: call it with `async with` to use the one of these arguments."""

    def __init__(self, function: Callable[P, AsyncIterator[C]], idle: float | None, open_timeout: float | None) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self._open = asynccontextmanager(cast("Callable[P, AsyncGenerator[C]]", function))
        self._function = function
        self._idle = idle
        self._open_timeout = open_timeout

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[C]:
        """The one that was made with these arguments, for the time of the block. Raises ClientError where it cannot
        be made, TypeError for arguments that cannot be hashed.
        """
        mine = (args, tuple(sorted(kwargs.items())))
        try:
            hash(mine)
        except TypeError as error:
            said = f"{self._function.__qualname__}{_shown(args, kwargs)}"
            raise TypeError(f"resource {said}: its arguments tell it apart and have to be hashable: {error}") from None
        wanted = Wanted(
            name=f"resource {self._function.__qualname__}{_shown(args, kwargs)}",
            key=(self._function, mine),
            line=(line_of(self._function), mine),
            open=lambda: self._open(*args, **kwargs),
            open_timeout=self._open_timeout,
            idle=self._idle,
        )
        return _use(wanted)

    def alone(self, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[C]:
        """A new one for this block only, as for a test of the resource itself."""
        return self._open(*args, **kwargs)


@asynccontextmanager
async def _use(wanted: Wanted[C]) -> AsyncGenerator[C]:
    async with clients_here().use(wanted) as client:
        yield client


def _shown(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    said = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"({', '.join(said)})"


@overload
def resource(function: Callable[P, AsyncIterator[C]], /) -> Resource[P, C]: ...


@overload
def resource(
    *, idle: timedelta | float | None = ..., open_timeout: timedelta | float | None = ...
) -> Callable[[Callable[P, AsyncIterator[C]]], Resource[P, C]]: ...


def resource(
    function: Callable[..., AsyncIterator[Any]] | None = None,
    /,
    *,
    idle: timedelta | float | None = _IDLE,
    open_timeout: timedelta | float | None = _OPEN_TIMEOUT,
) -> Any:
    """Makes an `async def` function with one `yield` a resource: what it yields is made at the first use on an event
    loop, shared by all who ask with the same arguments, and closed with the loop or when nobody has used it for
    `idle` (None: only with the loop). Raises AuthoringError for other functions.
    """
    settings = [
        None if value is None else duration(value, f"@resource: {name}").total_seconds()
        for name, value in (("idle", idle), ("open_timeout", open_timeout))
    ]

    def make(made: Callable[..., AsyncIterator[Any]]) -> Resource[..., Any]:
        if not inspect.isasyncgenfunction(made):
            name = getattr(made, "__qualname__", repr(made))
            raise AuthoringError(
                f"@resource: {name} must be an `async def` function that yields once: what it yields is the resource, "
                "and what follows closes it"
            )
        return Resource(made, *settings)

    return make if function is None else make(function)
