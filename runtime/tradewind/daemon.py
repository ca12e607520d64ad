"""The daemon: a runtime, its web server and the signals that stop them.

Start-up is recovery, so it has to be quick: PostgreSQL starts while the runtime's modules are imported,
and the runtime goes on with its runs while those of the pages are.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from tradewind.authoring.defaults import use_defaults
from tradewind.config import Config
from tradewind.database import open_control, open_store
from tradewind.home import ADMIN_PASSWORD, forget_address, keep_secret, tell_address
from tradewind.model.errors import StoreUnavailable
from tradewind.services.garbage import settle

if TYPE_CHECKING:
    from tradewind.executor_ports import Executor
    from tradewind.host import Runtime
    from tradewind.services.control import RuntimeControl
    from tradewind.web.server import WebServer

log = logging.getLogger(__name__)

ADMIN: Final = "admin"
EXIT_AT_ONCE: Final = 130

LET_GO_WITHIN: Final = 3.0
"""Seconds that coroutines which tasks have left behind get to end at the stop."""

CANCELLED_FROM_OUTSIDE: Final = (
    "Tradewind's own part of the event loop was cancelled, probably by a task that cancels all of asyncio.all_tasks(). "
    "Stopping: a new start goes on with every run. Give such a task executor='local', a process of its own."
)
LOOK_AGAIN: Final = 0.2
"""Seconds until a database that was away is asked again."""


@dataclass(frozen=True, slots=True)
class ReadyInfo:
    """What a person wants to know once the daemon is up. `password` only when it was just made."""

    seconds: float
    url: str | None
    username: str | None = None
    password: str | None = None
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class FilesRead:
    """Every DAG file that was there at the start has been read, and its DAGs can be asked for."""

    seconds: float
    dags: int
    faulty_files: int


@dataclass(frozen=True, slots=True)
class Announcements:
    """What is told while the daemon comes up: that it answers, and, where it reads DAG files, that it has read them."""

    on_ready: Callable[[ReadyInfo], None]
    on_files_read: Callable[[FilesRead], None]


def serve(config: Config, roles: frozenset[str], announcements: Announcements, *, make_tables: bool = False) -> int:
    """Runs until a signal stops it. Returns the exit code: 0 after a drain, 130 after a second
    signal. `make_tables`: as `open_store` has it. Raises TradewindError where it cannot start.
    """
    _set_up_logging(config)
    loop = _new_loop()
    try:
        asyncio.set_event_loop(loop)
        code, left = _run_to_the_end(loop, _serve(config, roles, announcements, make_tables))
    finally:
        asyncio.set_event_loop(None)
    if left:  # everything of ours is closed, and what is left would hold up the interpreter's end
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return code


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def _run_to_the_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, int]) -> tuple[int, bool]:
    """The result of `main`, and whether user code left something on the loop that does not end.

    Async tasks share this loop. One that stops it, or lets SystemExit out of a callback, stops nothing else.
    """
    task = loop.create_task(main)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
            if not task.done():
                log.error("code on the event loop, probably of a task, tried to end it (%r): it goes on", error)
        except BaseException:
            break
    left = loop.run_until_complete(_let_go())
    return task.result(), left


async def _let_go() -> bool:
    """Cancels what user code has left on the loop. Returns whether something ignores that."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=LET_GO_WITHIN)
    for task in left:
        log.warning("left behind, for it does not end when it is cancelled: %s", _name_of(task))
    return bool(left)


