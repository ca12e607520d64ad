"""Waits and watchers that are carried out in async hosts: the executor's side of each.

A host may end at any time. A wait is then begun again in another one, unless it was the wait that ended its host; a
watcher fails and begins again after a pause, as after any failure.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import orjson

from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.errors import TradewindError
from tradewind.model.loop import CoroutineKind
from tradewind.model.waits import WaitAnswer
from tradewind.model.watches import WatchFired, WatchStart
from tradewind.worker import codec
from tradewind.worker.guard import Owner
from tradewind.worker.log import AttemptLog
from tradewind.worker.steps import say
from tradewind.worker.trigger_life import NOT_MADE, Report, is_cancelled
from tradewind.worker.watch_life import GOES_WITHIN
from tradewind.worker.watch_runner import EndedElsewhere, Tells

DEATHS_MAX: Final = 5
"""So many hosts in a row may die soon after a wait was begun in them; then it fails."""

SOON: Final = 60.0
"""Seconds."""

ANSWERED: Final = "answered"
LEFT: Final = "left"
LOST: Final = "lost"
_numbers = itertools.count(1)


class Said(NamedTuple):
    """What was heard of one that stays. `LEFT` and `LOST` are the last."""

    what: str
    body: dict[str, Any]


class Room(Protocol):
    """A host, as one that stays in it sees it."""

    def tell(self, stay: Stay, what: str, body: Mapping[str, Any]) -> None:
        """Tells it something."""
        ...

    def let_out(self, stay: Stay, *, is_left_behind: bool = False) -> None:
        """It has left, or goes on though it was told to leave."""
        ...


class Stay:
    """User code that stays in a host, be it the first one or another: what it is told to do and what is heard of it."""

    def __init__(self, kind: CoroutineKind, order: dict[str, Any], attempt: Attempt | None = None) -> None:
        self.owner = Owner(kind, next(_numbers))
        self._order = order
        self.attempt = attempt
        self.host: Room | None = None
        self.was_sent = False
        self.is_to_blame = False
        """Its host has ended because of it."""
        self.cannot_be: str | None = None
        """Why there can be no host for it."""
        self._said: asyncio.Queue[Said] = asyncio.Queue()
        self._last: Said | None = None

    def taken_order(self) -> dict[str, Any]:
        """What it is told to do. Asked for once, and not kept: there may be many who wait for long."""
        order, self._order = self._order, {}
        return order

    async def heard(self) -> Said:
        """What is said next."""
        return self._last if self._last is not None and self._said.empty() else await self._said.get()

    async def over(self) -> Said:
        """Returns when nothing more will be heard."""
        while (said := await self.heard()) is not self._last:
            pass
        return said

    def hear(self, what: str, body: dict[str, Any]) -> None:
        """It says something."""
        self._said.put_nowait(Said(what, body))

    def left(self) -> None:
        """It is gone."""
        self._end(Said(LEFT, {}))

    def lost(self, reason: str) -> None:
        """Its host is gone, and it with it."""
        self._end(Said(LOST, {"reason": reason}))

    def _end(self, last: Said) -> None:
        if self._last is None:
            self._last = last
            self._said.put_nowait(last)

    def tell(self, what: str, **body: Any) -> None:
        """Tells it something."""
        if self.host is not None and self.was_sent:
            self.host.tell(self, what, body)

    def leave(self, *, kill: bool) -> None:
        """Has it leave: at once where it has not been begun."""
        if self.was_sent:
            self.tell("leave", kill=kill)
        elif self.host is not None:
            self.host.let_out(self)

    def abandon(self) -> None:
        """Its code does not end."""
        if self.host is not None:
            self.host.let_out(self, is_left_behind=True)


Enter = Callable[[Stay], None]
"""Gives it a host."""


class HostedWait:
    """The `Life` of a wait in hosts."""

    def __init__(self, enter: Enter, start: WaitStart, report: Report, log: Callable[[], AttemptLog | None]) -> None:
        self.is_ending = False
        self._enter = enter
        self._start = start
        self._report = report
        self._log = log
        self._stay: Stay | None = None
        self._was_sent = False

    async def run(self) -> None:
        """As `Life.run`."""
        loop, deaths = asyncio.get_running_loop(), 0
        while True:
            stay, began = self._begin("wait"), loop.time()
            try:
                said = await stay.heard()
            except asyncio.CancelledError:
                await self._leave(stay)
                return
            self._was_sent |= stay.was_sent
            if said.what == ANSWERED:
                break
            deaths = deaths + 1 if loop.time() - began < SOON else 1
            reason = said.body.get("reason", "it ended without an answer")
            error = stay.cannot_be or _why_no_more(stay, reason, deaths)
            if error is not None:
                say(self._log(), f"The trigger failed\n{error.rstrip()}", level="ERROR")
                await self._report(WaitAnswer(error=error), None)
                return
        await self._answered(stay, said.body)

    async def _answered(self, stay: Stay, body: dict[str, Any]) -> None:
        outcome = None if body["outcome"] is None else codec.outcome_of(body["outcome"])
        accepted = False
        with suppress(asyncio.CancelledError):
            accepted = await self._report(codec.answer_of(body["answer"]), outcome)
        stay.tell("settled", accepted=accepted)
        await self._over(stay)

    async def _over(self, stay: Stay) -> Said:
        try:
            return await stay.over()
        except asyncio.CancelledError:  # what it does in leaving is cut short, as on the runtime's own loop
            stay.leave(kill=self.is_ending)
            return await stay.over()

    async def _leave(self, stay: Stay) -> None:
        self._was_sent |= stay.was_sent
        is_under_way = stay.was_sent
        stay.leave(kill=self.is_ending)
        last = await self._over(stay)
        if self.is_ending and self._was_sent and (last.what == LOST or not is_under_way):
            await self.kill()  # nobody has come to that

    async def kill(self) -> None:
        """As `Life.kill`."""
        self.is_ending = True
        reason = ""
        for _ in range(DEATHS_MAX):
            stay = self._begin("kill")
            last = await self._over(stay)
            if last.what == LEFT:
                return
            reason = stay.cannot_be or last.body["reason"]
            if stay.cannot_be or stay.is_to_blame:
                break
        say(self._log(), f"{NOT_MADE}\n{reason.rstrip()}", level="ERROR")

    def abandon(self) -> None:
        """As `Life.abandon`: its host ends as soon as nothing else runs there."""
        if self._stay is not None:
            self._stay.abandon()

    def _begin(self, what: str) -> Stay:
        attempt = self._start.attempt
        order = {"what": what, "attempt": codec.plain_attempt(attempt), "wait": codec.plain_wait(self._start.wait)}
        kind = CoroutineKind(attempt.run.dag_id, attempt.key.task_id, "trigger")
        stay = self._stay = Stay(kind, order, attempt)
        self._enter(stay)
        return stay


def _why_no_more(stay: Stay, reason: str, deaths: int) -> str | None:
    if stay.is_to_blame:
        return f"The trigger has ended the process that carried it: {reason}"
    if deaths >= DEATHS_MAX:
        return f"{deaths} processes in a row have died that carried the trigger; of the last one: {reason}"
    return None


async def live_watch(enter: Enter, start: WatchStart, kind: CoroutineKind, tells: Tells) -> None:
    """One life of a watcher's trigger in a host. Raises EndedElsewhere."""
    stay = Stay(kind, {"what": "watch", "start": codec.plain_watch(start)})
    enter(stay)
    try:
        while True:
            said = await stay.heard()
            if said.what == "fired":
                await _commit(stay, tells, said.body)
            elif said.what == "acknowledged":
                if not tells.acknowledged():
                    return
            elif said.what == "ended":
                await stay.over()
                if said.body["error"] is not None:
                    raise EndedElsewhere(said.body["error"])
                return
            else:
                raise EndedElsewhere(stay.cannot_be or said.body.get("reason", "it has left"))
    finally:
        stay.leave(kill=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOES_WITHIN):
                await stay.over()


async def _commit(stay: Stay, tells: Tells, body: dict[str, Any]) -> None:
    try:
        await tells.commit(WatchFired(orjson.loads(body["payload"]), body["key"]))
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        stay.tell("refused", error="TradewindError", message="the event was not committed")
    except TradewindError as error:
        stay.tell("refused", error=type(error).__name__, message=str(error))
    else:
        stay.tell("committed")
