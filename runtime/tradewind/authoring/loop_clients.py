"""Clients of outside systems that all code on one event loop shares: one for each key, opened at its first use.

Each open client is one `asyncio.Task` that enters its context manager, waits, and leaves it: what was opened in
a task is closed in the same one, whoever asked for it first and whoever leaves last. See decision 0090.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Context, ContextVar, Token, copy_context
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from tradewind.authoring.access import current_attempt
from tradewind.model.errors import ClientError, TaskSignal

log = logging.getLogger(__name__)

C = TypeVar("C")
T = TypeVar("T")

CLOSE_WITHIN: Final = 5.0
"""Seconds that all clients of a loop together get to close at its end; then they are cancelled."""
LEFT_BEHIND_AFTER: Final = 1.0
"""Seconds that the cancelled ones get; then they are left behind, which is told."""


Watched = Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]
"""Makes of a client's life one whose steps are watched; called in the context of its first user."""


def _always(_client: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Wanted(Generic[C]):
    """Which client is asked for, and how it comes about."""

    name: str
    """For errors: `connection 'launch_api' (LaunchHook)`."""
    key: Hashable
    """Who has this key shares the client."""
    line: Hashable
    """Clients of one line replace each other: the older closes when its last user leaves."""
    open: Callable[[], AbstractAsyncContextManager[C]]
    open_timeout: float | None = 60.0
    """Seconds; None: as long as it takes."""
    idle: float | None = 300.0
    """Seconds without users after which it closes; None: only with its loop."""
    is_usable: Callable[[C], bool] = _always
    """Asked before an open client is handed out; one that is not makes room for a new one."""


class _Client(Generic[C]):
    """One client, opening or open, and who uses it."""

    __slots__ = ("error", "idle", "inner", "keeper", "leave", "opened", "replaced", "users", "value", "wanted")

    def __init__(self, wanted: Wanted[C]) -> None:
        self.wanted = wanted
        self.users = 0
        self.inner = 0
        """How many of them are other clients: when all close, those go first."""
        self.replaced = False
        self.opened = asyncio.Event()
        """Set when it is open or could not be opened."""
        self.leave = asyncio.Event()
        self.error: BaseException | None = None
        self.value: C
        self.idle: asyncio.TimerHandle | None = None
        self.keeper: asyncio.Task[None]

    def wake_from_idle(self) -> None:
        """Somebody uses it again."""
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None


class LoopClients:
    """The clients of one loop. All calls are made on it."""

    def __init__(
        self, base: Context, carried: tuple[ContextVar[Any], ...] = (current_attempt,), watched: Watched | None = None
    ) -> None:
        """`base`: the context that clients live in; `carried`: what they have of their first user while they open."""
        self._base = base
        self._carried = carried
        self._watched = watched
        self._here: dict[Hashable, _Client[Any]] = {}
        """Those that new users get."""
        self._kept: set[_Client[Any]] = set()
        """Every one whose task runs."""
        self._keepers: set[asyncio.Task[Any]] = set()
        self._closing = False
        self.lingers = True
        """Whether clients stay open for a while without users."""
        self.holders = 0
        self.pid = os.getpid()

    def __len__(self) -> int:
        return len(self._kept)

    def names(self) -> list[str]:
        """Of the clients that are opening, open or closing."""
        return sorted(client.wanted.name for client in self._kept)

    @asynccontextmanager
    async def use(self, wanted: Wanted[C]) -> AsyncGenerator[C]:
        """The client, for the time of the block. Raises ClientError where it cannot be opened."""
        client = await self.enter(wanted)
        try:
            yield client.value
        finally:
            self.exit(client)

    async def enter(self, wanted: Wanted[C]) -> _Client[C]:
        """Becomes a user of the client, which is opened if nobody has done so. Raises ClientError."""
        client: _Client[C] | None = self._here.get(wanted.key)
        if client is not None and client.opened.is_set() and not wanted.is_usable(client.value):
            self._replace(client)
            client = None
        if client is None:
            client = self._begin(wanted)
        client.users += 1
        client.inner += asyncio.current_task() in self._keepers
        client.wake_from_idle()
        if client.opened.is_set():
            return client
        try:
            await client.opened.wait()
            if client.error is not None:
                _raise(client.wanted, client.error)
        except BaseException:
            self.exit(client)
            raise
        return client

    def exit(self, client: _Client[Any]) -> None:
        """Is a user no longer. The last one of a client that was replaced closes it."""
        client.users -= 1
        client.inner -= asyncio.current_task() in self._keepers
        if self._closing and not client.inner:
            client.leave.set()
        elif not client.users and client.opened.is_set() and client.error is None:
            self._rest(client)

    async def close(self, within: float = CLOSE_WITHIN) -> None:
        """Closes all, users or not. Those that take longer than `within` seconds are cancelled."""
        closing = [client for client in self._kept if client.keeper is not asyncio.current_task()]
        self._closing = True
        try:
            await self._close(closing, within)
        finally:
            self._closing = False

    async def _close(self, closing: list[_Client[Any]], within: float) -> None:
        for client in closing:
            self._replace(client)
            if not client.inner:
                client.leave.set()
            if not client.opened.is_set():
                client.keeper.cancel()
        for patience in (within, LEFT_BEHIND_AFTER):
            left = [client for client in closing if not client.keeper.done()]
            if left:
                await asyncio.wait([client.keeper for client in left], timeout=patience)
            for client in left:
                client.keeper.cancel()
        for client in closing:
            if not client.keeper.done():
                log.warning("%s did not close within %g s and is left behind", client.wanted.name, within)

    # -- within

    def _begin(self, wanted: Wanted[C]) -> _Client[C]:
        for older in [client for client in self._here.values() if client.wanted.line == wanted.line]:
            self._replace(older)
        client: _Client[C] = _Client(wanted)
        context = self._base.copy()
        mine = copy_context()
        tokens = [
            (variable, context.run(variable.set, mine[variable])) for variable in self._carried if variable in mine
        ]
        life = self._keep(client, tokens)
        if self._watched is not None:
            life = self._watched(life)
        loop = asyncio.get_running_loop()
        client.keeper = loop.create_task(life, name=f"client {wanted.name}", context=context)
        self._here[wanted.key] = client
        self._kept.add(client)
        self._keepers.add(client.keeper)
        client.keeper.add_done_callback(lambda _: self._gone(client))
        return client

    async def _keep(self, client: _Client[C], tokens: list[tuple[ContextVar[Any], Token[Any]]]) -> None:
        """The life of a client."""
        cancelled = False
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(client.wanted.open_timeout):
                    client.value = await stack.enter_async_context(client.wanted.open())
                for variable, token in tokens:
                    variable.reset(token)
                client.opened.set()
                if not client.users:
                    self._rest(client)
                try:
                    await client.leave.wait()
                except asyncio.CancelledError:  # the loop ends: it is closed as usual
                    cancelled = True
                self._forget(client)
        except BaseException as error:
            self._forget(client)
            if not client.opened.is_set():
                client.error = error
                client.opened.set()
            elif not isinstance(error, asyncio.CancelledError):
                log.warning("%s broke: %s: %s", client.wanted.name, type(error).__name__, error, exc_info=error)
            cancelled = isinstance(error, asyncio.CancelledError)
        if cancelled:
            raise asyncio.CancelledError

    def _rest(self, client: _Client[Any]) -> None:
        """Nobody uses it any more."""
        idle = client.wanted.idle if self.lingers else 0.0
        if client.replaced or idle == 0.0:
            self._replace(client)
        elif idle is not None:
            client.idle = asyncio.get_running_loop().call_later(idle, self._replace, client)

    def _replace(self, client: _Client[Any]) -> None:
        """Nobody gets it any more; without users it closes."""
        client.wake_from_idle()
        self._forget(client)
        client.replaced = True
        if not client.users and client.opened.is_set():
            client.leave.set()

    def _forget(self, client: _Client[Any]) -> None:
        if self._here.get(client.wanted.key) is client:
            del self._here[client.wanted.key]

    def _gone(self, client: _Client[Any]) -> None:
        """Its task has ended, in whatever way: even before its first step."""
        self._forget(client)
        self._kept.discard(client)
        self._keepers.discard(client.keeper)
        client.wake_from_idle()
        if not client.opened.is_set():
            client.error = asyncio.CancelledError("the loop ends")
            client.opened.set()


def _raise(wanted: Wanted[Any], error: BaseException) -> NoReturn:
    """What each of those that waited for the opening gets: an exception of its own."""
    if isinstance(error, TaskSignal):
        raise copy.copy(error).with_traceback(None)
    if isinstance(error, asyncio.CancelledError):
        raise ClientError(f"{wanted.name} could not be opened: its loop ends")
    if isinstance(error, TimeoutError) and not str(error) and wanted.open_timeout is not None:
        raise ClientError(f"{wanted.name} was not open within {wanted.open_timeout:g} s") from error
    raise ClientError(f"{wanted.name} could not be opened: {type(error).__name__}: {error}") from error


# ------------------------------------------------------------------------------------- whose they are

_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClients]] = WeakKeyDictionary()


