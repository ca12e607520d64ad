"""What all tests share: the guard over the loop, the groups, one PostgreSQL server a session."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from pathlib import Path

import asyncpg
import hypothesis
import pytest
from blockbuster import blockbuster_ctx

from tests.groups import GROUPS, Missing, chromium, postgres15_bin
from tradewind.store.embedded import EmbeddedServer

_CPU_SECONDS_A_CALLBACK_MAX = 1.0
_OUR_THREADS = "tradewind"
_SECONDS_FOR_THREADS_TO_END = 60.0
_NOT_RUN = pytest.StashKey[dict[str, tuple[Missing, int]]]()
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "100"}

NewDatabase = Callable[[], Awaitable[str]]

_RAM_DISK = "/dev/shm"
_ROOM_FOR_TESTS = 4 << 30


# Where homes and databases are ---------------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Temporary folders are in memory where the machine has room there and TMPDIR says nothing else: homes with a
    database of their own are made, synced and thrown away for many tests, and a disk takes seconds for that.
    """
    if "TMPDIR" not in os.environ and _is_good_for_homes(_RAM_DISK):
        tempfile.tempdir = os.environ["TMPDIR"] = _RAM_DISK
    _forget_settings_of_the_person()


def _forget_settings_of_the_person() -> None:
    """Neither the variables of the shell, its umask, its deafness to Ctrl-C (of what scripts start with `&`) nor the
    home folder of who runs the tests say anything in them, and who has no home folder can run them.
    """
    os.umask(0o022)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "TRADEWIND__", "TRADEWIND_HOME"))]:
        del os.environ[name]
    os.environ["AIRFLOW_HOME"] = str(Path(tempfile.gettempdir(), f"tradewind-nobody-{os.getpid()}"))


def _is_good_for_homes(folder: str) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    facts = os.statvfs(folder)
    return not facts.f_flag & os.ST_NOEXEC and facts.f_bavail * facts.f_frsize >= _ROOM_FOR_TESTS


# What Hypothesis draws ------------------------------------------------------------------------------------------------

# The same in each run, and as slowly as the machine likes: a run tells about the change that it tests. To look for what
# nobody has thought of yet: `--hypothesis-profile=search`.
hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")


# The groups ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all-groups",
        action="store_true",
        help="fail where a group of tests could not run because what it needs is not installed",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    not_run: dict[str, tuple[Missing, int]] = {}
    for group in GROUPS:
        members = [item for item in items if item.get_closest_marker(group.marker)]
        missing = group.missing() if members else None
        if missing is None:
            continue
        not_run[group.marker] = (missing, len(members))
        for item in members:
            item.add_marker(pytest.mark.skip(reason=f"{missing.reason}; {missing.install}"))
    config.stash[_NOT_RUN] = not_run


def _not_run(config: pytest.Config) -> dict[str, tuple[Missing, int]]:
    nothing: dict[str, tuple[Missing, int]] = {}
    return config.stash.get(_NOT_RUN, nothing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for marker, (missing, count) in _not_run(config).items():
        terminalreporter.write_line(
            f"NOT RUN: group {marker} ({count} tests): {missing.reason}. Install it: {missing.install}", yellow=True
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    shutil.rmtree(os.environ["AIRFLOW_HOME"], ignore_errors=True)
    required = session.config.getoption("--require-all-groups")
    if required and _not_run(session.config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# The loop guard -----------------------------------------------------------------------------------------------------


class _Collector:
    """Seconds of CPU that the garbage collector has taken in the main thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0
        gc.callbacks.append(self._told)

    def _told(self, phase: str, _: dict[str, int]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._began


_COLLECTOR = _Collector()


def pytest_collection_finish() -> None:
    """What stays until the end is not gone through again by each collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def loop_guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which our code blocks the loop.

    A blocking call (file, socket, sleep, subprocess) made by our packages on the loop raises where it is made. A
    callback that computes for too long is found by its own CPU time, so that a busy machine fails nothing; what the
    garbage collector takes in it goes through the objects of the whole session and is not the callback's.
    A test that blocks on purpose says so: `@pytest.mark.blocks_the_loop`.
    """
    if request.node.get_closest_marker("blocks_the_loop"):
        yield
        return
    slow: list[str] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        start = time.thread_time() - _COLLECTOR.seconds
        run(handle)
        spent = time.thread_time() - _COLLECTOR.seconds - start
        if spent > _CPU_SECONDS_A_CALLBACK_MAX:
            slow.append(f"{spent:.2f} s of CPU in {handle!r}")

    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    with blockbuster_ctx(["tradewind", "tradewind_executors", "tradewind_providers"]):
        yield
    if slow:
        pytest.fail("a callback kept the loop from everything else: " + "; ".join(slow))


# Threads ------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test after which a thread of ours is still there, once all that the test has used is closed."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _SECONDS_FOR_THREADS_TO_END
    ours = [t for t in threading.enumerate() if t not in before and t.name.startswith(_OUR_THREADS)]
    for thread in ours:
        thread.join(max(deadline - time.monotonic(), 0.0))
    if left := sorted(thread.name for thread in ours if thread.is_alive()):
        pytest.fail(f"threads are left behind: {', '.join(left)}")


# The search path ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of DAG files that a test loads in this process are no places for the modules of the next one's."""
    monkeypatch.setattr(sys, "path", list(sys.path))


# PostgreSQL ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running_postgres(*, bin_dir: Path | None = None, settings: Mapping[str, str] = _FAST) -> Generator[str]:
    """A server of its own in a temporary home, held by a thread with a loop of its own. Gives its URL.

    Not durable unless `settings` say so: for everything but tests of durability.
    """
    home = Path(tempfile.mkdtemp(prefix="tradewind-test-"))
    home.chmod(0o711)  # as root the server is another user, who has to get to its data directory
    joined: list[EmbeddedServer | BaseException] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def hold() -> None:
        try:
            server = await EmbeddedServer.join(home, bin_dir=bin_dir, settings=settings)
        except BaseException as error:
            joined.append(error)
            ready.set()
            return
        joined.append(server)
        ready.set()
        await done.wait()
        await server.leave()

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(hold())

    thread = threading.Thread(target=serve, name="test PostgreSQL")
    thread.start()
    ready.wait()
    try:
        server = joined[0]
        if isinstance(server, BaseException):
            raise server
        yield server.dsn
    finally:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)
        thread.join()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of the session's server, as superuser, in its database `tradewind`. Leave that database as it is."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres15_url() -> Iterator[str]:
    """The URL of a PostgreSQL 15, the oldest that is supported. For tests marked `postgres15`."""
    with running_postgres(bin_dir=postgres15_bin()) as url:
        yield url


@pytest.fixture
async def new_database(postgres_url: str) -> AsyncIterator[NewDatabase]:
    """Make any number of empty databases on the session's server; each is dropped after the test."""
    async with databases_of(postgres_url) as make:
        yield make


@pytest.fixture
async def database_url(new_database: NewDatabase) -> str:
    """The URL of an empty database of this test's own."""
    return await new_database()


@contextlib.asynccontextmanager
async def databases_of(server_url: str, *, template: str = "template0") -> AsyncGenerator[NewDatabase]:
    """Make databases on a server, copies of `template`, and drop them at the end."""
    names: list[str] = []

    async def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        names.append(name)
        return url_of(server_url, name)

    admin = await asyncpg.connect(server_url)
    try:
        yield make
    finally:
        for name in names:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


def url_of(server_url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urllib.parse.urlsplit(server_url)._replace(path=f"/{database}").geturl()


# The browser --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """The browser of the machine. For tests marked `browser`."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium")
    return path
