"""The runtime's side of parsing: keeps a parse host while there is work and never blocks the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, NamedTuple

import anyio
import orjson

from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.bundles.orphans import end_marked, end_tree
from tradewind.bundles.parse_protocol import (
    LENGTH,
    Frame,
    ParseAnswer,
    ParseJob,
    answer_of,
    defaults_to_json,
    job_frame,
    unpack,
)
from tradewind.model.errors import TradewindError
from tradewind.model.rows import ParsedFile
from tradewind.model.specs import DagSource, DagSpec

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

MAX_DEATHS: Final = 5
"""After so many deaths of the host on one file, alone, the file itself is at fault."""

THREAD_BYTES: Final = 256 * 1024
"""Larger answers are taken apart in a thread."""

LINGER: Final = 5.0
"""Seconds that a host whose socket is closed has to end what it has started, and itself."""

_MARK: Final = "TRADEWIND_PARSE_HOST"
"""In the environment of a host and all that it starts: by this they are found when it has been killed."""

_BOOT: Final = """import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from tradewind.bundles.parse_host import main
main()
"""
"""The host finds modules exactly where this process does, whatever has been done to `sys.path` here."""


@dataclass(frozen=True, slots=True)
class ParseSettings:
    """How files are parsed. Times in seconds."""

    processes: int = 2
    timeout: float = 30.0
    idle: float = 60.0
    """A host without work for this long is ended."""
    safe_mode: bool = True
    """Only files whose text speaks of DAGs are loaded …"""
    whole_bundles: tuple[str, ...] = ()
    """… but for these bundles: their files are all loaded."""
    catchup_by_file: bool = True
    """Files that import airflow have catchup on where they do not say."""
    defaults: AuthoringDefaults = field(default_factory=AuthoringDefaults)


class FileToParse(NamedTuple):
    """A file by its bundle, the bundle's root and its path below that."""

    bundle: str
    root: str
    relative: str


class ParseResult(NamedTuple):
    """A parsed file, and what of its bundle it has looked into."""

    file: FileToParse
    parsed: ParsedFile
    reads: frozenset[str]
    lists: frozenset[str]
    external: bool
    is_dag_file: bool


class ParseHostFailed(TradewindError):
    """The process that parses DAG files could not start."""


class HostDied(Exception):
    """The parse host is gone; what it worked on has no answer."""


class Parser:
    """Parses DAG files in child processes, `settings.processes` at once.

    A host that dies takes the files in work with it: each is tried again alone, in a second host, and the
    one that makes that die five times becomes an import error. `close` ends everything.
    """

    def __init__(self, settings: ParseSettings | None = None) -> None:
        self._settings = settings or ParseSettings()
        self._slots = asyncio.Semaphore(self._settings.processes)
        self._alone = asyncio.Lock()
        self._host = _HostKeeper(self._settings)
        self._suspects = _HostKeeper(self._settings)
        self._job_ids = 0

    async def parse(self, files: Sequence[FileToParse]) -> AsyncIterator[ParseResult]:
        """Parses the files and yields each as soon as it is done. Ending the iteration early cancels the rest."""
        tasks = {asyncio.create_task(self.parse_one(file)) for file in files}
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def parse_one(self, file: FileToParse) -> ParseResult:
        """Parses one file. What is wrong with it stands in the result. Raises ParseHostFailed."""
        async with self._slots:
            try:
                answer = await self._host.ask(self._job(file))
            except HostDied:
                answer = await self._ask_alone(file)
        if sum(len(spec) for spec in answer.specs) > THREAD_BYTES:
            return await asyncio.to_thread(_result, file, answer)
        return _result(file, answer)

    async def close(self) -> None:
        """Ends the hosts; twice is allowed."""
        await self._host.close()
        await self._suspects.close()

    async def _ask_alone(self, file: FileToParse) -> ParseAnswer:
        async with self._alone:
            reason = ""
            for _ in range(MAX_DEATHS):
                try:
                    return await self._suspects.ask(self._job(file))
                except HostDied as error:
                    reason = str(error)
        return ParseAnswer(0, error=f"The process that parses files died {MAX_DEATHS} times on this file: it {reason}.")

    def _job(self, file: FileToParse) -> ParseJob:
        self._job_ids += 1
        settings = self._settings
        safe_mode = settings.safe_mode and file.bundle not in settings.whole_bundles
        return ParseJob(self._job_ids, file.bundle, file.root, file.relative, settings.timeout, safe_mode)


