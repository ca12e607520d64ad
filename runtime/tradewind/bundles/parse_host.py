"""The parse host: a process that has imported what every DAG file needs, and forks for each file.

Started by `parser.py`, by exec, with the descriptor of a socket on which `ParseJob`s come in and
`ParseAnswer`s go out, and the authoring defaults as JSON. User code runs only in the forks: each has a session of its
own, a time limit, and no way to reach the socket. The host ends when the socket is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NoReturn

from tradewind.authoring.defaults import use_defaults
from tradewind.bundles import parse_child
from tradewind.bundles.loader import load_file, might_define_dags, serve_airflow_names
from tradewind.bundles.oom import oom_kills
from tradewind.bundles.orphans import adopt_orphans, end_orphans
from tradewind.bundles.parse_protocol import (
    LENGTH,
    Frame,
    ParseAnswer,
    ParseJob,
    answer_frame,
    defaults_from_json,
    pack,
    split,
)

PRELOADED: Final = ("tradewind", "jinja2", "pendulum", "croniter", "zoneinfo", "asyncio", "json")
PRELOADED_TREES: Final = ("tradewind.rules", "tradewind.authoring", "tradewind.standard")
"""Imported once here, with all that is in them, so that no fork imports it again."""

_WARM_UP: Final = """
from tradewind import DAG, EmptyOperator, task
with DAG("warm_up", schedule="@daily", start_date="2024-01-01", tags=["a"], default_args={"retries": 1}):
    @task
    def one(number=0):
        return number
    @task
    async def two(found):
        return found
    EmptyOperator(task_id="begin") >> one() >> two(one.override(task_id="other")())