def clients_here() -> LoopClients:
    """The clients of the running loop. Raises RuntimeError where none runs."""
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None or found.pid != os.getpid():
        inside = current_attempt.get(None) is not None  # whose context is not for those that come later
        found = _of_loop[loop] = LoopClients(Context() if inside else copy_context())
    return found


@asynccontextmanager
async def hold_clients(*carried: ContextVar[Any], watched: Watched | None = None) -> AsyncGenerator[LoopClients]:
    """The clients of this loop live until the last such block ends; then all are closed, within bounds.

    `carried`: context variables that a client has of its first user while it opens, beside `current_attempt`.
    """
    loop = asyncio.get_running_loop()
    held = _of_loop.get(loop)
    if held is None or not (held.holders or len(held)):
        held = _of_loop[loop] = LoopClients(copy_context(), (current_attempt, *carried), watched)
    held.holders += 1
    try:
        yield held
    finally:
        held.holders -= 1
        if not held.holders:
            if _of_loop.get(loop) is held:
                del _of_loop[loop]
            await held.close()


def run_alone(work: Callable[[], Coroutine[Any, Any, T]], instead: str) -> T:
    """What the coroutine returns, on a loop of its own that ends with it, and its clients too: for code without one.

    Raises RuntimeError on a running loop, naming what is to be awaited `instead`.
    """
    if running_loop():
        raise RuntimeError(f"this would stop the event loop that it is called on: await {instead} here")

    async def whole() -> T:
        async with hold_clients():
            return await work()

    return asyncio.run(whole())


def either_way(work: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T] | T:
    """On a running loop the coroutine, else what it returns: operators whose subclasses may call them without await."""
    return work() if running_loop() else run_alone(work, "it")


def running_loop() -> bool:
    """Whether this thread is on an event loop."""
    if "asyncio" not in sys.modules:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
