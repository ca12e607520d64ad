"""One zygote as its executor sees it: a process, its control socket, and who waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tradewind.model.outcomes import ErrorInfo, ExitInfo
from tradewind.worker.zygote import PACKET_MAX

Stamp = tuple[int, int]


class Source(NamedTuple):
    """The file that a zygote serves, of one version of its bundle."""

    fileloc: str
    bundle_version: str
    root: str | None


class Attendant(Protocol):
    """An attempt, as a zygote deals with it."""

    def take_socket(self) -> socket.socket:
        """Opens the attempt's channel and hands out the worker's end."""
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

    def zygote_loaded(self, zygote: ZygoteProcess) -> None: ...

    def zygote_failed(self, zygote: ZygoteProcess, error: ErrorInfo) -> None: ...

    def zygote_gone(self, zygote: ZygoteProcess, ending: str) -> None: ...

    def zygote_idle(self, zygote: ZygoteProcess) -> None: ...


class ZygoteProcess:
    """Starts a zygote, hands it attempts once its file is loaded, and hears of their ends."""

    def __init__(self, source: Source, watcher: Watcher, loop: asyncio.AbstractEventLoop) -> None:
        self.source = source
        self.loaded = False
        self.retired = False
        self.gone = False
        self.waiting: deque[Attendant] = deque()
        self.children: dict[int, Attendant] = {}
        self.idle_timer: asyncio.TimerHandle | None = None
        self.mode_reason = ""
        self._watcher = watcher
        self._loop = loop
        self._numbers: dict[Attendant, int] = {}
        self._next = 0
        self._failed = False
        self._unsent: deque[tuple[bytes, socket.socket | None]] = deque()
        self._stamps: dict[str, Stamp | None] = {}
        self._control: socket.socket
        self._process: subprocess.Popen[bytes]

    @property
    def busy(self) -> bool:
        """Whether attempts run in it or wait for it."""
        return bool(self.children or self.waiting)

    def start(self, output: int, environment: dict[str, str]) -> None:
        """Executes the interpreter; `output` gets what the import prints. Raises OSError.

        Called on the loop's thread, which lives as long as the runtime: the kernel ties a child's
        parent-death signal to the thread that started it.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._stamps = {self.source.fileloc: stamp_of(self.source.fileloc)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tradewind.worker.zygote", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours
        self._loop.add_reader(ours.fileno(), self._on_readable)
        self._send({"load": {"fileloc": self.source.fileloc, "root": self.source.root}})

    def is_current(self) -> bool:
        """Whether the files that it has imported are still as they were."""
        return all(stamp_of(path) == stamp for path, stamp in self._stamps.items())

    def run(self, attendant: Attendant) -> None:
        """Starts the attempt, now or once the file is loaded."""
        if not self.loaded:
            self.waiting.append(attendant)
            return
        self._next += 1
        number = self._next
        self.children[number] = attendant
        self._numbers[attendant] = number
        self._send({"start": number}, attendant.take_socket())

    def forget(self, attendant: Attendant) -> bool:
        """Takes an attempt out that still waits; False: it has been started."""
        try:
            self.waiting.remove(attendant)
        except ValueError:
            return False
        return True

    def kill(self, attendant: Attendant, signum: int) -> None:
        """Sends a signal to the attempt's process group."""
        number = self._numbers.get(attendant)
        if number is not None:
            self._send({"kill": number, "signal": int(signum)})

    def close(self) -> None:
        """Ends the zygote and all that runs in it: the end of its control socket is the order."""
        if not self.gone:
            self._end("stopped")

    async def wait(self) -> None:
        """Until its process has been reaped."""
        await asyncio.to_thread(self._process.wait)

    # -- packets

    def _send(self, packet: dict[str, Any], passed: socket.socket | None = None) -> None:
        if self.gone:
            if passed is not None:
                passed.close()
            return
        self._unsent.append((json.dumps(packet).encode(), passed))
        self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, passed = self._unsent[0]
            try:
                if passed is None:
                    self._control.send(data)
                else:
                    socket.send_fds(self._control, [data], [passed.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._control.fileno(), self._flush)
                return
            except OSError:
                return  # the reader sees the end
            self._unsent.popleft()
            if passed is not None:
                passed.close()
        self._loop.remove_writer(self._control.fileno())

    def _on_readable(self) -> None:
        for _ in range(64):
            try:
                data = self._control.recv(PACKET_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end("")
                return
            self._take(json.loads(data))
            if self.gone:
                return

    def _take(self, packet: dict[str, Any]) -> None:
        if "exited" in packet:
            self._exited(packet)
        elif "forked" in packet:
            attendant = self.children.get(packet["forked"])
            if attendant is not None:
                attendant.forked(packet["pid"])
        elif "loaded" in packet:
            self.loaded = True
            self.mode_reason = packet["loaded"]["because"]
            for path in packet["loaded"]["helpers"]:
                self._stamps[path] = stamp_of(path)
            self._watcher.zygote_loaded(self)
            while self.waiting:
                self.run(self.waiting.popleft())
            if not self.busy:
                self._watcher.zygote_idle(self)
        elif "failed" in packet:
            self._failed = True
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

    def _end(self, reason: str) -> None:
        self.gone = True
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._control.close()
        for _, passed in self._unsent:
            if passed is not None:
                passed.close()
        self._unsent.clear()
        ending = reason or self._ending()
        orphans: Sequence[Attendant] = list(self.children.values())
        self.children.clear()
        self._numbers.clear()
        for attendant in orphans:
            attendant.orphaned(f"its zygote {ending}")
        self._watcher.zygote_gone(self, ending)

    def _ending(self) -> str:
        """How the process ended; its socket closes while it dies, so there is next to nothing to wait for."""
        try:
            code = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
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
    )


def stamp_of(path: str) -> Stamp | None:
    """What changes when a file does; None where it is gone."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
