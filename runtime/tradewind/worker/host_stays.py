"""What stays in an async host for long: waits, and the watchers of assets. The host's side of its frames.

The executor says::

    stay  {n, what, …}      what: `wait` or `kill` with {attempt, wait}, `watch` with {start}
    tell  {n, what, …}      `settled` {accepted}, `committed`, `refused` {error, message}, `leave` {kill}

and the host::

    said  {n, what, …}      `answered` {answer, outcome}, `fired` {payload, key}, `acknowledged`, `ended` {error}
    left  {n, seconds}      it is gone, its clean-up included, and has held the loop for so long
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import orjson

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.triggers import TriggerEvent
from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.errors import AuthoringError
from tradewind.model.loop import CoroutineKind
from tradewind.model.outcomes import Outcome
from tradewind.model.waits import WaitAnswer
from tradewind.model.watches import WatchStart
from tradewind.worker import codec
from tradewind.worker.attempt import is_torn_down
from tradewind.worker.carrier import LoopCarrier
from tradewind.worker.channel import refusal
from tradewind.worker.endings import error_info
from tradewind.worker.frames import Frame
from tradewind.worker.guard import Owner
from tradewind.worker.trigger_life import LifeMeans, TriggerLife, is_cancelled
from tradewind.worker.watch_life import GOES_WITHIN, acknowledge, live_once, stand_in

Say = Callable[[str, Any], int]


class _Guest(Protocol):
    """One that stays."""

    def live(self) -> Coroutine[Any, Any, None]: ...

    def told(self, what: str, body: dict[str, Any]) -> None: ...

    def leaves(self, *, kill: bool) -> None: ...


class HostStays:
    """All that stay in this host."""

    def __init__(self, carrier: LoopCarrier, means: LifeMeans, say: Say) -> None:
        self._carrier = carrier
        self._means = means
        self._say = say
        self._guests: dict[int, _Guest] = {}
        self._owners: dict[int, Owner] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, frame: Frame) -> None:
        """Takes a `stay` or `tell`."""
        body: dict[str, Any] = frame.body
        number: int = body["n"]
        if frame.kind == "stay":
            self._begin(number, body)
        elif (guest := self._guests.get(number)) is not None:
            if body["what"] == "leave":
                guest.leaves(kill=body["kill"])
                self._tasks[number].cancel()
            else:
                guest.told(body["what"], body)

    def uses(self, at_least: float) -> list[tuple[int, float]]:
        """Who has held the loop for `at_least` seconds, and for how long."""
        return [(number, owner.seconds) for number, owner in self._owners.items() if owner.seconds >= at_least]

    async def stop(self) -> None:
        """Has all leave and waits until they are gone."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GOES_WITHIN)

    def _begin(self, number: int, body: dict[str, Any]) -> None:
        attempt: Attempt | None = None

        def say(what: str, **more: Any) -> None:
            self._say("said", {"n": number, "what": what, **more})

        if body["what"] == "watch":
            start = codec.watch_of(body["start"])
            kind = CoroutineKind(start.dag_id, f"{start.watcher.uri}:{start.watcher.name}", "watcher")
            guest: _Guest = _Watch(self._means, start, say)
        else:
            attempt = codec.attempt_of(body["attempt"])
            kind = CoroutineKind(attempt.run.dag_id, attempt.key.task_id, "trigger")
            guest = _Wait(self._means, WaitStart(attempt, codec.wait_of(body["wait"])), say, body["what"] == "kill")
        owner = self._carrier.watch.begin(kind, number)
        owner.subject = attempt
        self._guests[number], self._owners[number] = guest, owner
        task = self._tasks[number] = self._carrier.spawn_owned(owner, guest.live())
        task.add_done_callback(lambda _: self._left(number))

    def _left(self, number: int) -> None:
        del self._guests[number], self._tasks[number]
        self._say("left", {"n": number, "seconds": self._owners.pop(number).seconds})


class _Wait:
    """A wait, as `trigger_life` lives it."""

    def __init__(self, means: LifeMeans, start: WaitStart, say: Callable[..., None], kills: bool) -> None:
        self._life = TriggerLife(means, start, self._report)
        self._say = say
        self._kills = kills
        self._settled: asyncio.Future[bool] | None = None

    def live(self) -> Coroutine[Any, Any, None]:
        return self._life.kill() if self._kills else self._life.run()

    def told(self, what: str, body: dict[str, Any]) -> None:
        if what == "settled" and self._settled is not None and not self._settled.done():
            self._settled.set_result(body["accepted"])

    def leaves(self, *, kill: bool) -> None:
        self._life.is_ending = kill

    async def _report(self, answer: WaitAnswer, outcome: Outcome | None) -> bool:
        self._settled = asyncio.get_running_loop().create_future()
        plain = None if outcome is None else codec.plain_outcome(outcome)
        self._say("answered", answer=codec.plain_answer(answer), outcome=plain)
        return await self._settled


class _Watch:
    """One life of a watcher's trigger."""

    def __init__(self, means: LifeMeans, start: WatchStart, say: Callable[..., None]) -> None:
        self._means = means
        self._start = start
        self._say = say
        self._committed: asyncio.Future[None] | None = None

    async def live(self) -> None:
        attempt, task = stand_in(self._start), asyncio.current_task()
        current_attempt.set(CurrentAttempt(attempt, self._means.services, self._means.blocking))
        error = None
        try:
            await live_once(self._start, self._means.dags, attempt.run, self._deliver)
        except asyncio.CancelledError as cancelled:
            if is_cancelled():
                return
            error = error_info(cancelled).traceback
        except BaseException as why:
            if isinstance(why, GeneratorExit) and is_torn_down(task):
                raise
            error = error_info(why).traceback
        self._say("ended", error=error)

    def told(self, what: str, body: dict[str, Any]) -> None:
        waiting = self._committed
        if waiting is None or waiting.done():
            return
        if what == "committed":
            waiting.set_result(None)
        elif what == "refused":
            waiting.set_exception(refusal(body["error"], body["message"]))

    def leaves(self, *, kill: bool) -> None:
        """Nothing is owed."""

    async def _deliver(self, event: TriggerEvent) -> bool:
        self._committed = asyncio.get_running_loop().create_future()
        try:
            payload = orjson.dumps(event.payload)
        except TypeError as why:
            raise AuthoringError(f"a payload has to be JSON, and {event.payload!r} is not: {why}") from why
        self._say("fired", payload=payload, key=event.key)
        await self._committed
        await acknowledge(event)
        self._say("acknowledged")
        return True
