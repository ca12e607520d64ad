"""The logs of tries: as text, in pieces of JSON, or record by record while they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from tradewind.control_ports import LiveEvent
from tradewind.model.rows import AttemptRow, RunRow
from tradewind.model.specs import Json
from tradewind.model.states import OutcomeKind
from tradewind.web.answers import harden, json_answer
from tradewind.web.keys import LOG_TOKENS
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest import run_views
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import run_of
from tradewind.web.rest.task_instances import INSTANCE, MAP_INDEX, instance_of
from tradewind.web.streams import close_iterator, frame, put_away, send_stream
from tradewind.worker.log import LogRef
from tradewind.worker.log_reader import LogPage, LogRecord, follow, read_log

ON_ITS_WAY_S: Final = 0.5
"""How long the last lines of a try that is over may be on their way; a killed process wrote no last line."""

RECORDS_AT_ONCE: Final = 500
"""Records that are written together, before others of the loop get their turn."""
GOES_ON: Final = frozenset({OutcomeKind.RESCHEDULED, OutcomeKind.DEFERRED})
"""Ends of attempts after which the same try goes on, in the same log."""


def line_of(record: LogRecord) -> str:
    """A record as a line of text."""
    where = "" if record.stream in ("log", record.logger) else f"{record.stream} "
    if not record.ts:
        return f"{record.message}\n"
    return f"[{_instant(record.ts)}] {{{record.logger}}} {where}{record.level} - {record.message}\n"


def _instant(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).isoformat(timespec="milliseconds")


def _data(record: LogRecord) -> dict[str, Json]:
    return {
        "ts": _instant(record.ts) if record.ts else None,
        "level": record.level,
        "logger": record.logger,
        "message": record.message,
        "stream": record.stream,
    }


async def _ref(call: Call, run: RunRow) -> LogRef:
    """The log that the address names. Raises Problem 404 for a try that there has not been."""
    row = await instance_of(call, run)
    number = call.integer("task_try_number")
    # The next try may be asked for already: its reader waits for its first line.
    if not 1 <= number <= row.try_number + 1:
        raise not_found("Log not found", f"{row.task_id} has no try {number}; it has had {row.try_number}")
    return LogRef(run.dag_id, run.dag_run_id, row.task_id, row.map_index, number)


async def _last_attempt(call: Call, run: RunRow, ref: LogRef) -> AttemptRow | None:
    attempts = await call.reads.attempt_list(run.run_id, ref.task_id, ref.map_index)
    return next((attempt for attempt in reversed(attempts) if attempt.try_number == ref.try_number), None)


async def _is_over(call: Call, run: RunRow, ref: LogRef) -> bool:
    """Whether the try has ended for good, whatever its log says (a killed process wrote no end)."""
    attempt = await _last_attempt(call, run, ref)
    return attempt is not None and attempt.kind is not None and attempt.kind not in GOES_ON


async def _pages(call: Call, ref: LogRef, token: str) -> AsyncIterator[LogPage]:
    """What is there now, from `token` on."""
    while True:
        page = await asyncio.to_thread(read_log, call.control.log_root, ref, token or None)
        yield page
        if page.finished or page.token == token:
            return
        token = page.token


# -- text and JSON


async def get_log(call: Call) -> web.StreamResponse:
    """GET …/logs/{task_try_number}: text/plain, or JSON where that is asked for."""
    run = await run_of(call)
    ref = await _ref(call, run)
    accepted = call.request.headers.get("Accept", "*/*")
    if "application/json" in accepted:
        return await _as_json(call, run, ref)
    if "text/plain" in accepted or "text/*" in accepted or "*/*" in accepted:
        return await _as_text(call, ref)
    raise Problem(406, "Not Acceptable", "A log is there as text/plain and as application/json.")


async def _as_text(call: Call, ref: LogRef) -> web.StreamResponse:
    """Piece by piece, so that a log of any size needs little memory."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    harden(response.headers)
    await response.prepare(call.request)
    if call.request.method != "HEAD":
        async for page in _pages(call, ref, _token(call, ref)):
            await response.write("".join(map(line_of, page.records)).encode("utf-8", "backslashreplace"))
    return response


async def _as_json(call: Call, run: RunRow, ref: LogRef) -> web.Response:
    is_over = await _is_over(call, run, ref)
    begin = token = _token(call, ref)
    content: list[str] = []
    finished = False
    async for page in _pages(call, ref, token):
        content += map(line_of, page.records)
        finished, token = page.finished, page.token
        if not call.flag("full_content"):
            break
    more = not finished and not (is_over and (token == begin or call.flag("full_content")))
    return json_answer({"content": "".join(content), "continuation_token": _signed(call, ref, token) if more else None})


def _signed(call: Call, ref: LogRef, token: str) -> str:
    return call.request.app[LOG_TOKENS].sign(f"{_name(ref)}\0{token}".encode())