"""
"""What such a file has compiled, cached and imported late is there in every fork."""

KILL_MARGIN: Final = 0.25
"""Seconds after the time limit in which the fork writes down where it stands."""

EXIT_MARGIN: Final = 0.5
"""Seconds that a fork which has closed its pipe without an answer gets to end by itself."""

EXIT_NO_PIPE: Final = 74
"""Exit code of a fork that could not answer: its file has closed the pipe."""

OUTPUT_TAIL: Final = 4000
PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True)
class _Fork:
    """One file being parsed."""

    job: ParseJob
    pid: int
    pipe: int
    output: IO[bytes]
    deadline: float
    kills: int
    """How many processes the kernel had killed for lack of memory when it began."""
    buffer: bytearray = field(default_factory=bytearray)


class ParseHost:
    """Serves one socket until it is closed."""

    def __init__(self, channel: socket.socket, *, catchup_by_file: bool) -> None:
        self._channel = channel
        self._catchup_by_file = catchup_by_file
        self._selector = selectors.DefaultSelector()
        self._forks: dict[int, _Fork] = {}
        """By descriptor of their pipe."""
        self._incoming = bytearray()

    def serve(self) -> None:
        """Returns when the other side has closed the socket; no fork is left then."""
        self._selector.register(self._channel, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        finally:
            for fork in list(self._forks.values()):
                self._reap(fork)
            end_orphans(())

    def _turn(self) -> bool:
        now = time.monotonic()
        nearest = min((fork.deadline for fork in self._forks.values()), default=None)
        for key, _ in self._selector.select(None if nearest is None else max(0.0, nearest - now)):
            if key.fileobj is self._channel:
                if not self._receive():
                    return False
            elif (fork := self._forks.get(key.fd)) is not None:
                self._read(fork)
        now = time.monotonic()
        for fork in [fork for fork in self._forks.values() if fork.deadline <= now]:
            self._finish(fork, timed_out=True)
        return True

    def _receive(self) -> bool:
        data = self._channel.recv(1 << 16)
        if not data:
            return False
        self._incoming += data
        for frame in split(self._incoming):
            self._begin(_job_of(frame))
        return True

    def _begin(self, job: ParseJob) -> None:
        try:
            if job.safe_mode and not might_define_dags(job.fileloc, _read_file(job.fileloc)):
                self._send(ParseAnswer(job.job_id, is_dag_file=False))
                return
            self._fork(job)
        except OSError as error:
            self._send(ParseAnswer(job.job_id, error=f"{type(error).__name__}: {error}"))

    def _fork(self, job: ParseJob) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the fork is reaped
        reading, writing = os.pipe()
        host, kills = os.getpid(), oom_kills()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            output.close()
            raise
        if pid == 0:
            os.close(reading)
            self._be_child(job, writing, output.fileno(), host)
        os.close(writing)
        os.set_blocking(reading, False)
        deadline = time.monotonic() + job.timeout + KILL_MARGIN
        self._forks[reading] = _Fork(job, pid, reading, output, deadline, kills)
        self._selector.register(reading, selectors.EVENT_READ)

    def _be_child(self, job: ParseJob, writing: int, output: int, host: int) -> NoReturn:
        try:
            _isolate(output, host)
            self._channel.close()
            self._selector.close()
            gc.set_threshold(100_000, 20, 100)  # it ends soon, and what it makes is mostly DAGs that stay
            faulthandler.dump_traceback_later(job.timeout)
            try:
                answer = parse_child.parse_file(job, catchup_by_file=self._catchup_by_file)
                frame = answer_frame(answer)
            except BaseException:
                frame = answer_frame(ParseAnswer(job.job_id, error=traceback.format_exc()))
            try:
                with os.fdopen(writing, "wb") as pipe:
                    pipe.write(frame)
            except OSError:
                os._exit(EXIT_NO_PIPE)
        finally:
            os._exit(0)

    def _read(self, fork: _Fork) -> None:
        try:
            data = os.read(fork.pipe, 1 << 20)
        except BlockingIOError:
            return
        fork.buffer += data
        complete = (
            len(fork.buffer) >= LENGTH.size and len(fork.buffer) == LENGTH.size + LENGTH.unpack_from(fork.buffer)[0]
        )
        if complete:
            self._channel.sendall(fork.buffer)
            self._reap(fork)
        elif not data:
            self._finish(fork, timed_out=False)

    def _finish(self, fork: _Fork, *, timed_out: bool) -> None:
        """The fork gave no answer: says why, with the end of what it printed."""
        ended = _ends_within(fork.pid, 0.0 if timed_out else EXIT_MARGIN)
        status = self._reap(fork)
        fork.output.seek(0, os.SEEK_END)
        fork.output.seek(max(0, fork.output.tell() - OUTPUT_TAIL))
        printed = fork.output.read().decode("utf-8", "replace").strip()
        fork.output.close()
        reason = _why_no_answer(fork, status if ended else None, timed_out=timed_out)
        code: str | None = None
        with contextlib.suppress(OSError):
            code = parse_child.text_of(fork.job.fileloc, _read_file(fork.job.fileloc))
        self._send(ParseAnswer(fork.job.job_id, error=f"{reason}\n{printed}".rstrip(), code=code))

    def _reap(self, fork: _Fork) -> int:
        """Ends the fork with all that it started, and returns its status as `os.waitpid` gives it."""
        self._selector.unregister(fork.pipe)
        del self._forks[fork.pipe]
        os.close(fork.pipe)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(fork.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork.pid, signal.SIGKILL)
        status = os.waitpid(fork.pid, 0)[1]
        if not self._forks:  # what has left the session of its fork does not say whose it was
            end_orphans(())
        return status

    def _send(self, answer: ParseAnswer) -> None:
        self._channel.sendall(answer_frame(answer))


def _ends_within(pid: int, seconds: float) -> bool:
    """Whether the child ends in time; it is not reaped."""
    until = time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def _job_of(frame: Frame) -> ParseJob:
    return ParseJob(**frame.header)


def _read_file(fileloc: str) -> bytes:
    return Path(fileloc).read_bytes()


def _why_no_answer(fork: _Fork, status: int | None, *, timed_out: bool) -> str:
    """`status` is that of a fork which ended by itself, or by someone else's hand; None: we had to end it."""
    if status is not None and os.WIFSIGNALED(status):
        return f"The process that loaded the file was killed by {_signal_name(status, fork.kills)} before it was done."
    if timed_out:
        return (
            f"The file did not load within {fork.job.timeout:g} s (dags.import_timeout). Move slow work, such as "
            "requests or queries, from the top of the file into tasks."
        )
    if status is None or os.WEXITSTATUS(status) == EXIT_NO_PIPE:
        return "The file closed descriptors that it had not opened (os.closerange?), so its DAGs cannot be told."
    return f"The process that loaded the file ended with exit status {os.WEXITSTATUS(status)} before it was done."


def _signal_name(status: int, kills_before: int) -> str:
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    if number != signal.SIGKILL:
        return name
    if oom_kills() > kills_before:
        return f"{name} (the kernel, for lack of memory)"
    return f"{name} (neither its time limit nor the kernel for lack of memory: someone else sent it)"


def _isolate(output: int, host: int) -> None:
    """A session of its own, standard streams that lead away from ours, and no life after the host's."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != host:
            os._exit(1)  # it died before we had asked to be told
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("800")  # short of memory, the kernel ends this first
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _preload() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    for tree in PRELOADED_TREES:
        package = importlib.import_module(tree)
        for module in pkgutil.walk_packages(package.__path__, f"{tree}.", onerror=lambda name: None):
            with contextlib.suppress(ImportError):  # needs what is not installed: said where a file imports it
                importlib.import_module(module.name)
    serve_airflow_names()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "warm_up.py")
        file.write_text(_WARM_UP, encoding="utf-8")
        loaded = load_file(file)
        parse_child.specs_of(loaded.dags.values(), [])
    sys.path.remove(folder)
    del sys.modules[loaded.module.__name__]


def main() -> None:
    """Serves the socket whose descriptor is the first argument, with the defaults of the second."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    defaults = defaults_from_json(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    adopt_orphans()
    _preload()
    gc.collect()
    gc.freeze()
    channel.sendall(pack({"ready": True}))
    with use_defaults(defaults):
        ParseHost(channel, catchup_by_file="catchup_by_file" in sys.argv[3:]).serve()
