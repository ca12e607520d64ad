"""One attempt in a process of its own: from the order on its socket to `os._exit`.

Called in a fork of a zygote, or in a new interpreter where the DAG file must not be forked.
"""

from __future__ import annotations

import ctypes
import logging
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Final, NoReturn

from tradewind.authoring.dag import DAG
from tradewind.model.attempts import Attempt
from tradewind.model.outcomes import Outcome
from tradewind.worker.attempt import put_context_in_environment, run_attempt_blocking
from tradewind.worker.channel import ChannelClient, ChannelClosed
from tradewind.worker.endings import AttemptCancelled, exit_info_of_self, outcome_of_error
from tradewind.worker.log import FileLog, attempt_prefix, current_log, open_attempt_files, ref_of
from tradewind.worker.log_capture import capture_process

EXIT_RUNTIME_GONE: Final = 75
"""Exit code of a worker that found its runtime gone."""

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


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


def run_child(sock: socket.socket, load: Callable[[Attempt], DAG], hostname: str) -> NoReturn:
    """Carries out the attempt that comes over `sock`, reports its end, and leaves."""
    code = EXIT_RUNTIME_GONE
    try:
        _attend(ChannelClient(sock), load, hostname)
        code = 0
    except ChannelClosed:
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    finally:
        os._exit(code)


def _attend(client: ChannelClient, load: Callable[[Attempt], DAG], hostname: str) -> None:
    attempt, log_root, settings = client.receive_attempt()
    started = datetime.now(UTC)
    client.began(os.getpid(), hostname)
    fd, raw_fd = open_attempt_files(log_root, ref_of(attempt))
    log = FileLog(attempt_prefix(attempt), fd, raw_fd)
    current_log.set(log)
    os.dup2(raw_fd, 1)
    os.dup2(raw_fd, 2)
    capture_process(log, logging.getLevelNamesMapping().get(str(settings.get("log_level", "INFO")), logging.INFO))
    signal.signal(signal.SIGTERM, _cancelled)
    _reseed()
    outcome = _carry_out(attempt, load, client)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _let_threads_end()
    client.finished(outcome._replace(exit=exit_info_of_self()), started, datetime.now(UTC))


def _carry_out(attempt: Attempt, load: Callable[[Attempt], DAG], client: ChannelClient) -> Outcome:
    try:
        dag = load(attempt)
        put_context_in_environment(attempt, _owner_of(attempt))
        return run_attempt_blocking(attempt, dag, client)
    except BaseException as error:
        from tradewind.worker.steps import conclude

        outcome = outcome_of_error(error)
        conclude(attempt, outcome, current_log.get())
        return outcome


def _owner_of(attempt: Attempt) -> str:
    return attempt.task.owner


def _cancelled(signum: int, frame: FrameType | None) -> None:
    """SIGTERM: the attempt is ended from outside. The next one finds the clean-up undisturbed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise AttemptCancelled("ended from outside")


def _reseed() -> None:
    """Random numbers must differ between forks of one zygote; numpy's would be identical."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _let_threads_end() -> None:
    """Waits for threads that the task has started, as an interpreter that ends does; then flushes."""
    main = threading.main_thread()
    for thread in threading.enumerate():
        if thread is not main and thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                continue
