"""Reads the log of a try, whole or from where a reader stopped, finished or still being written."""

from __future__ import annotations

import asyncio
import heapq
import os
from collections.abc import AsyncIterator
from functools import reduce
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from tradewind.worker.file_growth import FileGrowth
from tradewind.worker.log import LogRef, attempt_file, inline_file, json_text, raw_file

_READ: Final = 1 << 22
_BEGIN: Final = b'{"attempt":"'
_NAMES_AT: Final = len(_BEGIN) + 32 + 2
_GOES_ON: Final = frozenset({"rescheduled", "deferred"})


class LogRecord(NamedTuple):
    """One line (or several at once) of a log.

    `ts` is seconds since 1970; `stream` log, stdout or stderr; `attempt` hexadecimal; `end` the kind
    of the outcome in an attempt's last record.
    """

    ts: float
    level: str
    logger: str
    message: str
    stream: str
    attempt: str = ""
    end: str | None = None


class LogPage(NamedTuple):
    """What was read. `token` continues; `finished`: the attempt has ended and nothing more is there to read."""

    records: list[LogRecord]
    token: str
    finished: bool


class _Place(NamedTuple):
    """How far a reader has come: which layout, offsets, and whether the last record was an end.

    Layout `i`: all records are in the file that coroutines of the run share, `offset` is there. Layout `f`: the try has
    files of its own, and `shared` is the offset in the shared one, which has what triggers said on behalf of the task.
    """

    layout: str
    offset: int = 0
    raw: int = 0
    ended: bool = False
    shared: int = 0

    def token(self) -> str:
        return f"{self.layout}:{self.offset}:{self.raw}:{int(self.ended)}:{self.shared}"

    @staticmethod
    def of(token: str) -> _Place:
        """Raises ValueError for what is no token of ours."""
        layout, offset, raw, ended, shared = token.split(":")
        if layout not in ("f", "i"):
            raise ValueError(f"{token!r} is no log token")
        return _Place(layout, int(offset), int(raw), ended == "1", int(shared))


def read_log(log_root: str, ref: LogRef, token: str | None = None, *, shared: bool = True) -> LogPage:
    """The records from `token` (default: the beginning) on, some megabytes at most.

    A log that does not exist (yet) is empty and not finished. Without `shared` only what processes of the try wrote is
    read, not what coroutines said on its behalf. Blocks for file reads. Raises
    ValueError for a token that this function did not give, OSError if a file cannot be read.
    """
    files = attempt_file(log_root, ref)
    place = _Place.of(token) if token else None
    if (place is None or (place.layout == "i" and not place.ended)) and files.exists():
        place = _Place("f", shared=place.offset if place is not None else 0)
    others = inline_file(log_root, ref.dag_id, ref.dag_run_id) if shared else Path(os.devnull)
    if place is None:
        if not shared or not others.exists():
            return LogPage([], "", finished=False)
        place = _Place("i")
    if place.layout == "f":
        return _read_files(files, others, ref, place)
    records, place, whole = _read_shared(others, ref, place)
    return LogPage(records, place.token(), finished=place.ended and whole)


async def follow(log_root: str, ref: LogRef, token: str | None = None) -> AsyncIterator[LogPage]:
    """Pages as the log grows; ends after the page that says `finished`. Files are watched only meanwhile."""
    paths = (attempt_file(log_root, ref), inline_file(log_root, ref.dag_id, ref.dag_run_id))
    async with FileGrowth((paths[0], raw_file(paths[0]), paths[1])) as growth:
        while True:
            page = await asyncio.to_thread(read_log, log_root, ref, token)
            moved = page.token != (token or "")
            token = page.token
            if page.records or page.finished:
                yield page
            if page.finished:
                return
            if not moved:
                await growth.wait()


# -- one file a try


def _read_files(path: Path, shared: Path, ref: LogRef, place: _Place) -> LogPage:
    said, beside, shared_whole = _read_shared(shared, ref, _Place("i", place.shared))
    data, whole = _complete_lines(path, place.offset)
    raw = _Raw(raw_file(path), place.raw)
    records: list[LogRecord] = []
    offset = place.offset
    for line in data.splitlines(keepends=True):
        parsed = _parse(line)
        position = max((plain["raw"] for plain in parsed if "raw" in plain), default=0)
        records += raw.until(position, parsed[-1]["ts"])
        if raw.position < position and raw.is_full:  # the next page goes on here
            whole = False
            break
        records += map(_record, parsed)
        offset += len(line)
    records = list(heapq.merge(records, said, key=lambda record: record.ts)) if said else records
    ended = reduce(_is_end, records, place.ended)
    if whole:
        records += raw.rest(everything=ended)
    token = _Place("f", offset, raw.position, ended, beside.offset).token()
    return LogPage(records, token, finished=ended and whole and shared_whole)


