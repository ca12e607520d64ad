"""One attempt in a process of its own: from the order on its socket to `os._exit`.

Called in a fork of a zygote, or in a new interpreter where the DAG file must not be forked.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Final, NoReturn

from tradewind.authoring.attempt_environment import PROCESS_MARK
from tradewind.authoring.dag import DAG
from tradewind.failpoints import failpoint
from tradewind.model.attempts import Attempt
from tradewind.model.outcomes import Outcome
from tradewind.worker.attempt import put_context_in_environment, run_attempt_blocking
from tradewind.worker.channel import ChannelClient, ChannelClosed
from tradewind.worker.endings import AttemptCancelled, exit_info_of_self, outcome_of_error, untold
from tradewind.worker.frames import ProtocolError
from tradewind.worker.log import AttemptLog, ProcessLog, attempt_prefix, current_log, open_attempt_files, ref_of
from tradewind.worker.log_capture import capture_process
from tradewind.worker.steps import conclude

EXIT_RUNTIME_GONE: Final = 75
"""Exit code of a worker that found its runtime gone."""

THREADS_TOLD_AFTER: Final = 2.0
"""Seconds after which the log says for which thread an attempt waits."""

_PR_SET_PDEATHSIG: Final = 1
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> None:
    """Asks the kernel to end this process when its parent ends; ends it now if that has happened.

    To be called again after every change of user id: that clears the wish.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_RUNTIME_GONE)


def live_without_parent() -> None:
    """Takes the wish back."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


class Order:
    """An attempt as it came over its socket, with everything opened that it will need.

    A zygote takes the order before it forks: what it does then is done in its own, warm memory,
    while every page that a new fork touches costs it a fault.
    """

    __slots__ = ("_sock", "attempt", "client", "fd", "log", "raw_fd", "settings", "started_at")

    def __init__(self, sock: socket.socket) -> None:
        sock.set_inheritable(False)  # programs that the task starts have no business with it
        self._sock = sock
        self.started_at = datetime.now(UTC)
        self.client = ChannelClient(sock)
        self.attempt, log_root, self.settings = self.client.receive_attempt()
        put_context_in_environment(self.attempt)
        self.fd, self.raw_fd = open_attempt_files(log_root, ref_of(self.attempt))
        self.log = ProcessLog(attempt_prefix(self.attempt), self.fd, self.raw_fd)

    def close(self) -> None:
        """Lets go of the descriptors: the fork has its own."""
        self._sock.close()
        os.close(self.fd)
        os.close(self.raw_fd)


class Output:
    """Where this process's prints and log records go: the attempt's log, once there is one."""

    def __init__(self) -> None:
        self.log: AttemptLog | None = None

    def capture(self, level: int) -> None:
        """Begins to catch them."""
        capture_process(lambda: self.log, level)


def run_child(order: Order, output: Output, load: Callable[[Attempt], DAG], hostname: str) -> NoReturn:
    """Carries out the attempt, reports its end, and leaves."""
    code = EXIT_RUNTIME_GONE
    try:
        _attend(order, output, load, hostname)
        code = 0
    except ChannelClosed:
        pass
    except BaseException:
        traceback.print_exc()
        code = 70
    finally:
        os._exit(code)


def _attend(order: Order, output: Output, load: Callable[[Attempt], DAG], hostname: str) -> None:
    os.environ[PROCESS_MARK] = str(os.getpid())
    order.client.began(os.getpid(), hostname)
    output.log = order.log
    current_log.set(order.log)
    os.dup2(order.raw_fd, 1)
    os.dup2(order.raw_fd, 2)
    ending = _EndingFromOutside()
    signal.signal(signal.SIGTERM, ending)
    _reseed()
    failpoint("worker.began")
    outcome, older = _carry_out(order, load)
    failpoint("worker.frame.unsent")
    ending.is_heard = True
    _let_threads_end(older, order.log)
    _report(order, outcome)
    failpoint("worker.frame.sent")


def _report(order: Order, outcome: Outcome) -> None:
    def say(outcome: Outcome) -> None:
        order.client.finished(outcome._replace(exit=exit_info_of_self()), order.started_at, datetime.now(UTC))

    try:
        say(outcome)
    except ProtocolError as error:
        instead = untold(error)
        conclude(order.attempt, instead, order.log)
        say(instead)


def _carry_out(order: Order, load: Callable[[Attempt], DAG]) -> tuple[Outcome, frozenset[threading.Thread]]:
    """The outcome, and the threads that were there before the task began: those of its file."""
    older = frozenset(threading.enumerate())
    try:
        dag = load(order.attempt)
        older = frozenset(threading.enumerate())
        return run_attempt_blocking(order.attempt, dag, order.client), older
    except BaseException as error:
        outcome = outcome_of_error(error)
        conclude(order.attempt, outcome, order.log)
        return outcome, older


class _EndingFromOutside:
    """SIGTERM: the attempt is to end, which its code hears of once. The next one finds the clean-up undisturbed.

    What the task has forked ends by it at once, as by default. A handler of Python would not do: an exception in the
    first steps of a fork is lost, and one that is about to wait in C does not hear of it; pools wait for their workers
    for ever then. Programs that the task starts have the signal as it was.
    """

    __slots__ = ("_pid", "is_heard")

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.is_heard = False
        os.register_at_fork(after_in_child=self._leave_to_the_kernel)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # so early that the fork still has this handler
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        elif not self.is_heard:
            self.is_heard = True
            raise AttemptCancelled("ended from outside")

    def _leave_to_the_kernel(self) -> None:
        if signal.getsignal(signal.SIGTERM) is self:
            before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reseed() -> None:
    """Random numbers must differ between forks of one zygote; numpy's would be identical."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _let_threads_end(older: frozenset[threading.Thread], log: AttemptLog) -> None:
    """Waits for threads that the task has started, as an interpreter that ends does; then flushes."""
    mine = [thread for thread in threading.enumerate() if thread not in older and not thread.daemon]
    for thread in mine:
        thread.join(THREADS_TOLD_AFTER)
        if thread.is_alive():
            log.write(
                f"The task is done, but thread {thread.name!r}, which it has started, still runs: the attempt ends "
                "when its threads do (threading.Thread(daemon=True) is not waited for)",
                level="WARNING",
            )
            thread.join()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
