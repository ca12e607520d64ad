"""The attempt's side of its channel where something gets in between: an alarm, other threads, forks of the task."""

from __future__ import annotations

import gc
import signal
import socket
import threading
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tradewind.model.attempts import AttemptKey
from tradewind.model.errors import TaskTimeout
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker.alarm import deadline
from tradewind.worker.channel import ChannelClient
from tradewind.worker.frames import Frame, FrameReader, pack

KEY = AttemptKey(AttemptId(bytes(16)), RunId(1), "t", -1, 1)
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Runtime:
    """The other end: answers each call with the key that was asked for, and keeps what came."""

    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[Frame] = []
        self.may_read = threading.Event()
        self.may_answer = threading.Event()
        self._sock = sock
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        reader = FrameReader()
        self.may_read.wait()
        while data := self._sock.recv(1 << 16):
            for frame in reader.feed(data):
                self.frames.append(frame)
                if frame.kind == "call":
                    self.may_answer.wait()
                    self._sock.sendall(pack(Frame("reply", frame.sequence, {"value": frame.body["args"][0]})))

    def end(self) -> list[str]:
        """The kinds of all that came, once the other end is closed."""
        self.may_read.set()
        self.may_answer.set()
        self._thread.join(60)
        return [frame.kind for frame in self.frames]


@pytest.fixture
def ends() -> Iterator[tuple[ChannelClient, Runtime, socket.socket]]:
    ours, theirs = socket.socketpair()
    runtime = Runtime(theirs)
    yield ChannelClient(ours), runtime, ours
    ours.close()
    runtime.end()
    theirs.close()


def test_an_alarm_tears_no_frame(ends: tuple[ChannelClient, Runtime, socket.socket]) -> None:
    """A large value is on its way when the task's time is over: the runtime understands that, and the end."""
    client, runtime, sock = ends
    late = threading.Timer(0.3, runtime.may_read.set)
    late.start()
    with pytest.raises(TaskTimeout), deadline(0.05):
        client.xcom_put(KEY, "big", EncodedValue(1, bytes(8 << 20)))
    late.join()
    client.finished(Outcome(OutcomeKind.TIMED_OUT), AT, AT)
    sock.shutdown(socket.SHUT_WR)
    kinds = runtime.end()
    assert kinds in (["call", "finished"], ["finished"]), "a busy machine may have no time for the first"


def test_who_collects_no_garbage_keeps_nothing_of_a_client() -> None:
    """A zygote makes one for each attempt, and its forks pay for every page that it leaves behind."""
    ours, theirs = socket.socketpair()
    gc.disable()
    try:
        client = ChannelClient(ours)
        gone = weakref.ref(client)
        del client
        assert gone() is None
    finally:
        gc.enable()
        ours.close()
        theirs.close()


def test_a_limit_of_ages_is_a_limit() -> None:
    with deadline(timedelta.max.total_seconds()):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1e8
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