class _Raw:
    """The file of raw output beside the records, read up to where each record says it stood; some megabytes at most."""

    def __init__(self, path: Path, position: int) -> None:
        self._path = path
        self._room = _READ
        self.position = position

    @property
    def is_full(self) -> bool:
        """Whether enough has been read for one page."""
        return self._room <= 0

    def until(self, end: int, ts: float) -> list[LogRecord]:
        """What was written before a record that was made at `ts`, as far as there is room: whole lines then."""
        wanted = end - self.position
        if wanted <= 0 or self._room <= 0:
            return []
        with self._path.open("rb") as file:
            file.seek(self.position)
            data = file.read(min(wanted, self._room))
        self._room -= len(data)
        if self._room <= 0 and len(data) < wanted and (cut := data.rfind(b"\n")) >= 0:
            data = data[: cut + 1]
        self.position += len(data)
        return _raw_records(data, ts)

    def rest(self, *, everything: bool) -> list[LogRecord]:
        """What was written after the last record: whole lines, or everything once the process has ended."""
        try:
            status = self._path.stat()
            if status.st_size <= self.position:
                return []
            with self._path.open("rb") as file:
                file.seek(self.position)
                data = file.read(_READ)
        except FileNotFoundError:
            return []
        if not everything:
            data = data[: data.rfind(b"\n") + 1]
        self.position += len(data)
        return _raw_records(data, status.st_mtime)


def _raw_records(data: bytes, ts: float) -> list[LogRecord]:
    lines = data.decode("utf-8", "backslashreplace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [LogRecord(ts, "INFO", "stdout", line.removesuffix("\r"), "stdout") for line in lines]


# -- one file a run


def _read_shared(path: Path, ref: LogRef, place: _Place) -> tuple[list[LogRecord], _Place, bool]:
    """The try's records in the file that many share, how far that is, and whether that is all there is now."""
    wanted = b'"task_id":%s,"map_index":%d,"try":%d,' % (json_text(ref.task_id), ref.map_index, ref.try_number)
    records: list[LogRecord] = []
    offset = place.offset
    while True:
        data, whole = _complete_lines(path, offset)
        offset += len(data)
        for line in data.splitlines():
            if line.startswith(wanted, _NAMES_AT):
                records += map(_record, _parse(line))
        if whole or records:
            return records, _Place("i", offset, 0, reduce(_is_end, records, place.ended)), whole


# -- lines


def _complete_lines(path: Path, offset: int) -> tuple[bytes, bool]:
    """Whole lines from `offset` on, and whether that is all there is now."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_READ)
            while data and b"\n" not in data and (more := file.read(_READ)):
                data += more
            whole = not file.read(1)
    except FileNotFoundError:
        return b"", True
    return data[: data.rfind(b"\n") + 1], whole


def _parse(line: bytes) -> list[dict[str, Any]]:
    """The record of a line; two where a kill has torn one and another follows it."""
    try:
        return [orjson.loads(line)]
    except orjson.JSONDecodeError:
        pass
    cut = line.rfind(_BEGIN)
    torn = line[:cut] if cut > 0 else line
    found: list[dict[str, Any]] = [{"ts": 0.0, "message": torn.decode("utf-8", "backslashreplace")}]
    if cut > 0:
        try:
            found.append(orjson.loads(line[cut:]))
            found[0]["ts"] = found[1]["ts"]
        except orjson.JSONDecodeError:
            found[0]["message"] = line.decode("utf-8", "backslashreplace")
    return found


def _record(plain: dict[str, Any]) -> LogRecord:
    return LogRecord(
        plain["ts"],
        plain.get("level", "INFO"),
        plain.get("logger", "torn"),
        plain["message"],
        plain.get("stream", "log"),
        plain.get("attempt", ""),
        plain.get("end"),
    )


def _is_end(before: bool, record: LogRecord) -> bool:
    """Whether the log may be over after this record; late output of threads does not reopen it."""
    if record.end is not None:
        return record.end not in _GOES_ON
    return before and not record.message.startswith("Starting attempt ")
