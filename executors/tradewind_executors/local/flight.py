"""One attempt in a process: its channel, its time limits, and the one place where its end is decided."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt
from tradewind.model.errors import TradewindError
from tradewind.model.outcomes import ExitInfo, Finished, Outcome
from tradewind.model.specs import Json
from tradewind.model.states import OutcomeKind
from tradewind.worker.channel import ack_frame, answer, attempt_frame, finished_of
from tradewind.worker.endings import lost, outcome_of_exit
from tradewind.worker.frames import Frame, FrameReader
from tradewind.worker.log import append_record
from tradewind.worker.steps import verdict

_log = logging.getLogger(__name__)
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Flying:
    """What all flights of an executor share."""

    host: ExecutorHost
    loop: asyncio.AbstractEventLoop
    kill_grace: float
    worker_settings: dict[str, Json]
    send_signal: Callable[[Flight, int], None]
    landed: Callable[[Flight], None]
    write_end: Callable[[Coroutine[Any, Any, None]], None]


class Flight:
    """An attempt from its submission to its end, which is reported exactly once."""

    def __init__(self, attempt: Attempt, shared: Flying) -> None:
        self.attempt = attempt
        self.ended = False
        self._shared = shared
        self._sock: socket.socket | None = None
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._forced: Outcome | None = None
        self._started_at: datetime | None = None
        self._hostname: str | None = None
        self._pid: int | None = None

    # -- what its zygote tells

    def take_socket(self) -> socket.socket:
        """Opens the channel, sends the order, and hands out the worker's end. Raises OSError, ProtocolError."""
        order = attempt_frame(self.attempt, self._shared.host.log_root, self._shared.worker_settings)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        self._sock = ours
        self._shared.loop.add_reader(ours.fileno(), self._on_readable)
        self._send(order)
        return theirs

    def forked(self, pid: int) -> None:
        """Its process exists; from now on its time runs."""
        if self._started_at is None:
            self._started_at = datetime.now(UTC)
        timeout = self.attempt.task.execution_timeout
        if timeout is not None and not self.ended:
            self._set_timer(timeout + self._shared.kill_grace, self._overdue)

    def exited(self, exit_info: ExitInfo) -> None:
        """Its process has ended: what it has sent is all here already."""
        self._on_readable()
        if not self.ended:
            forced = self._forced
            self._end_with_record(forced._replace(exit=exit_info) if forced is not None else outcome_of_exit(exit_info))
        self._close()

    def not_started(self, reason: str) -> None:
        """There was no process for it."""
        self._end_with_record(self._forced or lost(reason))
        self._close()

    def orphaned(self, reason: str) -> None:
        """Its zygote died, and it with it."""
        if self._sock is not None:
            self._on_readable()
        self._end_with_record(self._forced or lost(reason))
        self._close()

    # -- ends from outside

    def refuse(self, outcome: Outcome) -> None:
        """Ends an attempt that has no process (yet)."""
        self._end_with_record(outcome)
        self._close()

    def stop(self, outcome: Outcome, grace: float) -> None:
        """Asks the process group to end, and makes it end after `grace` seconds."""
        if self.ended or self._forced is not None:
            return
        self._forced = outcome
        self._shared.send_signal(self, signal.SIGTERM)
        self._set_timer(grace, self._kill)

    def _overdue(self) -> None:
        timeout = self.attempt.task.execution_timeout
        if self._forced is None:
            self._forced = Outcome(
                OutcomeKind.TIMED_OUT,
                reason=f"execution_timeout of {timeout:g} s has passed; the task did not stop within "
                f"{self._shared.kill_grace:g} s more and was killed",
            )
        self._kill()

    def _kill(self) -> None:
        self._shared.send_signal(self, signal.SIGKILL)

    # -- the channel

    def _on_readable(self) -> None:
        sock = self._sock
        while sock is not None and self._sock is sock:
            try:
                data = sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._stop_reading()
                return
            try:
                for frame in self._reader.feed(data):
                    self._take(frame)
            except (TradewindError, KeyError, TypeError, ValueError) as error:
                _log.error("worker of task %s of DAG %s: %s", self.attempt.key.task_id, self.attempt.run.dag_id, error)
                self._forced = self._forced or lost(f"its worker sent what cannot be understood: {error}")
                self._kill()
                self._stop_reading()
                return

    def _take(self, frame: Frame) -> None:
        body: dict[str, Any] = frame.body
        if body["attempt"] != self.attempt.key.attempt:
            raise TradewindError("a frame of another attempt came over this channel")
        if frame.kind == "call":
            task = self._shared.loop.create_task(self._answer(frame))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        elif frame.kind == "began":
            self._started_at = datetime.now(UTC)
            self._hostname, self._pid = body["hostname"], body["pid"]
            self._shared.host.began(self.attempt.key, hostname=body["hostname"], pid=body["pid"])
        elif frame.kind == "finished":
            self._finished(frame.sequence, finished_of(body))

    async def _answer(self, frame: Frame) -> None:
        self._send(await answer(frame, self._shared.host.services))

    def _finished(self, sequence: int, end: Finished) -> None:
        if self.ended:
            self._send(ack_frame(sequence, accepted=True))
            return
        if self._forced is not None and end.outcome.kind is not OutcomeKind.SUCCESS:
            end = end._replace(outcome=self._forced._replace(exit=end.outcome.exit))
        self._end(end, lambda accepted: self._send(ack_frame(sequence, accepted=accepted)))

    def _send(self, data: bytes) -> None:
        if self._sock is None:
            return
        if not self._unsent:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reader sees the end
            if sent == len(data):
                return
            data = data[sent:]
            self._shared.loop.add_writer(self._sock.fileno(), self._on_writable)
        self._unsent += data

    def _on_writable(self) -> None:
        if self._sock is None:
            return
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._shared.loop.remove_writer(self._sock.fileno())

    def _stop_reading(self) -> None:
        if self._sock is not None:
            self._shared.loop.remove_reader(self._sock.fileno())

    # -- the end

    def _end_with_record(self, outcome: Outcome) -> None:
        """For a process that could not say so itself: the end is written to its log, then reported."""
        if self.ended:
            return
        self.ended = True
        self._shared.write_end(self._recorded_end(outcome))

    async def _recorded_end(self, outcome: Outcome) -> None:
        level, text = verdict(self.attempt, outcome)
        if outcome.error is not None:
            text = f"{outcome.error.traceback.rstrip()}\n{text}"
        ended_at = datetime.now(UTC)
        try:
            await asyncio.to_thread(
                append_record, self._shared.host.log_root, self.attempt, text, level=level, end=outcome.kind.value
            )
        except Exception as error:  # the end counts more than what is said of it
            key, run = self.attempt.key, self.attempt.run
            _log.error("log of task %s of DAG %s cannot be written: %s", key.task_id, run.dag_id, error)
        self._end(Finished(self.attempt.key.attempt, outcome, self._started_at, ended_at), None)

    def _end(self, end: Finished, on_committed: Callable[[bool], None] | None) -> None:
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        end = end._replace(hostname=self._hostname, pid=self._pid)
        self._shared.host.finished(self.attempt.key, end, on_committed)
        self._shared.landed(self)

    def _set_timer(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._shared.loop.call_later(seconds, call)

    def _close(self) -> None:
        for task in list(self._calls):
            task.cancel()
        if self._sock is not None:
            self._stop_reading()
            self._shared.loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None
