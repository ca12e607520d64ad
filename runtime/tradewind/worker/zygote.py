"""The zygote: a process that has imported one DAG file and forks itself for each attempt of it.

Started by exec (``python -m tradewind.worker.zygote``), never forked from the runtime. It stays
single-threaded, talks to its executor over a SOCK_SEQPACKET socket, one JSON object a packet, and is
the only one that reaps its children. Packets to it::

    {"load": {fileloc, root, start_method, authoring_defaults}}               once, first
    {"start": n} + descriptor                         an attempt's socket: fork, and let the child serve it
    {"kill": n, "signal": s, "alone": false}          to the attempt's process group, or to its process alone

Packets from it: ``{"loaded": {mode, because}}`` or ``{"failed": {type, message, traceback}}``,
``{"forked": n, "pid": p}``, ``{"exited": n, "status": s, "oom": …, "rss": KiB, "user": s, "system": s}``.

When the control socket ends, the runtime is gone: all attempts are killed and the zygote leaves.
Children die with the zygote, by the kernel's parent-death signal. What an attempt has started ends with it,
in its process group or outside.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from tradewind.authoring.attempt_environment import PROCESS_MARK
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.loader import LoadedFile, load_file
from tradewind.bundles.oom import OomBaseline, oom_kills
from tradewind.bundles.orphans import adopt_orphans, end_orphans, environment_of
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt
from tradewind.model.errors import TradewindError
from tradewind.worker.child import Order, Output, die_with_parent, live_without_parent, run_child
from tradewind.worker.dag_missing import missing_dag
from tradewind.worker.endings import error_info, speakable
from tradewind.worker.steps import traits_of

PACKET_MAX: Final = 128 * 1024
_TRACE_MAX: Final = 48 * 1024
_HARMLESS_THREADS: Final = frozenset({"jemalloc_bg_thd"})


def main() -> NoReturn:
    """``python -m tradewind.worker.zygote FD PARENT_PID``."""
    control = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    Zygote(control).serve()


class Zygote:
    """One DAG file, loaded, and the attempts that run in forks of it."""

    def __init__(self, control: socket.socket) -> None:
        control.set_inheritable(False)  # its end is how the runtime hears of ours, whatever a program goes on with
        self._control = control
        self._children: dict[int, int] = {}
        self._kills_before: dict[int, int] = {}
        self._oom = OomBaseline()
        self._mode = "fork"
        self._file: LoadedFile | None = None
        self._order: dict[str, Any] = {}
        self._output = Output()
        self._lifelong = contextlib.ExitStack()
        self._level = -1
        self._hostname = socket.gethostname()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> NoReturn:
        """Loads the file, then forks and reaps until the runtime is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        adopt_orphans()
        if self._load():
            signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, _woken)
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            while True:
                ready = [fd for fd, _ in poll.poll()]
                if self._wake_read in ready:
                    self._drain_wakeups()
                    self._reap()
                if self._control.fileno() in ready and not self._obey():
                    break
        self._leave()

    # -- loading

    def _load(self) -> bool:
        packet = self._control.recv(PACKET_MAX)
        if not packet:
            return False
        self._order = json.loads(packet)["load"]
        if self._order["authoring_defaults"]:
            self._lifelong.enter_context(use_defaults(defaults_from_json(self._order["authoring_defaults"])))
        try:
            self._file = load_file(self._order["fileloc"], root=self._order["root"])
        except BaseException as error:
            info = error_info(error)
            trace = speakable(getattr(error, "trace", None) or info.traceback)
            self._say(failed={"type": info.type, "message": info.message[:4000], "traceback": _last_part(trace)})
            return False
        _stand_in_for_closed_streams()
        configured = self._order["start_method"] == "spawn"
        because = "" if configured else self._why_not_fork()
        if because or configured:
            self._mode = "spawn"
        failpoint("worker.zygote.loaded")
        self._is_ready(because)
        return True

    def _is_ready(self, because: str = "") -> None:
        """All is imported that forks will need."""
        gc.collect()
        gc.disable()
        gc.freeze()
        live_without_parent()  # from here on the end of the control socket tells, and leaves time to end all groups
        self._say(loaded={"mode": self._mode, "because": because})

    def _why_not_fork(self) -> str:
        """What the import has left behind that does not survive a fork; '' for nothing."""
        threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        if threads:
            return f"it started threads while it was imported ({', '.join(threads[:5])})"
        native = _native_threads()
        if native:
            return f"a library that it imports started threads ({', '.join(sorted(native)[:5])})"
        ours = {self._control.fileno(), self._wake_read, self._wake_write}
        sockets = [
            target
            for fd, target in _descriptors()
            if fd not in ours and target.startswith(("socket:", "anon_inode:[eventpoll]"))
        ]
        if sockets:
            return f"it opened {len(sockets)} sockets while it was imported"
        return ""

    # -- orders

    def _obey(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self._control, PACKET_MAX, 1)
        if not packet:
            return False
        order = json.loads(packet)
        if "start" in order:
            self._start(order["start"], descriptors)
        elif "kill" in order:
            self._kill(order["kill"], order["signal"], alone=order.get("alone", False))
        return True

    def _start(self, number: int, descriptors: Sequence[int]) -> None:
        kills = self._oom.before()
        try:
            if not descriptors:  # the kernel had no number for it, and has closed it
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            pid = self._fork(descriptors[0]) if self._mode == "fork" else self._spawn(descriptors[0])
        except Exception as error:  # whatever it is: other attempts run here
            if not isinstance(error, (OSError, TradewindError)):
                traceback.print_exc()
            self._say(exited=number, status=None, error=f"no process could be started: {error}"[:4000])
            return
        self._children[pid] = number
        self._kills_before[number] = kills
        self._say(forked=number, pid=pid)

    def _fork(self, descriptor: int) -> int:
        with socket.socket(fileno=descriptor) as sock:
            order = Order(sock)
            parent = os.getpid()
            try:
                self._prepare(order)
                pid = os.fork()
            except BaseException:
                order.close()
                raise
            if pid:
                order.close()
                return pid
            try:
                self._begin_child(parent)
                run_child(order, self._output, self._dag_of, self._hostname)
            finally:
                os._exit(70)

    def _begin_child(self, parent: int) -> None:
        """The first steps of a fork: it is nobody's zygote, and dies with this one."""
        os.setsid()
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._control.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        gc.enable()

    def _prepare(self, order: Order) -> None:
        """What all forks need alike is made once, here."""
        level = logging.getLevelNamesMapping().get(str(order.settings.get("log_level", "INFO")), logging.INFO)
        if level != self._level:
            self._level = level
            self._output.capture(level)
        dag = self._file.dags.get(order.attempt.run.dag_id) if self._file is not None else None
        task = dag.task_dict.get(order.attempt.key.task_id) if dag is not None else None
        if task is not None:
            with contextlib.suppress(Exception):  # it is the attempt's own, which looks again
                traits_of(task)

    def _spawn(self, descriptor: int) -> int:
        """A new interpreter that imports the file itself."""
        os.set_inheritable(descriptor, True)
        arguments = [sys.executable, "-m", "tradewind.worker.spawned", str(descriptor), str(os.getpid())]
        arguments += [self._order["fileloc"], self._order["root"] or "", self._order["authoring_defaults"]]
        try:
            return os.posix_spawn(
                sys.executable, arguments, os.environ, setsid=True, setsigdef=[signal.SIGCHLD, signal.SIGINT]
            )
        finally:
            os.close(descriptor)

    def _dag_of(self, attempt: Attempt) -> DAG:
        dag = self._file.dags.get(attempt.run.dag_id) if self._file is not None else None
        if dag is None:
            raise missing_dag(attempt.run.dag_id, attempt.run.source)
        return dag

    def _kill(self, number: int, signum: int, *, alone: bool) -> None:
        """Only the reaper may do this: until it has reaped, the pid cannot be anyone else's."""
        for pid, child in self._children.items():
            if child == number:
                with contextlib.suppress(PermissionError):  # it has become another user's
                    if alone:
                        os.kill(pid, signum)
                        continue
                    try:
                        os.killpg(pid, signum)
                    except ProcessLookupError:
                        # Between fork and setsid there is no such group yet.
                        os.kill(pid, signum)

    # -- ends

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            number = self._children.pop(pid, None)
            if number is not None:
                self._end_group(pid)  # before it is reaped the number cannot be anyone else's
            _, status, usage = os.wait4(pid, 0)
            if number is not None:
                self._end_strays(pid)
                before = self._kills_before.pop(number)
                killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                self._say(
                    exited=number,
                    status=status,
                    oom=killed and oom_kills() > before,
                    rss=usage.ru_maxrss,
                    user=usage.ru_utime,
                    system=usage.ru_stime,
                )

    @staticmethod
    def _end_group(pid: int) -> None:
        """What an attempt has left running in its process group ends with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    def _end_strays(self, pid: int) -> None:
        """What an attempt that has ended left running outside its process group ends as well: its environment says
        whose it is. One without that is ended when there is no other attempt that may have started it.
        """
        mark = f"{PROCESS_MARK}={pid}".encode()
        alone = not self._children

        def is_its(stray: int) -> bool:
            return alone or mark in environment_of(stray).split(b"\0")

        end_orphans(self._children, is_its)

    def _drain_wakeups(self) -> None:
        try:
            while os.read(self._wake_read, 512):
                pass
        except BlockingIOError:
            pass

    def _say(self, **packet: Any) -> None:
        try:
            self._control.send(json.dumps(packet).encode())
        except OSError:
            self._leave()

    def _leave(self) -> NoReturn:
        for pid in self._children:
            self._end_group(pid)
        end_orphans(())
        os._exit(0)


def _woken(signum: int, frame: FrameType | None) -> None:
    """A child has ended: the wake-up descriptor tells the loop."""


def _last_part(trace: str) -> str:
    """As much of its end as has room in a packet, where characters beyond ASCII are escapes of up to 12 bytes."""
    while len(json.dumps(trace)) > _TRACE_MAX:
        trace = trace[len(trace) // 2 :]
    return trace


def _stand_in_for_closed_streams() -> None:
    """A file that closed a standard stream leaves its number to the next descriptor: /dev/null takes it instead."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _native_threads() -> list[str]:
    """Names of threads that Python does not know, without those known to survive a fork."""
    names: list[str] = []
    own = Path("/proc/self/comm").read_text(encoding="utf-8", errors="replace").strip()
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) == os.getpid():
            continue
        try:
            name = (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # it has ended meanwhile
            continue
        numpy_blas = name == own and "numpy" in sys.modules  # OpenBLAS restarts its pool in the child by itself
        if name not in _HARMLESS_THREADS and not numpy_blas:
            names.append(name)
    return names


def _descriptors() -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append((int(link.name), str(link.readlink())))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
