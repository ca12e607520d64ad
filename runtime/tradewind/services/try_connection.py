"""Whether a system can be reached with a connection: for some types here, for others through their hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from tradewind.authoring.async_hook import AsyncHook
from tradewind.authoring.connection import Connection
from tradewind.authoring.hook import BaseHook, hook_of
from tradewind.authoring.masking import masked_text
from tradewind.model.errors import NotFoundError

ANSWER_WITHIN: Final = 15.0


class Tried(NamedTuple):
    """Whether it worked, and what was said."""

    worked: bool
    message: str


async def try_connection(connection: Connection) -> Tried:
    """Reaches out. Never raises for what the other side does; secrets in its words are masked."""
    trier = _TRIERS.get(connection.conn_type or "")
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            tried = await (trier(connection) if trier is not None else _by_hook(connection))
    except TimeoutError:
        return Tried(False, f"no answer within {ANSWER_WITHIN:g} s")
    except Exception as error:
        return Tried(False, masked_text(f"{type(error).__name__}: {error}"))
    return Tried(tried.worked, masked_text(tried.message))


def try_blocking(connection: Connection) -> tuple[bool, str]:
    """`try_connection` for code without a loop."""
    tried = asyncio.run(try_connection(connection))
    return tried.worked, tried.message


async def _by_hook(connection: Connection) -> Tried:
    try:
        hook = await asyncio.to_thread(hook_of, connection)
    except NotFoundError:
        known = ", ".join(sorted(_TRIERS))
        return Tried(
            False,
            f"connections of type {connection.conn_type!r} cannot be tried: no installed package has a hook for them "
            f"(built in: {known})",
        )
    if _is_async(hook):
        asked = hook.using(connection)  # as it is here, whatever is stored under its id
        vars(asked)["idle"] = timedelta(0)  # it is not kept open for others
        return Tried(*await asked.try_out())
    test = getattr(hook, "test_connection", None)
    if test is None:
        return Tried(False, f"hook {type(hook).__name__} does not implement test_connection")
    worked, message = await asyncio.to_thread(test)
    return Tried(bool(worked), str(message))


def _is_async(hook: BaseHook) -> TypeGuard[AsyncHook[Any]]:
    return isinstance(hook, AsyncHook)


async def _fs(connection: Connection) -> Tried:
    path = Path(str(connection.extra_dejson.get("path") or "/"))
    exists = await asyncio.to_thread(path.exists)
    return Tried(exists, f"Path {path} is existing." if exists else f"Path {path} does not exist.")


async def _sqlite(connection: Connection) -> Tried:
    return await asyncio.to_thread(_open_sqlite, connection.host or ":memory:")


def _open_sqlite(place: str) -> Tried:
    import sqlite3

    if place != ":memory:" and not Path(place).is_file():
        return Tried(False, f"there is no file {place}")
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA schema_version")
    database.close()
    return Tried(True, "Connection successfully tested")


_TRIERS: Final[dict[str, Callable[[Connection], Awaitable[Tried]]]] = {
    "fs": _fs,
    "sqlite": _sqlite,
}
