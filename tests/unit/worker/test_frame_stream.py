"""Frames of a loop's turns over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from tradewind.model.attempts import Attempt
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker
from tradewind.testing.executor_suite import suite_dag
from tradewind.worker.attempt_batches import attempts_of, plain_attempts
from tradewind.worker.frame_stream import FrameStream
from tradewind.worker.frames import Frame, pack, unpack


class End:
    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[Frame] = []
        self.closed: list[str] = []
        self.changed = asyncio.Event()
        self.stream = FrameStream(sock, asyncio.get_running_loop(), self._take, self._over)

    def _take(self, frames: Sequence[Frame]) -> None:
        self.frames += frames
        self.changed.set()

    def _over(self, reason: str) -> None:
        self.closed.append(reason)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.frames) < count and not self.closed:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    pair = [End(sock) for sock in socket.socketpair()]
    yield pair[0], pair[1]
    for end in pair:
        end.stream.close()


async def test_frames_arrive_in_order_both_ways(ends: tuple[End, End]) -> None:
    left, right = ends
    for n in range(100):
        left.stream.say("n", n)
        right.stream.say("m", n)
    await left.until(100)
    await right.until(100)
    assert [frame.body for frame in right.frames] == list(range(100))
    assert [frame.sequence for frame in left.frames] == list(range(1, 101))


async def test_more_than_the_socket_takes(ends: tuple[End, End]) -> None:
    left, right = ends
    for n in range(40):
        left.stream.say("big", {"n": n, "data": bytes(1 << 18)})
    left.stream.say("end", None)
    await right.until(41)
    assert [frame.kind for frame in right.frames] == ["big"] * 40 + ["end"]
    assert right.frames[39].body["n"] == 39


async def test_the_end_is_told_once_after_what_was_said(ends: tuple[End, End]) -> None:
    left, right = ends
    left.stream.say("last", 1)
    left.stream.close()
    await right.until(2)
    assert [frame.kind for frame in right.frames] == ["last"]
    assert len(right.closed) == 1
    assert left.closed == []
    assert not right.stream.is_open
    right.stream.say("into the void", 1)


async def test_strange_bytes_end_it(ends: tuple[End, End]) -> None:
    left, right = ends
    left.stream.put(b"\xff" * 64)
    await right.until(1)
    assert "cannot be understood" in right.closed[0]


async def test_many_attempts_in_one_frame() -> None:
    maker = await asyncio.to_thread(lambda: AttemptMaker(suite_dag().to_spec(), executor_dags.HERE))
    other = await asyncio.to_thread(lambda: AttemptMaker(suite_dag().to_spec(), executor_dags.HERE, run=2))
    attempts: list[Attempt] = [
        maker.attempt("a_none"),
        other.attempt("a_mapped", map_index=3),
        maker.attempt("a_overdue", try_number=2, max_tries=5),
    ]
    body = unpack(pack(Frame("attempts", 1, plain_attempts(attempts)))[4:]).body
    assert len(body["runs"]) == 2
    back = attempts_of(body)
    assert [one.key for one in back] == [one.key for one in attempts]
    assert [one.run for one in back] == [one.run for one in attempts]
    assert [(one.max_tries, one.first_started_at) for one in back] == [
        (one.max_tries, one.first_started_at) for one in attempts
    ]
    assert back[2].task.execution_timeout == 0.2
    assert back[1].task.task_id == "a_mapped"
