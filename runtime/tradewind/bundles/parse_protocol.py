"""What travels between the runtime and its parse host: frames of a JSON header and raw blobs.

A frame is its length (4 bytes, big endian, itself apart), the header's length (4 bytes), the header,
then the blobs one after another; ``header["sizes"]`` says where each ends.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple, cast

import orjson

from tradewind.authoring.defaults import AuthoringDefaults

LENGTH: Final = struct.Struct(">I")
MAX_FRAME: Final = 1 << 30

_DURATIONS: Final = frozenset({"retry_delay", "max_retry_delay", "execution_timeout"})


class Frame(NamedTuple):
    """One message."""

    header: dict[str, Any]
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class ParseJob:
    """One file to parse. `timeout` in seconds."""

    job_id: int
    bundle: str
    root: str
    relative: str
    timeout: float
    safe_mode: bool = True

    @property
    def fileloc(self) -> str:
        """The file's absolute path."""
        return f"{self.root}/{self.relative}"


@dataclass(frozen=True, slots=True)
class ParseAnswer:
    """What became of a job. `specs` are canonical JSON. Paths in `reads` are relative to the root."""

    job_id: int
    version: str = ""
    specs: tuple[bytes, ...] = ()
    error: str | None = None
    code: str | None = None
    seconds: float = 0.0
    reads: tuple[str, ...] = ()
    """Files of the bundle that the file imported or read, itself apart."""
    lists: tuple[str, ...] = ()
    """Folders of the bundle that it listed, `''` for the root."""
    external: bool = False
    """It asked the network or another program: its DAGs may change though no file does."""
    is_dag_file: bool = True
    """False: safe mode has left it alone."""


def pack(header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """The frame as bytes. Raises ValueError for more than 1 GiB."""
    head = orjson.dumps({**header, "sizes": [len(blob) for blob in blobs]})
    size = LENGTH.size + len(head) + sum(len(blob) for blob in blobs)
    if size > MAX_FRAME:
        raise ValueError(f"the serialized DAGs of one file take {size:,} bytes; {MAX_FRAME:,} are possible")
    return b"".join([LENGTH.pack(size), LENGTH.pack(len(head)), head, *blobs])


def unpack(body: bytes) -> Frame:
    """The frame whose bytes after the first length are `body`."""
    (size,) = LENGTH.unpack_from(body)
    place = LENGTH.size + size
    header = cast("dict[str, Any]", orjson.loads(body[LENGTH.size : place]))
    blobs: list[bytes] = []
    for length in cast("list[int]", header.pop("sizes")):
        blobs.append(body[place : place + length])
        place += length
    return Frame(header, blobs)


def split(buffer: bytearray) -> Iterator[Frame]:
    """Takes the complete frames out of the front of `buffer`."""
    while len(buffer) >= LENGTH.size:
        (size,) = LENGTH.unpack_from(buffer)
        end = LENGTH.size + size
        if len(buffer) < end:
            return
        body = bytes(buffer[LENGTH.size : end])
        del buffer[:end]
        yield unpack(body)


def job_frame(job: ParseJob) -> bytes:
    """The job as the host receives it."""
    return pack(dataclasses.asdict(job))


def answer_frame(answer: ParseAnswer) -> bytes:
    """The answer as the runtime receives it."""
    header = {f.name: getattr(answer, f.name) for f in dataclasses.fields(answer) if f.name != "specs"}
    return pack(header, answer.specs)


def answer_of(frame: Frame) -> ParseAnswer:
    """The answer that `answer_frame` wrote."""
    header = frame.header
    reads, lists = tuple(header.pop("reads")), tuple(header.pop("lists"))
    return ParseAnswer(specs=tuple(frame.blobs), reads=reads, lists=lists, **header)


def defaults_to_json(defaults: AuthoringDefaults) -> str:
    """The defaults as an argument of the host's command line."""
    arguments = {
        k: v.total_seconds() if isinstance(v, timedelta) else v for k, v in defaults.operator_arguments.items()
    }
    values = {f.name: getattr(defaults, f.name) for f in dataclasses.fields(defaults)}
    return orjson.dumps({**values, "operator_arguments": arguments}).decode()


def defaults_from_json(text: str) -> AuthoringDefaults:
    """The defaults that `defaults_to_json` wrote."""
    values = cast("dict[str, Any]", orjson.loads(text))
    arguments = cast("dict[str, Any]", values.pop("operator_arguments"))
    durations = {k: timedelta(seconds=v) for k, v in arguments.items() if k in _DURATIONS and v is not None}
    allowed = tuple(values.pop("xcom_allowed_classes", ()))
    values["sensitive_names"] = tuple(values.get("sensitive_names", ()))
    merged = {**arguments, **durations}
    return AuthoringDefaults(operator_arguments=merged, xcom_allowed_classes=allowed, **values)
