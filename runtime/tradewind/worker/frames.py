"""Frames of the attempt protocol: a length, a JSON head, and the bytes it speaks of.

::

    u32  length of all that follows
    u32  length of the head
    head: JSON  [version, kind, sequence, body]
    tail: bytes

`bytes` in a body do not become base64: the head holds ``{"#": [offset, length]}`` and the bytes
themselves stand in the tail. There and back a value of 1 MiB takes 1.2 ms so, and 7.5 ms as base64; one
of 20 bytes 5 and 1 µs. Numbers are big-endian.

A speaker sends version `PROTOCOL`; a listener understands `PROTOCOL` and the one before it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import orjson

from tradewind.model.errors import TradewindError

PROTOCOL: Final = 1
UNDERSTOOD: Final = frozenset(v for v in (PROTOCOL - 1, PROTOCOL) if v >= 1)

FRAME_MAX: Final = 1 << 30
"""Bytes. A larger length means that the stream is not ours."""

_LENGTHS: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")


class ProtocolError(TradewindError):
    """The other side speaks another language."""


class Frame(NamedTuple):
    """One message. `sequence` counts a speaker's messages; an answer repeats the question's."""

    kind: str
    sequence: int
    body: Any
    version: int = PROTOCOL


def pack(frame: Frame) -> bytes:
    """The frame as bytes. Raises ProtocolError if it is too long or holds what JSON cannot say."""
    tail: list[bytes] = []
    offset = 0

    def place(value: object) -> object:
        nonlocal offset
        if isinstance(value, (bytes, bytearray)):
            data = bytes(value)
            tail.append(data)
            offset += len(data)
            return {"#": [offset - len(data), len(data)]}
        raise TypeError(f"{type(value).__name__} cannot travel in a frame")

    try:
        head = orjson.dumps([frame.version, frame.kind, frame.sequence, frame.body], default=place)
    except orjson.JSONEncodeError as error:
        raise ProtocolError(f"frame {frame.kind!r}: {error}") from error
    if 4 + len(head) + offset > FRAME_MAX:
        raise ProtocolError(f"frame {frame.kind!r} would have {len(head) + offset} bytes; {FRAME_MAX} are allowed")
    return b"".join((_LENGTHS.pack(4 + len(head) + offset, len(head)), head, *tail))


def unpack(data: bytes | memoryview) -> Frame:
    """The frame of `data` (without its first length). Raises ProtocolError."""
    try:
        view = memoryview(data)
        (head_length,) = _LENGTH.unpack_from(view)
        version, kind, sequence, body = orjson.loads(view[4 : 4 + head_length])
    except (ValueError, TypeError, struct.error) as error:
        raise ProtocolError(f"not a frame: {error}") from error
    if version not in UNDERSTOOD:
        raise ProtocolError(
            f"the other side speaks version {version!r} of the attempt protocol; "
            f"understood are {', '.join(map(str, sorted(UNDERSTOOD)))}: bring both to the same release"
        )
    return Frame(kind, sequence, _with_bytes(body, view[4 + head_length :]), version)


def _with_bytes(value: Any, tail: memoryview) -> Any:
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        mark = pairs.get("#") if len(pairs) == 1 else None
        if mark is not None:
            start, length = mark
            if start + length > len(tail):
                raise ProtocolError("a frame speaks of bytes that it does not carry")
            return bytes(tail[start : start + length])
        return {k: _with_bytes(v, tail) for k, v in pairs.items()}
    if isinstance(value, list):
        return [_with_bytes(v, tail) for v in cast("Sequence[Any]", value)]
    return value


class FrameReader:
    """Cuts a stream of bytes into frames, however it arrives."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Takes bytes in; returns the frames that they complete. Raises ProtocolError."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        position = 0
        while len(buffer) - position >= 4:
            (length,) = _LENGTH.unpack_from(buffer, position)
            if length > FRAME_MAX:
                raise ProtocolError(f"a frame of {length} bytes is announced; {FRAME_MAX} are allowed")
            if len(buffer) - position - 4 < length:
                break
            frames.append(unpack(bytes(buffer[position + 4 : position + 4 + length])))
            position += 4 + length
        if position:
            del buffer[:position]
        return frames