def _token(call: Call, ref: LogRef) -> str:
    """Where the caller wants to go on; '' for the beginning. Raises Problem 400."""
    given = call.maybe_text("token") or call.request.headers.get("Last-Event-ID")
    if not given:
        return ""
    raw = call.request.app[LOG_TOKENS].read(given)
    name, _, token = (raw or b"").decode().rpartition("\0")
    if name != _name(ref):
        raise bad_request("token is not one that this log's answers gave; leave it out to begin at the first line")
    return token


def _name(ref: LogRef) -> str:
    return "\0".join(map(str, ref))


# -- the stream


async def stream_log(call: Call) -> web.StreamResponse:
    """GET …/logs/{task_try_number}/stream: events `record`, then `end` when the try has ended."""
    run = await run_of(call)
    ref = await _ref(call, run)
    return await send_stream(call.request, _frames(call, run, ref, _token(call, ref)))


async def _frames(call: Call, run: RunRow, ref: LogRef, token: str) -> AsyncGenerator[bytes]:
    async with aclosing(_followed(call, run, ref, token)) as followed:
        async for page in followed:
            token = page.token
            for raw in _records(call, ref, page):
                yield raw
    async for page in _pages(call, ref, token):
        for raw in _records(call, ref, page):
            yield raw
    row = await instance_of(call, run)
    attempt = await _last_attempt(call, run, ref)
    outcome = attempt.kind if attempt is not None else None
    yield frame("end", {"state": run_views.state_name(row.state), "try_number": ref.try_number, "outcome": outcome})


def _records(call: Call, ref: LogRef, page: LogPage) -> Iterable[bytes]:
    """The page's records, some hundred at once; the last carries the place to go on from."""
    last = len(page.records) - 1
    for start in range(0, len(page.records), RECORDS_AT_ONCE):
        part = page.records[start : start + RECORDS_AT_ONCE]
        yield b"".join(
            frame("record", _data(record), _signed(call, ref, page.token) if start + index == last else "")
            for index, record in enumerate(part)
        )


async def _followed(call: Call, run: RunRow, ref: LogRef, token: str) -> AsyncGenerator[LogPage]:
    """Pages as the log grows, until its end record, or until the store says that the try is over."""
    pages = follow(call.control.log_root, ref, token or None)
    over = asyncio.ensure_future(_until_over(call, run, ref))
    upcoming = asyncio.ensure_future(_next_page(pages))
    try:
        while True:
            either: set[asyncio.Task[None] | asyncio.Task[LogPage | None]] = {upcoming, over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                over.result()
                await asyncio.wait({upcoming}, timeout=ON_ITS_WAY_S)
            if not upcoming.done():
                return
            page = upcoming.result()
            if page is None:
                return
            yield page
            upcoming = asyncio.ensure_future(_next_page(pages))
    finally:
        await put_away(over)
        await put_away(upcoming)
        await close_iterator(pages)


async def _next_page(pages: AsyncIterator[LogPage]) -> LogPage | None:
    return await anext(pages, None)


async def _until_over(call: Call, run: RunRow, ref: LogRef) -> None:
    """Returns when the try has ended. Listens first and looks then, so that no end is missed."""
    events = call.control.live_events(run.dag_id)
    upcoming = asyncio.ensure_future(_next_event(events))
    try:
        await asyncio.sleep(0)
        while not await _is_over(call, run, ref):
            while not _concerns(event := await upcoming, ref):
                upcoming = asyncio.ensure_future(_next_event(events))
            if event is None:
                return
            upcoming = asyncio.ensure_future(_next_event(events))
    finally:
        await put_away(upcoming)
        await close_iterator(events)


async def _next_event(events: AsyncIterator[LiveEvent]) -> LiveEvent | None:
    return await anext(events, None)


def _concerns(event: LiveEvent | None, ref: LogRef) -> bool:
    """Whether an event may have ended the try. One without a DAG says that events were lost."""
    if event is None or (event.kind == "dag" and not event.dag_id):
        return True
    if event.kind != "task" or event.dag_run_id != ref.dag_run_id:
        return False
    return any(row.task_id == ref.task_id and row.map_index == ref.map_index for row in event.items)


_LOG: Final = f"{INSTANCE}/logs/{{task_try_number}}"
_KINDS: Final = {"task_try_number": Kind.INTEGER}
_TOKEN: Final = Param("token", Kind.TEXT, "The continuation_token of the piece before.", maximum=2000)

ROUTES: Final = (
    Route(
        "GET",
        _LOG,
        "get_log",
        get_log,
        "TaskInstance",
        "The log of a try, as text or in pieces of JSON.",
        query=(MAP_INDEX, _TOKEN, Param("full_content", Kind.FLAG, "JSON: all of it in one answer.", default=False)),
        answers={200: "Log"},
        media=("application/json", "text/plain"),
        path_kinds=_KINDS,
    ),
    Route(
        "GET",
        f"{_LOG}/stream",
        "stream_log",
        stream_log,
        "TaskInstance",
        "The log of a try as it is written: events `record`, then `end`. Last-Event-ID goes on where a reader stopped.",
        query=(MAP_INDEX, _TOKEN),
        answers={200: ""},
        media=("text/event-stream",),
        path_kinds=_KINDS,
    ),
)
