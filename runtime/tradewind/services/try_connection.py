"""Whether a system can be reached with a connection: for some types here, for others through their hooks."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.authoring.connection import Connection
from tradewind.authoring.hook import hook_of
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
    test = getattr(hook, "test_connection", None)
    if test is None:
        return Tried(False, f"hook {type(hook).__name__} does not implement test_connection")
    worked, message = await asyncio.to_thread(test)
    return Tried(bool(worked), str(message))


async def _postgres(connection: Connection) -> Tried:
    # On a loop of its own: the client reads certificates, which must not hold up this one.
    return await asyncio.to_thread(lambda: asyncio.run(_ask_postgres(connection)))


async def _ask_postgres(connection: Connection) -> Tried:
    import asyncpg

    session = await asyncpg.connect(
        host=connection.host or "localhost",
        port=connection.port or 5432,
        user=connection.login or None,
        password=connection.password,
        database=connection.schema or None,
        ssl=connection.extra_dejson.get("sslmode") or (None if _is_elsewhere(connection.host) else False),
        timeout=ANSWER_WITHIN,
    )
    version = session.get_server_version()
    await session.close()
    return Tried(True, f"Connection successfully tested: PostgreSQL {version.major}.{version.minor}")


def _is_elsewhere(host: str | None) -> bool:
    """Whether the way leaves this machine: only then encryption is tried unasked."""
    return bool(host) and host not in ("localhost", "127.0.0.1", "::1") and not str(host).startswith("/")


async def _http(connection: Connection) -> Tried:
    import aiohttp

    url = url_of(connection)
    headers: dict[str, str] = {}
    if connection.login:
        token = b64encode(f"{connection.login}:{connection.password or ''}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url, allow_redirects=False) as answer:
        return Tried(answer.status < 400, f"{url} answers {answer.status} {answer.reason or ''}".rstrip())


def url_of(connection: Connection) -> str:
    """The address of an HTTP connection: the schema is http or https, or the host has it in front."""
    host = connection.host or "localhost"
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    return f"{base}:{connection.port}" if connection.port else base


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
    "http": _http,
    "https": _http,
    "postgres": _postgres,
    "sqlite": _sqlite,
}
