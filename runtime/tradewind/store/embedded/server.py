"""What the rest of the product holds: the embedded server of one home, joined and left."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TypedDict, TypeVar

import asyncpg

from tradewind.store.embedded import binaries as programs
from tradewind.store.embedded import cluster, locks, places, watch
from tradewind.store.embedded.errors import EmbeddedError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_KEEPER = Path(__file__).with_name("keeper.py")
_LOCK_WITHIN_S = 120.0
_ALIVE_WITHIN_S = 300.0
_CONNECT_TIMEOUT_S = 10.0
_TRY_AGAIN_S = 0.01
_REVIVE_AGAIN_S = 1.0
_STOPPED_WITHIN_S = 30.0
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
class _Wish:
    """What `join` was asked for."""

    bin_dir: Path | None
    settings: Mapping[str, str]
    on_restart: Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class _State:
    """What the keeper wrote: whose it is, the socket's folder, pids, which start this is, how the last one ended."""

    root: Path
    run: Path
    keeper: int
    server: int
    generation: int
    short_lives: int
    last_ending: str


@dataclass(frozen=True, slots=True)
class _Running:
    """A server that answered: where it is, how to connect, what it and its keeper say about themselves."""

    where: places.Places
    password: str
    state: _State | None
    version: str
    system_identifier: int


