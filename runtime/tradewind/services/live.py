"""Tells views what has just been committed, as it happens.

Nothing is made for nobody: without a subscriber a commit costs one truth test. Each subscriber has
a bounded queue; one that does not keep up loses the oldest events and is told to fetch again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final

from tradewind.control_ports import LiveEvent
from tradewind.model.batch import TaskChange
from tradewind.model.keys import RunId
from tradewind.model.rows import InstanceRow, RunRow

BACKLOG: Final = 1_000
"""Events that a subscriber may be behind."""

FETCH_AGAIN: Final = LiveEvent("dag")
"""Sent in place of events that were dropped."""


class _Subscriber:
    __slots__ = ("dag_id", "hints", "lost", "queue", "wake")

    def __init__(self, dag_id: str | None) -> None:
        self.dag_id = dag_id
        self.queue: deque[LiveEvent] = deque(maxlen=BACKLOG)
        self.wake = asyncio.Event()
        self.lost = False
        self.hints: set[LiveEvent] = set()

    def put(self, event: LiveEvent) -> None:
        if self.dag_id is not None and event.dag_id not in ("", self.dag_id):
            return
        self.lost = self.lost or len(self.queue) == BACKLOG
        self.queue.append(event)
        self.wake.set()

    def hint(self, event: LiveEvent) -> None:
        if event not in self.hints and (self.dag_id is None or event.dag_id in ("", self.dag_id)):
            self.hints.add(event)
            self.wake.set()


class LiveHub:
    """Fans committed changes out to subscribers."""

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()
        self._is_asked = False
        """Whether anybody has ever called `changes`: what happens between two calls counts, too."""
        self._serial = 0
        self._latest: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], list[asyncio.Future[None]]] = {}

    @property
    def is_watched(self) -> bool:
        """Whether anybody listens."""
        return self._is_asked or bool(self._subscribers)

    def publish(self, event: LiveEvent) -> None:
        """Sends one event to all whom it concerns."""
        if self._is_asked and event.kind == "run":
            self._note("runs", event.dag_id)
        for subscriber in self._subscribers:
            subscriber.put(event)

    def hint(self, event: LiveEvent) -> None:
        """Says that something has changed which its viewers fetch themselves. A subscriber that is behind is given
        equal ones once, so that what changes all the time pushes nothing else out.
        """
        for subscriber in self._subscribers:
            subscriber.hint(event)

    def publish_tasks(self, run: RunRow, changes: Iterable[TaskChange]) -> None:
        """Sends the task instances that changed in one run as one event."""
        if self._is_asked:
            self._note("tasks", run.dag_id)
        if self._subscribers:
            items = tuple(_instance(run.run_id, change) for change in changes)
            self.publish(LiveEvent("task", run.dag_id, run.dag_run_id, items=items))

    def publish_assets(self) -> None:
        """Tells that assets have changed."""
        if self._is_asked:
            self._note("assets", "")

    def _note(self, what: str, dag_id: str) -> None:
        self._serial += 1
        self._latest[what, dag_id] = self._serial
        for waiting in self._waiting.pop((what, dag_id), ()):
            if not waiting.done():
                waiting.set_result(None)

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """A number that grows with each change: as soon as it is not `since`, and after so many seconds as it is."""
        self._is_asked = True
        key = (what, dag_id)
        if self._latest.get(key, 0) == since and seconds > 0:
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(key, []).append(changed)
            try:
                await asyncio.wait({changed}, timeout=seconds)
            finally:
                waiting = self._waiting.get(key, [])
                if changed in waiting:
                    waiting.remove(changed)
                if not waiting:
                    self._waiting.pop(key, None)
        return self._latest.get(key, 0)

    async def subscribe(self, dag_id: str | None = None) -> AsyncIterator[LiveEvent]:
        """Everything published from the first step of the iteration on."""
        subscriber = _Subscriber(dag_id)
        self._subscribers.add(subscriber)
        try:
            while True:
                await subscriber.wake.wait()
                subscriber.wake.clear()
                if subscriber.lost:
                    subscriber.lost = False
                    subscriber.queue.clear()
                    yield FETCH_AGAIN
                while subscriber.queue:
                    yield subscriber.queue.popleft()
                while subscriber.hints:
                    yield subscriber.hints.pop()
        finally:
            self._subscribers.discard(subscriber)


def _instance(run_id: RunId, change: TaskChange) -> InstanceRow:
    return InstanceRow(
        run_id=run_id,
        task_id=change.task_id,
        map_index=change.map_index,
        state=change.state,
        try_number=change.try_number,
        max_tries=change.max_tries,
        lost_count=change.lost_count,
        queued_at=change.queued_at,
        started_at=change.started_at,
        ended_at=change.ended_at,
        due_at=change.due_at,
        attempt=change.attempt,
    )
