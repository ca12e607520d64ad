"""`AsyncHook`: one client for each connection and event loop, shared by all tasks, sensors and triggers on it."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from tradewind.authoring.connection import Connection
from tradewind.authoring.connection_lookups import LookedUp, fingerprint_of, lookups_here
from tradewind.authoring.hook import BaseHook
from tradewind.authoring.loop_clients import Wanted, clients_here
from tradewind.model.errors import AuthoringError

C = TypeVar("C")

DAG_FILE_MODULES: Final = "tradewind_dag_"
"""How the private names of DAG files' modules begin; one file has the same one in each of its versions."""

_LOOKS_UP: Final[Any] = vars(BaseHook)["get_connection"].__func__


class AsyncHook(BaseHook, Generic[C]):
    """Derive from it and define `connect`; then `async with LaunchHook("launch_api") as session:` gives the client.

    All that run on one loop and name the same connection share one client. It is opened at its first use, closed
    when nobody has used it for `idle`, and with the loop at the latest. A task that starts after its connection
    was changed gets a new one; the old one closes when its last user leaves. Raises ClientError where it cannot be
    opened, NotFoundError where there is no such connection.
    """

    idle: ClassVar[timedelta | None] = timedelta(minutes=5)
    """How long a client without users stays open. None: until its loop ends; zero: not at all."""
    open_timeout: ClassVar[timedelta] = timedelta(minutes=1)
    also_takes: ClassVar[tuple[str, ...]] = ()
    """Types of connections, beside `conn_type` and `generic`, about which it says nothing in the log."""
    shares_with: ClassVar[type[Any] | None] = None
    """The class whose client this one uses too, because it opens the same; it says nothing for subclasses."""

    def __init__(self, conn_id: str | None = None, *, logger_name: str | None = None) -> None:
        super().__init__(logger_name=logger_name)
        name = conn_id or self.default_conn_name
        if not isinstance(cast("object", name), str):
            raise AuthoringError(f"{type(self).__name__}: the id of a connection is a text, not {name!r}")
        if not name:
            raise AuthoringError(f"{type(self).__name__}: which connection? Give the id of one")
        self.conn_id = name
        self._given: Connection | None = None
        self._entered: WeakKeyDictionary[asyncio.Task[Any], list[Any]] = WeakKeyDictionary()

    def connect(self, conn: Connection) -> AbstractAsyncContextManager[C]:
        """Opens a client, and closes it: an `@asynccontextmanager` method that yields it. Runs once for all users."""
        raise NotImplementedError(f"{type(self).__name__} does not define connect()")

    def options(self) -> Hashable:
        """What a client depends on beside its connection: hooks with other options have another one."""
        return ()

    def is_usable(self, client: C) -> bool:
        """Whether a client that is open can be used. One that cannot makes room for a new one."""
        return True

    # ------------------------------------------------------------------ use

    def using(self, connection: Connection) -> Self:
        """The same hook with a connection that is known already, so that none is looked up."""
        copied = copy.copy(self)
        vars(copied).update(_given=connection, _entered=WeakKeyDictionary[Any, Any]())
        return copied

    async def try_out(self) -> tuple[bool, str]:
        """What `tradewind connections test` asks: whether the other side answers, and what it says. By default it only
        opens a client. Raises what that raises.
        """
        async with self:
            return True, "Connection successfully tested"

    def known_connection(self) -> Connection:
        """The connection, for code that does not await. Blocks. Raises what `get_connection` raises."""
        return self._given if self._given is not None else self.get_connection(self.conn_id)

    async def connection(self) -> Connection:
        """The connection that a client is opened with now."""
        return (await self._looked_up()).connection

    async def wanted(self) -> Wanted[C]:
        """Which client this hook asks for."""
        found = await self._looked_up()
        cls = type(self)
        opener: type[Any] = vars(cls).get("shares_with") or cls
        idle = self.idle.total_seconds() if self.idle is not None else None
        mine = (self.conn_id, self.options())
        return Wanted(
            name=f"connection {self.conn_id!r}{self._oddly(found.connection)} ({cls.__name__})",
            key=(opener, found.fingerprint, *mine),
            line=(line_of(opener), *mine),
            open=lambda: self._connected(found.connection),
            open_timeout=cls.open_timeout.total_seconds(),
            idle=idle,
            is_usable=self.is_usable,
        )

    def _connected(self, connection: Connection) -> AbstractAsyncContextManager[C]:
        odd = self._oddly(connection)
        if odd:
            self.log.warning(
                "connection %r is%s; %s takes it as one of type %r",
                *(self.conn_id, odd, type(self).__name__, self.conn_type),
            )
        opening = cast("object", self.connect(connection))
        if isinstance(opening, AbstractAsyncContextManager):
            return cast("AbstractAsyncContextManager[C]", opening)
        if inspect.iscoroutine(opening):
            opening.close()
        raise AuthoringError(
            f"{type(self).__name__}.connect() has to yield the client once: put @asynccontextmanager above "
            "`async def connect(self, conn)`, and `yield` in place of `return`"
        )

    def _oddly(self, connection: Connection) -> str:
        """Says of what type a connection is that was not made for this hook; else nothing."""
        given, usual = connection.conn_type, (self.conn_type, "generic", *self.also_takes)
        return f" of type {given!r}" if given and self.conn_type and given not in usual else ""

    def __enter__(self) -> Self:
        if type(self).get_conn is BaseHook.get_conn:
            name = type(self).__name__
            raise AuthoringError(f"{name} gives its client to `async with`: write `async with {name}(…) as client:`")
        return super().__enter__()

    async def __aenter__(self) -> C:
        client = await clients_here().enter(await self.wanted())
        task = asyncio.current_task()
        assert task is not None
        self._entered.setdefault(task, []).append((clients_here(), client))
        return client.value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        entered = self._entered.get(task) if task is not None else None
        if not entered:
            raise RuntimeError(
                f"{type(self).__name__}: `async with` was entered in another asyncio task than it is left"
            )
        clients, client = entered.pop()
        clients.exit(client)

    async def _looked_up(self) -> LookedUp:
        if self._given is not None:
            return LookedUp(self._given, fingerprint_of(self._given))
        if getattr(self.get_connection, "__func__", None) is _LOOKS_UP:
            return await lookups_here().get(self.conn_id)
        connection = await asyncio.to_thread(self.get_connection, self.conn_id)  # a subclass's own, or a test's
        return LookedUp(connection, fingerprint_of(connection))


def line_of(definition: Any) -> Hashable:
    """Names a class or function over the versions of the DAG file that it is in; elsewhere it stands for itself."""
    module = str(definition.__module__)
    return (module, definition.__qualname__) if module.startswith(DAG_FILE_MODULES) else definition