def _name_of(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", None) or repr(coroutine)


async def _serve(config: Config, roles: frozenset[str], announcements: Announcements, make_tables: bool) -> int:
    began, code = time.monotonic(), 0
    stop = _stop_on_signals()
    async with AsyncExitStack() as exits:
        exits.enter_context(use_defaults(config.authoring_defaults()))  # which names are those of secrets, for one
        control, runtime = await exits.enter_async_context(_control(config, roles, make_tables))
        info = ReadyInfo(0.0, None)
        if "web" in roles:
            await asyncio.to_thread(_import_web)
            settle()
            password = await _first_login(config, control)
            from tradewind.web.log_files import web_log_files

            exits.enter_context(web_log_files(config.home, config.web.access_logfile, config.web.error_logfile))
            server = await exits.enter_async_context(await _web_server(config, control))
            await asyncio.to_thread(tell_address, config.home, server.url)
            exits.push_async_callback(asyncio.to_thread, forget_address, config.home, server.url)
            file = config.home / ADMIN_PASSWORD
            info = ReadyInfo(0.0, server.url, ADMIN, password, file if file.exists() else None)
        seconds = time.monotonic() - began
        announcements.on_ready(replace(info, seconds=seconds))
        try:
            async with anyio.create_task_group() as tasks:
                if runtime is not None:
                    tasks.start_soon(_tell_of_files, runtime, began, announcements.on_files_read)
                await stop.wait()
                tasks.cancel_scope.cancel()
        except asyncio.CancelledError:
            code = 1
            log.error("%s", CANCELLED_FROM_OUTSIDE)
        log.info("stopping: running tasks get %g s to end", config.scheduler.drain_timeout)
    return code


async def _tell_of_files(runtime: Runtime, began: float, on_files_read: Callable[[FilesRead], None]) -> None:
    await runtime.files_loaded()
    seconds = time.monotonic() - began
    reads = runtime.control.reads
    try:
        dags, faulty = await reads.dag_list(), await reads.import_error_list()
    except StoreUnavailable as lost:
        log.warning("the DAG files are read, and the database is away: %s", lost)
    else:
        on_files_read(FilesRead(seconds, len(dags), len(faulty)))


@asynccontextmanager
async def _control(
    config: Config, roles: frozenset[str], make_tables: bool
) -> AsyncGenerator[tuple[RuntimeControl, Runtime | None]]:
    """A runtime of our own, or only the way to those of others."""
    if "scheduler" not in roles:
        async with open_control(config) as control:
            yield control, None
        return
    importing = asyncio.ensure_future(asyncio.to_thread(_import_runtime))
    async with AsyncExitStack() as exits:
        try:
            store = await exits.enter_async_context(open_store(config, make_tables=make_tables))
        except BaseException:
            await asyncio.wait({importing})
            raise
        executors = await importing
        from tradewind.host import Parts, Runtime

        parts = Parts(store=store, executors=executors, own_process=True)
        runtime = await exits.enter_async_context(Runtime(config, parts=parts))
        yield runtime.control, runtime


def _import_runtime() -> dict[str, Executor]:
    """Takes what `_control` needs into memory; the executors with it."""
    importlib.import_module("tradewind.host")
    from tradewind.services.executor_loading import load_executors

    return load_executors()


def _import_web() -> None:
    """Takes what the pages need into memory: done in a thread, it holds up no task."""
    for name in ("tradewind.web.auth.passwords", "tradewind.web.server"):
        importlib.import_module(name)


async def _web_server(config: Config, control: RuntimeControl) -> WebServer:
    from tradewind.web.server import WebServer
    from tradewind.web.settings import web_config

    return WebServer(control, await asyncio.to_thread(web_config, config))


async def _first_login(config: Config, control: RuntimeControl) -> str | None:
    """As `_make_login`, waiting while the database is away: the runtime is at work already."""
    while True:
        try:
            return await _make_login(config, control)
        except StoreUnavailable as lost:
            log.warning("the pages wait for the database: %s", lost)
            await asyncio.sleep(LOOK_AGAIN)


async def _make_login(config: Config, control: RuntimeControl) -> str | None:
    """Makes the admin login where there is none. Returns its password, which is shown once and
    kept in the home folder.
    """
    from tradewind.model.rows import UserRow
    from tradewind.web.auth.passwords import hash_password
    from tradewind.web.roles import Role

    store = control.store
    if await store.user_get(ADMIN) is not None:
        return None
    password = secrets.token_urlsafe(12)
    path = config.home / ADMIN_PASSWORD
    await asyncio.to_thread(path.unlink, missing_ok=True)
    await asyncio.to_thread(keep_secret, path, password)
    await store.user_set(UserRow(ADMIN, await hash_password(password), Role.ADMIN.value))
    return password


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM, and when the terminal is closed; the second of the two ends the process at
    once.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_AT_ONCE)  # the next start recovers: there is no other way to start
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        loop.add_signal_handler(signal.SIGHUP, stop.set)  # may come twice: from the terminal and from the shell
    return stop


def _set_up_logging(config: Config) -> None:
    text = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=config.logging.level, format=text, stream=sys.stderr, force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    if config.web.error_logfile in (None, "-") and config.logging.level != "DEBUG":
        # Where it listens, and that it does no longer, is for that file: people read it in what is announced.
        logging.getLogger("tradewind.web.server").setLevel(logging.WARNING)
