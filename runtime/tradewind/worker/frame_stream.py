"""Frames over a socket on a loop: what is said in one turn of the loop leaves together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from tradewind.worker.frames import Frame, FrameReader, ProtocolError, pack

BATCH_MAX: Final = 32
"""So many frames do not wait for the end of the turn: in a long one the other side can begin with them."""

CLOSED: Final = "it closed its channel"
_CHUNK: Final = 1 << 18


class FrameStream:
    """Both directions of one connected stream socket, which it owns.

    `on_frames` gets what has come in; `on_closed` is called once, with the reason, when the other side is gone or
    speaks another language, and not for `close`.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_frames: Callable[[Sequence[Frame]], None],
        on_closed: Callable[[str], None],
    ) -> None:
        sock.setblocking(False)
        self._sock: socket.socket | None = sock
        self._loop = loop
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._reader = FrameReader()
        self._waiting: list[bytes] = []
        self._unsent = bytearray()
        self._scheduled = False
        self._sequence = 0
        loop.add_reader(sock.fileno(), self.read)

    @property
    def is_open(self) -> bool:
        """Whether anything can still be said."""
        return self._sock is not None

    def say(self, kind: str, body: Any, *, sequence: int | None = None) -> int:
        """Sends a frame at the end of this turn; returns its sequence number. Raises ProtocolError."""
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        self.put(pack(Frame(kind, sequence, body)))
        return sequence

    def put(self, packed: bytes) -> None:
        """Sends a packed frame at the end of this turn."""
        self._waiting.append(packed)
        if len(self._waiting) >= BATCH_MAX:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Sends now what waits, as far as the socket takes it."""
        sock = self._sock
        waiting, self._waiting = self._waiting, []
        if sock is None:
            return
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        if self._unsent:
            self._unsent += data
        elif (sent := self._sent_of(sock, data)) < len(data):
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        sock = self._sock
        if sock is None:
            return
        del self._unsent[: self._sent_of(sock, self._unsent)]  # moves its begin, copies nothing
        if not self._unsent:
            self._loop.remove_writer(sock.fileno())

    def _sent_of(self, sock: socket.socket, data: bytes | bytearray) -> int:
        """Sends as much as the socket takes. One that is closed takes everything: the reader sees the end."""
        sent = 0
        with memoryview(data) as view:
            while sent < len(data):
                try:
                    sent += sock.send(view[sent:])
                except BlockingIOError:
                    return sent
                except OSError:
                    return len(data)
        return sent

    def read(self) -> None:
        """Takes in all that has come."""
        while self._sock is not None:
            try:
                data = self._sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end(CLOSED)
                return
            try:
                frames = self._reader.feed(data)
                if frames:
                    self._on_frames(frames)
            except (ProtocolError, KeyError, TypeError, ValueError) as error:
                self._end(f"it sent what cannot be understood: {error}")
                return
            if len(data) < _CHUNK:
                return

    def _end(self, reason: str) -> None:
        self.close()
        self._on_closed(reason)

    def close(self) -> None:
        """Says what waits, as far as the socket takes it, and lets go."""
        if self._waiting:
            self.flush()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            sock.close()
