"""Sources of messages in the outside world, and watchers that take from them, carried as the inline executor does it.

A source offers a message until it is acknowledged: again when whoever had it is gone, or has had it for long. It notes
in `faults` when a message is acknowledged that is not in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import orjson

from tradewind.authoring.dag import DAG
from tradewind.authoring.triggers import Trigger, TriggerEvent
from tradewind.executor_ports import WatchHost
from tradewind.model.attempts import RunFacts
from tradewind.model.loop import CoroutineKind
from tradewind.model.watches import WatchStart
from tradewind.store.memory_tables import MemoryDatabase
from tradewind.testing.simulated_waits import WaitingExecutor
from tradewind.worker.blocking import BlockingOnLoop
from tradewind.worker.watch_runner import WatchMeans, WatchRunner

LOOKS_AGAIN: Final = 30.0
"""Seconds after which a message that was taken and not acknowledged is offered again."""

_sources: dict[str, Source] = {}


class SourceGone(Exception):
    """The source cannot be reached just now."""


class Consumer:
    """One life of a trigger at a source."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.news = asyncio.Event()
        self.is_gone = False


class Message:
    """Something that a source offers."""

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self.is_acknowledged = False
        self.holder: Consumer | None = None
        self.since = 0.0


class Source:
    """A queue of messages. `is_dead` tells whether a loop will never turn again."""

    def __init__(
        self, name: str, uri: str, database: MemoryDatabase, is_dead: Callable[[asyncio.AbstractEventLoop], bool]
    ) -> None:
        self.uri = uri
        self.messages: list[Message] = []
        self.consumers: list[Consumer] = []
        self.faults: list[str] = []
        self.fails = 0
        """How often it will not give the next message."""
        self.ack_fails = 0
        """How often it will not take the next acknowledgement."""
        self._database = database
        self._is_dead = is_dead
        _sources[name] = self

    def put(self) -> None:
        """A message comes."""
        number = len(self.messages)
        self.messages.append(Message(f"m{number}", number))
        self.wake()

    def offer_again(self, message: Message) -> None:
        """It has forgotten that the message was acknowledged."""
        message.is_acknowledged, message.holder = False, None
        self.wake()

    def wake(self) -> None:
        """Tells all that wait for a message."""
        for consumer in self.living():
            consumer.loop.call_soon(consumer.news.set)

    def living(self) -> list[Consumer]:
        """Those who take messages."""
        return [c for c in self.consumers if not (c.is_gone or self._is_dead(c.loop))]

    async def take(self, consumer: Consumer) -> Message:
        """The next message, once there is one."""
        while True:
            if self.fails:
                self.fails -= 1
                raise SourceGone("the source is away")
            now = consumer.loop.time()
            message = next((m for m in self.messages if self._is_free(m, now)), None)
            if message is not None:
                message.holder, message.since = consumer, now
                return message
            consumer.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOKS_AGAIN):
                    await consumer.news.wait()

    async def acknowledge(self, message: Message) -> None:
        """It need not be offered again."""
        if not self.stored(message):
            self.faults.append(f"message {message.key} of {self.uri} was acknowledged and is not stored")
        await asyncio.sleep(0.005)
        if self.ack_fails:
            self.ack_fails -= 1
            raise SourceGone("the acknowledgement got lost")
        message.is_acknowledged = True

    def stored(self, message: Message) -> int:
        """How many events of its asset the message has become."""
        wanted = {"message": message.number}
        events = [event for event in self._database.assets.events.values() if event.uri == self.uri]
        return sum(orjson.loads(event.extra).get("payload") == wanted for event in events)

    def _is_free(self, message: Message, now: float) -> bool:
        holder = message.holder
        if message.is_acknowledged:
            return False
        if holder is None or holder.is_gone or self._is_dead(holder.loop):
            return True
        return now - message.since >= LOOKS_AGAIN


class SourceTrigger(Trigger, kind="simulation.source"):
    """Fires for each message of a source."""

    name: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        source, consumer = _sources[self.name], Consumer(asyncio.get_running_loop())
        source.consumers.append(consumer)
        try:
            while True:
                message = await source.take(consumer)
                ack = partial(source.acknowledge, message)
                yield TriggerEvent({"message": message.number}, key=message.key, ack=ack)
        finally:
            consumer.is_gone = True
            source.wake()


class _OneDag:
    """Any DAG: the trigger needs none of its classes."""

    def get(self, run: RunFacts) -> DAG:
        return DAG(run.dag_id)

    async def load(self, run: RunFacts) -> DAG:
        return self.get(run)


class WatchingExecutor(WaitingExecutor):
    """A simulated executor that carries watchers out, with what really does it."""

    runner: WatchRunner | None = None

    def carry_watches(self, host: WatchHost, starts: Sequence[WatchStart]) -> None:
        """As `WatchExecutor.carry_watches`."""
        if self.runner is None:
            blocking = BlockingOnLoop(self.services, asyncio.get_running_loop())
            self.runner = WatchRunner(WatchMeans(_OneDag(), self.services, blocking, _spawn))
        self.runner.carry(host, starts)

    async def stop(self, *, drain: timedelta | None) -> None:
        """As `Executor.stop`."""
        if self.runner is not None:
            await self.runner.stop()
        await super().stop(drain=drain)


def _spawn(work: Coroutine[Any, Any, None], kind: CoroutineKind) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