@dataclass(slots=True)
class EmbeddedServer:
    """One home's PostgreSQL, in use by this process until `leave`.

    Any number of processes may join; the last to leave, or to die, stops the server. While joined, the server is
    brought back when it dies, and so is its keeper; `on_restart` is called on the loop each time it is back.
    """

    _wish: _Wish
    _running: _Running
    _users: locks.FileLock
    _supervisor: asyncio.Task[None] | None = field(default=None)

    @classmethod
    async def join(
        cls,
        home: Path,
        *,
        on_restart: Callable[[], None] | None = None,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> EmbeddedServer:
        """Start the server of `home`, or join the one that runs.

        Args:
            home: the product's home folder; all is kept in its folder `postgres`.
            on_restart: called on this loop after the server died and came back.
            bin_dir: the `bin` folder of the PostgreSQL to use instead of the one that is found.
            settings: server settings that replace ours; they count for the process that starts the server.

        Raises:
            EmbeddedError: there is no PostgreSQL, it does not fit the data directory, or it does not start.
        """
        where = await _in_thread(lambda: places.prepare(home))
        wish = _Wish(bin_dir=bin_dir, settings=dict(settings or {}), on_restart=on_restart)
        users = locks.FileLock(where.users_lock)
        try:
            running = await _ensure(where, wish, users)
        except BaseException:
            users.release()
            raise
        server = cls(wish, running, users)
        server._supervisor = asyncio.create_task(server._supervise(), name="embedded PostgreSQL supervisor")
        return server

    @property
    def asyncpg_kwargs(self) -> ConnectArguments:
        """How to connect, as keyword arguments of asyncpg."""
        return _connect_arguments(self._running.where, self._running.password)

    @property
    def dsn(self) -> str:
        """How to connect, as a URL that asyncpg and libpq understand. It holds the password: not for logs."""
        secret = urllib.parse.quote(self._running.password, safe="")
        return self.public_dsn.replace("@", f":{secret}@", 1)

    @property
    def public_dsn(self) -> str:
        """The URL without the password, for people."""
        query = urllib.parse.urlencode({"host": str(self._running.where.run), "port": places.SOCKET_PORT})
        return f"postgresql://{cluster.SUPERUSER}@/{cluster.DATABASE}?{query}"

    @property
    def version(self) -> str:
        """The server's version, as `18.4`."""
        return self._running.version

    @property
    def system_identifier(self) -> int:
        """The number that tells this cluster from every other."""
        return self._running.system_identifier

    @property
    def data_directory(self) -> Path:
        """Where the data is."""
        return self._running.where.data

    @property
    def socket_directory(self) -> Path:
        """Where the socket is."""
        return self._running.where.run

    @property
    def log_file(self) -> Path:
        """What the server and its keeper said."""
        return self._running.where.log

    @property
    def password_file(self) -> Path:
        """Where the password is, mode 0600."""
        return self._running.where.password

    async def leave(self) -> None:
        """Stop using the server. Where nobody else does, it has stopped when this returns. Twice is allowed."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await supervisor
        if self._users.opened:
            await _in_thread(lambda: _leave(self._running.where, self._users))

    async def __aenter__(self) -> EmbeddedServer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def _supervise(self) -> None:
        while True:
            await _changed(self._running)
            _log.warning("The embedded PostgreSQL or its keeper has ended; it is being brought back.")
            while True:
                try:
                    self._running = await _ensure(self._running.where, self._wish, self._users)
                    break
                except EmbeddedError as error:
                    _log.error("The embedded PostgreSQL is still down: %s", error)
                    await asyncio.sleep(_REVIVE_AGAIN_S)
            _log.warning("The embedded PostgreSQL is back.")
            self._tell_restart()

    def _tell_restart(self) -> None:
        if self._wish.on_restart is not None:
            try:
                self._wish.on_restart()
            except Exception:
                _log.exception("on_restart of the embedded PostgreSQL failed")


async def _in_thread(call: Callable[[], _T]) -> _T:
    """Run a blocking call in a thread. Cancelled, it still waits for the call's end, so that no lock stays behind."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


async def _changed(running: _Running) -> None:
    """Return when the server, or the keeper, is not the one any more that we connected to."""
    state = await _in_thread(lambda: _read_state(running.where))
    if state is None or state != running.state:
        return
    waits = [asyncio.ensure_future(watch.process_ended(pid)) for pid in (state.keeper, state.server)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _ensure(where: places.Places, wish: _Wish, users: locks.FileLock) -> _Running:
    """Under the start lock: be a user, see that a server runs, connect once."""
    start = locks.FileLock(where.start_lock)
    try:
        if not await _in_thread(lambda: start.acquire(within_s=_LOCK_WITHIN_S)):
            raise EmbeddedError(
                f"Another process has been starting or stopping the database in {where.root} for "
                f"{_LOCK_WITHIN_S:.0f} s. Look at {where.log}."
            )
        where, password = await _in_thread(lambda: _see_that_it_runs(where, wish, users))
        return await _connect_until_alive(where, password)
    finally:
        start.release()


def _see_that_it_runs(where: places.Places, wish: _Wish, users: locks.FileLock) -> tuple[places.Places, str]:
    if not users.opened and not users.acquire(shared=True, within_s=_LOCK_WITHIN_S):
        raise EmbeddedError(
            f"The database in {where.root} has been stopping for {_LOCK_WITHIN_S:.0f} s. See {where.log}."
        )
    state = _read_state(where)
    if state is not None and not locks.is_free(where.keeper_lock):
        return replace(where, run=state.run), cluster.read_password(where)
    chosen = programs.choose(major=cluster.existing_major(where), named=wish.bin_dir)
    chosen = places.readable_binaries(chosen, where.account)
    password = cluster.read_password(where)
    own = state is not None and state.root == where.root  # the state in a copied home speaks of the original
    where = places.open_run(where, state.run if state is not None and own else None)
    if not where.data.exists():
        cluster.create(where, chosen, password)
    _start_keeper(where, cluster.server_command(where, chosen, wish.settings))
    return where, password


def _start_keeper(where: places.Places, command: list[str]) -> None:
    account = where.account
    orders = {
        "command": command,
        "environment": cluster.server_environment(),
        "root": str(where.root),
        "data": str(where.data),
        "run": str(where.run),
        "log": str(where.log),
        "state": str(where.state),
        "users_lock": str(where.users_lock),
        "keeper_lock": str(where.keeper_lock),
        "uid": account.uid if account.switch else None,
        "gid": account.gid if account.switch else None,
    }
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", str(_KEEPER)],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        cwd="/",
        start_new_session=True,
        timeout=_LOCK_WITHIN_S,
        check=False,
    )
    lines = answer.stdout.splitlines()
    if not lines or "error" in json.loads(lines[0]):
        said = lines[0] if lines else answer.stderr.strip() or _log_tail(where)
        raise EmbeddedError(f"The keeper of the database in {where.root} did not start: {said}")


async def _connect_until_alive(where: places.Places, password: str) -> _Running:
    loop = asyncio.get_running_loop()
    end = loop.time() + _ALIVE_WITHIN_S
    while True:
        state = await _in_thread(lambda: _read_state(where))
        try:
            version, identifier = await _ask(where, password)
            return _Running(where, password, state, version, identifier)
        except asyncpg.InvalidPasswordError as error:
            raise EmbeddedError(f"The password in {where.password} is not the one of the database: {error}") from error
        except asyncpg.InvalidCatalogNameError:
            await _create_database(where, password)
            continue
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            reason = error
        if state is not None and state.short_lives >= _SHORT_LIVES_MAX:
            raise EmbeddedError(
                f"PostgreSQL in {where.data} does not stay up ({state.last_ending}). The end of {where.log}:\n"
                + await _in_thread(lambda: _log_tail(where))
            )
        if loop.time() > end:
            raise EmbeddedError(
                f"PostgreSQL in {where.data} did not answer on {where.run} for {_ALIVE_WITHIN_S:.0f} s: {reason}. "
                f"See {where.log}; a server of the same home in another container cannot be joined."
            )
        await asyncio.sleep(_TRY_AGAIN_S)


async def _ask(where: places.Places, password: str) -> tuple[str, int]:
    """Connect and make sure that the server that answers is the one of this data directory: version, identifier."""
    connection = await asyncpg.connect(**_connect_arguments(where, password), timeout=_CONNECT_TIMEOUT_S)
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
    expected = await _in_thread(lambda: cluster.system_identifier(where))
    if identifier != expected or directory != where.data_argument:
        raise EmbeddedError(
            f"The server that answers on {where.run} serves {directory} (system identifier {identifier}), not "
            f"{where.data} ({expected}). Stop it, or choose another home."
        )
    return version.split()[0], identifier


async def _create_database(where: places.Places, password: str) -> None:
    arguments = _connect_arguments(where, password)
    arguments["database"] = "postgres"
    connection = await asyncpg.connect(**arguments, timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute(f'CREATE DATABASE "{cluster.DATABASE}"')
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


def _connect_arguments(where: places.Places, password: str) -> ConnectArguments:
    return ConnectArguments(
        host=str(where.run),
        port=places.SOCKET_PORT,
        user=cluster.SUPERUSER,
        password=password,
        database=cluster.DATABASE,
        ssl=False,
    )


def _leave(where: places.Places, users: locks.FileLock) -> None:
    """Give up the shared lock; where it was the last, wait until the keeper has stopped the server.

    Under the start lock, so that nobody joins a server that is going down. The keeper waits for the exclusive lock
    all the time; asking for it ourselves tells whether anybody else is left: we get it, or the keeper already has it.
    """
    with locks.FileLock(where.start_lock) as start:
        start.acquire(within_s=_LOCK_WITHIN_S)
        last = users.acquire(within_s=0) or not users.acquire(shared=True, within_s=0)
        users.release()
        if last:
            locks.wait_free(where.keeper_lock, within_s=_STOPPED_WITHIN_S)


def _read_state(where: places.Places) -> _State | None:
    try:
        found = json.loads(where.state.read_text())
    except (OSError, ValueError):
        return None
    return _State(
        root=Path(found["root"]),
        run=Path(found["run"]),
        keeper=int(found["keeper"]),
        server=int(found["server"]),
        generation=int(found["generation"]),
        short_lives=int(found["short_lives"]),
        last_ending=str(found["last_ending"]),
    )


def _log_tail(where: places.Places) -> str:
    try:
        lines = where.log.read_text(errors="replace").splitlines()
    except OSError:
        return f"({where.log} cannot be read)"
    return "\n".join(lines[-_LOG_TAIL_LINES:])
