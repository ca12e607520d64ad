"""One zygote as its executor sees it: a process, its control socket, and who waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from tradewind.bundles.orphans import end_marked, end_tree
from tradewind.model.errors import TradewindError
from tradewind.model.outcomes import ErrorInfo, ExitInfo
from tradewind.worker.zygote import PACKET_MAX

START_MAY_TAKE: Final = 30.0
"""Seconds that a process gets to start, beside what its file may take to be imported."""

_MARK: Final = "TRADEWIND_ZYGOTE"
"""In the environment of all that descends from a zygote: one that is killed cannot clear up behind itself."""


class Source(NamedTuple):
    """The file that a zygote serves, of one version of its bundle."""

    fileloc: str
    bundle_version: str
    root: str | None

    def too_slow(self, seconds: float) -> ErrorInfo:
        """What is wrong with one whose import has not come to its end."""
        text = (
            f"{self.fileloc} has not been imported within {seconds:g} s (dags.import_timeout, and {START_MAY_TAKE:g} s "
            "for its process to start). Move slow work into the tasks"
        )
        return ErrorInfo("TimeoutError", text, f"TimeoutError: {text}\n")


class Attendant(Protocol):
    """An attempt, as a zygote deals with it."""

    def take_socket(self) -> socket.socket:
        """Opens the attempt's channel and hands out the worker's end. Raises OSError, TradewindError."""
        ...

    def forked(self, pid: int) -> None:
        """Its process exists."""
        ...

    def exited(self, exit_info: ExitInfo) -> None:
        """Its process has ended."""
        ...

    def not_started(self, reason: str) -> None:
        """No process could be made."""
        ...

    def orphaned(self, reason: str) -> None:
        """The zygote has died, and its processes with it."""
        ...


class Watcher(Protocol):
    """Who is told about the zygote's own life."""

    def zygote_loaded(self, zygote: ZygoteProcess) -> None:
        """Its file is imported."""
        ...

    def zygote_failed(self, zygote: ZygoteProcess, error: ErrorInfo) -> None:
        """The import raised."""
        ...

    def zygote_gone(self, zygote: ZygoteProcess, ending: str) -> None:
        """Its process has been reaped."""
        ...

    def zygote_idle(self, zygote: ZygoteProcess) -> None:
        """Nothing runs in it and nothing waits for it."""
        ...


