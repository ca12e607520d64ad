"""Looking connections up for clients that many share: once for all who ask at the same time, and seldom again.

Whoever begins after a change sees it; see decision 0091.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
from time import monotonic
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from tradewind.authoring.access import current_attempt
from tradewind.authoring.connection import Connection

MAX_AGE: Final = 5.0
"""Seconds that a look-up holds for the task that made it, and for code outside of tasks."""


class LookedUp(NamedTuple):
    """A connection as it was at a moment."""

    connection: Connection
    fingerprint: str
    """Changes with the connection, and tells nothing of it."""


class _Question:
    """One look-up, under way or answered."""

    __slots__ = ("answer", "asked_at", "done", "error", "source", "task")

    def __init__(self, source: object) -> None:
        self.source = source
        """Who is asked: kept, so that its id stays its own."""
        self.asked_at = monotonic()
        self.done = asyncio.Event()
        self.answer: LookedUp | None = None
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None


class ConnectionLookups:
    """Of one loop."""

    def __init__(self) -> None:
        self._latest: dict[tuple[int, str], _Question] = {}

    async def get(self, conn_id: str) -> LookedUp:
        """The connection as it was when the running task began, or later. Raises what `Connection.aget` raises."""
        running = current_attempt.get(None)
        source: Any = running.services if running is not None else None
        since = max(running.began if running is not None else 0.0, monotonic() - MAX_AGE)
        key = (id(source), conn_id)
        while True:
            question = self._latest.get(key)
            if question is None or (question.done.is_set() and (question.error or question.asked_at < since)):
                question = self._ask(key, source)
            if not question.done.is_set():
                await question.done.wait()
            if question.asked_at >= since:
                if question.answer is not None:
                    return question.answer
                raise _again(question.error)

    def _ask(self, key: tuple[int, str], source: object) -> _Question:
        now = monotonic()
        for old, question in list(self._latest.items()):
            if question.done.is_set() and question.asked_at < now - MAX_AGE:
                del self._latest[old]
        asked = self._latest[key] = _Question(source)
        asked.task = asyncio.get_running_loop().create_task(_answer(asked, key[1]))
        asked.task.add_done_callback(lambda _: asked.done.set())
        return asked


async def _answer(question: _Question, conn_id: str) -> None:
    try:
        connection = await Connection.aget(conn_id)
        question.answer = LookedUp(connection, fingerprint_of(connection))
    except BaseException as error:
        question.error = error
        if not isinstance(error, Exception):
            raise
    finally:
        question.done.set()


def _again(error: BaseException | None) -> BaseException:
    """The error for one of those that wait: shared exceptions would collect all their tracebacks."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return RuntimeError("the event loop ended while a connection was looked up")
    try:
        return copy.copy(error).with_traceback(None)
    except Exception:
        return error


def fingerprint_of(connection: Connection) -> str:
    """A digest of all that the connection says."""
    return hashlib.sha256(connection.stored_text().encode()).hexdigest()


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, ConnectionLookups]] = WeakKeyDictionary()


def lookups_here() -> ConnectionLookups:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = ConnectionLookups()
    return found
