"""What the rest of the product holds: the embedded server of one home, joined and left."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tradewind.store.embedded import binaries as programs
from tradewind.store.embedded import cluster, locks, places, watch
from tradewind.store.embedded.errors import EmbeddedError
from tradewind.store.embedded.running import (
    ConnectArguments,
    Running,
    connect_arguments,
    connect_until_alive,
    log_tail,
    read_state,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_KEEPER = Path(__file__).with_name("keeper.py")
_LOCK_WITHIN_S = 120.0
_REVIVE_AGAIN_S = 1.0
_STOPPED_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What `join` was asked for."""

    bin_dir: Path | None
    settings: Mapping[str, str]
    on_restart: Callable[[], None] | None


@dataclass(slots=True)
class EmbeddedServer:
    """One home's PostgreSQL, in use by this process until `leave`.

    Any number of processes may join; the last to leave, or to die, stops the server. While joined, the server is
    brought back when it dies, and so is its keeper; `on_restart` is called on the loop each time it is back.
    """

    _wish: _Wish
    _running: Running
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
            if users.opened:  # and wait: whoever comes next shall not meet the keeper of this failure
                await _in_thread(lambda: _leave(where, users))
            raise
        server = cls(wish, running, users)
        server._supervisor = asyncio.create_task(server._supervise(), name="embedded PostgreSQL supervisor")
        return server

    @property
    def asyncpg_kwargs(self) -> ConnectArguments:
        """How to connect, as keyword arguments of asyncpg."""
        return connect_arguments(self._running.where, self._running.password)

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
    def password_file(self) -> Path:
        """Where the password is, mode 0600."""
        return self._running.where.password

    async def leave(self) -> None:
        """Stop using the server. Where nobody else does, it has stopped when this returns. Twice is allowed."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait({supervisor})
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


async def _changed(running: Running) -> None:
    """Return when the server, or the keeper, is not the one any more that we connected to."""
    state = await _in_thread(lambda: read_state(running.where))
    if state is None or state != running.state:
        return
    waits = [asyncio.ensure_future(watch.process_ended(pid)) for pid in (state.keeper, state.server)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _ensure(where: places.Places, wish: _Wish, users: locks.FileLock) -> Running:
    """Under the start lock: be a user, see that a server runs, connect once."""
    start = locks.FileLock(where.start_lock)
    try:
        if not await _in_thread(lambda: start.acquire(within_s=_LOCK_WITHIN_S)):
            raise EmbeddedError(
                f"Another process has been starting or stopping the database in {where.root} for "
                f"{_LOCK_WITHIN_S:.0f} s. Look at {where.log}."
            )
        where, password = await _in_thread(lambda: _see_that_it_runs(where, wish, users))
        return await connect_until_alive(where, password)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"The database in {where.root} could not be started: {error}. See {where.log}.") from error
    finally:
        start.release()


def _see_that_it_runs(where: places.Places, wish: _Wish, users: locks.FileLock) -> tuple[places.Places, str]:
    if not users.opened and not users.acquire(shared=True, within_s=_LOCK_WITHIN_S):
        raise EmbeddedError(
            f"The database in {where.root} has been stopping for {_LOCK_WITHIN_S:.0f} s. See {where.log}."
        )
    state = read_state(where)
    if state is not None and not locks.is_free(where.keeper_lock):
        return replace(where, run=state.run), cluster.read_password(where)
    chosen = programs.choose(major=cluster.existing_major(where), named=wish.bin_dir)
    places.need_walkable(where, chosen)
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
        said = lines[0] if lines else answer.stderr.strip() or log_tail(where)
        raise EmbeddedError(f"The keeper of the database in {where.root} did not start: {said}")


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
