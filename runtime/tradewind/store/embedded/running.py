"""A server that runs: what its keeper wrote about it, and how to know that it is the right one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import asyncpg

from tradewind.store.embedded import cluster, places
from tradewind.store.embedded.errors import EmbeddedError

_ALIVE_WITHIN_S = 300.0
_CONNECT_TIMEOUT_S = 10.0
_TRY_AGAIN_S = 0.01
_SHORT_LIVES_MAX = 3
_LOG_TAIL_LINES = 12


class ConnectArguments(TypedDict):
    """Keyword arguments for `asyncpg.connect` and `asyncpg.create_pool`."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ssl: bool


@dataclass(frozen=True, slots=True)
class State:
    """What the keeper wrote: whose it is, the socket's folder, pids, which start this is, how the last one ended."""

    root: Path
    run: Path
    keeper: int
    server: int
    generation: int
    short_lives: int
    last_ending: str


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answered: where it is, how to connect, what it and its keeper say about themselves."""

    where: places.Places
    password: str
    state: State | None
    version: str
    system_identifier: int


async def connect_until_alive(where: places.Places, password: str) -> Running:
    """Connect as soon as the server takes connections; make its database where that is not there yet.

    Raises:
        EmbeddedError: it does not stay up, does not answer, refuses the password, or is another server.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _ALIVE_WITHIN_S
    while True:
        state = await asyncio.to_thread(read_state, where)
        try:
            version, identifier = await _ask_or_create(where, password)
            return Running(where, password, state, version, identifier)
        except asyncpg.InvalidPasswordError as error:
            raise EmbeddedError(f"The password in {where.password} is not the one of the database: {error}") from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = error
        if state is not None and state.short_lives >= _SHORT_LIVES_MAX:
            raise EmbeddedError(
                f"PostgreSQL in {where.data} does not stay up ({state.last_ending}). The end of {where.log}:\n"
                + await asyncio.to_thread(log_tail, where)
            )
        if loop.time() > end:
            raise EmbeddedError(
                f"PostgreSQL in {where.data} did not answer on {where.run} for {_ALIVE_WITHIN_S:.0f} s: {reason}. "
                f"See {where.log}; a server of the same home in another container cannot be joined."
            )
        await asyncio.sleep(_TRY_AGAIN_S)


async def _ask_or_create(where: places.Places, password: str) -> tuple[str, int]:
    try:
        return await _ask(where, password)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(where, password)
    return await _ask(where, password)


async def _ask(where: places.Places, password: str) -> tuple[str, int]:
    """Connect and make sure that the server that answers is the one of this data directory: version, identifier."""
    connection = await asyncpg.connect(**connect_arguments(where, password), timeout=_CONNECT_TIMEOUT_S)
    try:
        row = await connection.fetchrow(
            "SELECT system_identifier, current_setting('data_directory'), current_setting('server_version')"
            " FROM pg_control_system()"
        )
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
    if row is None:
        raise EmbeddedError(f"The server on {where.run} does not say which it is.")
    identifier, directory, version = int(row[0]), str(row[1]), str(row[2])
    expected = await asyncio.to_thread(cluster.system_identifier, where)
    if identifier != expected or directory != where.data_argument:
        raise EmbeddedError(
            f"The server that answers on {where.run} serves {directory} (system identifier {identifier}), not "
            f"{where.data} ({expected}). Stop it, or choose another home."
        )
    return version.split()[0], identifier


async def _create_database(where: places.Places, password: str) -> None:
    arguments = connect_arguments(where, password)
    arguments["database"] = "postgres"
    connection = await asyncpg.connect(**arguments, timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute(f'CREATE DATABASE "{cluster.DATABASE}"')
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


def connect_arguments(where: places.Places, password: str) -> ConnectArguments:
    """How to connect to the server of these places."""
    return ConnectArguments(
        host=str(where.run),
        port=places.SOCKET_PORT,
        user=cluster.SUPERUSER,
        password=password,
        database=cluster.DATABASE,
        ssl=False,
    )


def read_state(where: places.Places) -> State | None:
    """What the keeper wrote last; None where no server runs."""
    try:
        found = json.loads(where.state.read_text())
    except (OSError, ValueError):
        return None
    return State(
        root=Path(found["root"]),
        run=Path(found["run"]),
        keeper=int(found["keeper"]),
        server=int(found["server"]),
        generation=int(found["generation"]),
        short_lives=int(found["short_lives"]),
        last_ending=str(found["last_ending"]),
    )


def log_tail(where: places.Places) -> str:
    """The last lines that the server and its keeper wrote."""
    try:
        lines = where.log.read_text(errors="replace").splitlines()
    except OSError:
        return f"({where.log} cannot be read)"
    return "\n".join(lines[-_LOG_TAIL_LINES:])