class ZygoteProcess:
    """Starts a zygote, hands it attempts once its file is loaded, and hears of their ends."""

    def __init__(
        self,
        source: Source,
        watcher: Watcher,
        loop: asyncio.AbstractEventLoop,
        load: Mapping[str, str],
        *,
        module: str = "tradewind.worker.zygote",
        load_within: float | None = None,
    ) -> None:
        """`load_within`: seconds that importing the file may take; None: there is none."""
        self.source = source
        self._module = module
        self.loaded = False
        self.gone = False
        self._ended = asyncio.Event()
        self.waiting: deque[Attendant] = deque()
        self.children: dict[int, Attendant] = {}
        self.idle_timer: asyncio.TimerHandle | None = None
        self.mode_reason = ""
        self._load = dict(load)
        self._watcher = watcher
        self._loop = loop
        self._numbers: dict[Attendant, int] = {}
        self._next = 0
        self._unsent: deque[tuple[bytes, socket.socket | None]] = deque()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._burial: asyncio.Task[None] | None = None
        self._load_within = load_within
        self._load_timer: asyncio.TimerHandle | None = None
        self._may_linger = 5.0

    @property
    def busy(self) -> bool:
        """Whether attempts run in it or wait for it."""
        return bool(self.children or self.waiting)

    @property
    def pid(self) -> int | None:
        """Its process id, once it is there and until it has gone."""
        return None if self._process is None or self.gone else self._process.pid

    @property
    def had_process(self) -> bool:
        """Whether there has been a process at all."""
        return self._process is not None

    def start(self, spawner: Executor, output: Path, environment: dict[str, str]) -> None:
        """Executes the interpreter; the file `output` gets what the import prints.

        The kernel ties a child's parent-death signal to the thread that started it, so `spawner` is
        one thread that lives as long as the executor.
        """
        self._burial = self._loop.create_task(self._live(spawner, output, environment))

    async def _live(self, spawner: Executor, output: Path, environment: dict[str, str]) -> None:
        """From the start to the reaping; what it ended with goes to the watcher."""
        mark = os.urandom(8).hex()
        marked = {**environment, _MARK: mark}
        try:
            with self._open_control() as theirs:  # closed here, only the zygote has it: its end is the stream's end
                process = await self._loop.run_in_executor(spawner, _execute, self._module, theirs, output, marked)
        except OSError as error:
            ending = f"could not be started: {error}"
            self._hang_up()
        else:
            self._process = process
            if self._load_within is not None and not self.loaded:
                limit = self._load_within + START_MAY_TAKE
                self._load_timer = self._loop.call_later(limit, self._is_too_slow, limit)
            await self._ended.wait()
            self._stop_load_timer()
            ending = await asyncio.to_thread(_bury, process, mark, self._may_linger)
        orphans: Sequence[Attendant] = list(self.children.values())
        self.children.clear()
        self._numbers.clear()
        for attendant in orphans:
            attendant.orphaned(f"its zygote {ending}")
        self._watcher.zygote_gone(self, ending)

    def _open_control(self) -> socket.socket:
        """Opens the control socket and sends the first packet; returns the zygote's end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._control = ours
        self._loop.add_reader(ours.fileno(), self._on_readable)
        self._send({"load": {**self._load, "fileloc": self.source.fileloc, "root": self.source.root}})
        return theirs

    def run(self, attendant: Attendant) -> None:
        """Starts the attempt, now or once the file is loaded."""
        if not self.loaded:
            self.waiting.append(attendant)
            return
        try:
            channel = attendant.take_socket()
        except (OSError, TradewindError) as error:  # told by and by: whoever has us run it is not done with it yet
            self._loop.call_soon(attendant.not_started, f"it got no channel: {error}")
            if not self.busy:
                self._watcher.zygote_idle(self)
            return
        self._next += 1
        number = self._next
        self.children[number] = attendant
        self._numbers[attendant] = number
        self._send({"start": number}, channel)

    def forget(self, attendant: Attendant) -> bool:
        """Takes an attempt out that still waits; False: it has been started."""
        try:
            self.waiting.remove(attendant)
        except ValueError:
            return False
        return True

    def kill(self, attendant: Attendant, signum: int, *, alone: bool = False) -> None:
        """Sends a signal to the attempt's process group, or to its process alone."""
        number = self._numbers.get(attendant)
        if number is not None:
            self._send({"kill": number, "signal": int(signum), "alone": alone})

    def close(self) -> None:
        """Ends the zygote and all that runs in it: the end of its control socket is the order."""
        self._hang_up()

    async def wait(self) -> None:
        """Until its process has been reaped and everyone concerned has been told."""
        if self._burial is not None:
            await self._burial

    def _is_too_slow(self, seconds: float) -> None:
        self._may_linger = 0.0
        self._watcher.zygote_failed(self, self.source.too_slow(seconds))
        self._hang_up()

    def _stop_load_timer(self) -> None:
        if self._load_timer is not None:
            self._load_timer.cancel()
            self._load_timer = None

    # -- packets

    def _send(self, packet: dict[str, Any], passed: socket.socket | None = None) -> None:
        if self.gone:
            if passed is not None:
                passed.close()
            return
        self._unsent.append((json.dumps(packet).encode(), passed))
        self._flush()

    def _flush(self) -> None:
        control = self._control
        if control is None:
            return
        while self._unsent:
            data, passed = self._unsent[0]
            try:
                if passed is None:
                    control.send(data)
                else:
                    socket.send_fds(control, [data], [passed.fileno()])
            except BlockingIOError:
                self._loop.add_writer(control.fileno(), self._flush)
                return
            except OSError:
                return  # the reader sees the end
            self._unsent.popleft()
            if passed is not None:
                passed.close()
        self._loop.remove_writer(control.fileno())

    def _on_readable(self) -> None:
        for _ in range(64):
            if self._control is None:
                return
            try:
                data = self._control.recv(PACKET_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._hang_up()
                return
            self._take(json.loads(data))

    def _take(self, packet: dict[str, Any]) -> None:
        if "exited" in packet:
            self._exited(packet)
        elif "forked" in packet:
            attendant = self.children.get(packet["forked"])
            if attendant is not None:
                attendant.forked(packet["pid"])
        elif "loaded" in packet:
            self.loaded = True
            self._stop_load_timer()
            self.mode_reason = packet["loaded"]["because"]
            self._watcher.zygote_loaded(self)
            while self.waiting:
                self.run(self.waiting.popleft())
            if not self.busy:
                self._watcher.zygote_idle(self)
        elif "failed" in packet:
            self._stop_load_timer()
            self._watcher.zygote_failed(self, ErrorInfo(**packet["failed"]))

    def _exited(self, packet: dict[str, Any]) -> None:
        attendant = self.children.pop(packet["exited"], None)
        if attendant is not None:
            self._numbers.pop(attendant, None)
            if packet["status"] is None:
                attendant.not_started(packet["error"])
            else:
                attendant.exited(_exit_info(packet))
        if not self.busy:
            self._watcher.zygote_idle(self)

    def _hang_up(self) -> None:
        control, self._control = self._control, None
        self.gone = True
        if control is not None:
            self._loop.remove_reader(control.fileno())
            self._loop.remove_writer(control.fileno())
            control.close()
        for _, passed in self._unsent:
            if passed is not None:
                passed.close()
        self._unsent.clear()
        self._ended.set()


def _execute(module: str, theirs: socket.socket, output: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=environment,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def _bury(process: subprocess.Popen[bytes], mark: str, may_linger: float) -> str:
    """How it ended. Its socket closes while it dies; one that lingers all the same is killed. Nothing that its attempts
    had started is left.
    """
    try:
        code = process.wait(timeout=may_linger)
    except subprocess.TimeoutExpired:
        end_tree(process.pid)
        process.wait()
        code = None
    if code != 0:
        end_marked(f"{_MARK}={mark}".encode())
    if code is None:
        return "hung and was killed"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _exit_info(packet: dict[str, Any]) -> ExitInfo:
    status: int = packet["status"]
    signum = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    return ExitInfo(
        code=os.WEXITSTATUS(status) if signum is None else None,
        signal=signum,
        max_rss_kib=packet["rss"],
        user_seconds=round(packet["user"], 4),
        system_seconds=round(packet["system"], 4),
        oom=packet["oom"],
    )