class _HostKeeper:
    """Has a host while it is asked, and ends it after `idle` seconds without a question."""

    def __init__(self, settings: ParseSettings) -> None:
        self._settings = settings
        self._starting = asyncio.Lock()
        self._host: _Host | None = None
        self._asking = 0
        self._idle: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def ask(self, job: ParseJob) -> ParseAnswer:
        """The host's answer. Raises HostDied."""
        self._asking += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        try:
            async with self._starting:
                if self._host is None or self._host.dead:
                    await self._drop()
                    self._host = await _Host.start(self._settings)
                host = self._host
            return await host.ask(job)
        finally:
            self._asking -= 1
            if self._asking == 0:
                self._idle = asyncio.get_running_loop().call_later(self._settings.idle, self._rest)

    def _rest(self) -> None:
        self._idle = None
        self._ending = asyncio.get_running_loop().create_task(self._drop_unused())

    async def _drop_unused(self) -> None:
        async with self._starting:
            if self._asking == 0:
                await self._drop()

    async def _drop(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            await host.close()

    async def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._ending is not None:
            await self._ending
        await self._drop()


class _Host:
    """One host process and the questions it has not answered yet."""

    def __init__(self, process: asyncio.subprocess.Process, streams: _Streams, mark: str) -> None:
        self._process = process
        self._reader, self._writer = streams
        self._mark = mark
        self._waiting: dict[int, asyncio.Future[ParseAnswer]] = {}
        self.dead = False
        self._reading: asyncio.Task[None] | None = None

    @staticmethod
    async def start(settings: ParseSettings) -> _Host:
        """Starts the process and waits until it has imported all it needs. Raises ParseHostFailed."""
        with tempfile.TemporaryFile() as errors:
            host = _Host(*await _exec_host(settings, errors))
            try:
                await host._receive()  # it is ready
            except (asyncio.IncompleteReadError, ConnectionError, OSError) as error:
                code = await host._ended()
                await host.close()
                said = await asyncio.to_thread(_read_all, errors)
                raise ParseHostFailed(
                    f"The process that parses DAG files could not start (it {_status_text(code)}):\n{said}"
                ) from error
            except BaseException:
                await host.close()
                raise
        host._reading = asyncio.get_running_loop().create_task(host._read())
        return host

    async def _receive(self) -> Frame:
        (size,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return unpack(await self._reader.readexactly(size))

    async def ask(self, job: ParseJob) -> ParseAnswer:
        if self.dead:
            raise HostDied("ended before it was asked")
        future: asyncio.Future[ParseAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[job.job_id] = future
        try:
            self._writer.write(job_frame(job))
            return await future
        finally:
            self._waiting.pop(job.job_id, None)

    async def _read(self) -> None:
        try:
            while True:
                answer = answer_of(await self._receive())
                future = self._waiting.get(answer.job_id)
                if future is not None and not future.done():
                    future.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            self.dead = True
            code = await self._ended()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(HostDied(_status_text(code)))

    async def _ended(self) -> int:
        """The exit status of the process, which has closed its socket. One that lingers is ended, and nothing
        that it had started is left.
        """
        try:
            code = await asyncio.wait_for(self._process.wait(), LINGER)
        except TimeoutError:
            await asyncio.to_thread(end_tree, self._process.pid)
            code = await self._process.wait()
        if code:  # it could not clear up behind itself
            await asyncio.to_thread(end_marked, f"{_MARK}={self._mark}".encode())
        return code

    async def close(self) -> None:
        """Closes the socket, at which the host ends its forks and itself."""
        self.dead = True
        self._writer.close()
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(OSError):  # it was cut already
                await self._writer.wait_closed()
            if self._reading is not None:
                await self._reading
            else:
                await self._ended()


async def _exec_host(settings: ParseSettings, errors: IO[bytes]) -> tuple[asyncio.subprocess.Process, _Streams, str]:
    mark = secrets.token_hex(8)
    path = orjson.dumps([entry for entry in sys.path if entry]).decode()
    defaults = defaults_to_json(settings.defaults)
    ours, theirs = socket.socketpair()
    streams: _Streams | None = None
    process: asyncio.subprocess.Process | None = None
    try:
        with theirs, anyio.CancelScope(shield=True):  # half started, nobody would end it
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-P", "-c", _BOOT, path, str(theirs.fileno()), defaults],
                *(["catchup_by_file"] if settings.catchup_by_file else []),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, _MARK: mark},
            )
            streams = await asyncio.open_unix_connection(sock=ours)
    finally:
        if streams is None:
            ours.close()
    if process is None or streams is None:
        raise ParseHostFailed("The process that parses DAG files was not started.")  # a shielded scope ends nothing
    return process, streams, mark


def _status_text(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    return f"was killed by {signal.Signals(-code).name if -code in signal.valid_signals() else f'signal {-code}'}"


def _read_all(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()


def _result(file: FileToParse, answer: ParseAnswer) -> ParseResult:
    fileloc = f"{file.root}/{file.relative}"
    parsed = ParsedFile(
        DagSource(file.bundle, answer.version, fileloc, file.relative),
        tuple(DagSpec.from_json(spec) for spec in answer.specs),
        answer.error,
        answer.seconds,
        answer.code,
    )
    reads, lists = frozenset(answer.reads), frozenset(answer.lists)
    return ParseResult(file, parsed, reads, lists, answer.external, answer.is_dag_file)
