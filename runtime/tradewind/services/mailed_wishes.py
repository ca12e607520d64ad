"""Sends wishes for DAGs that another runtime owns by mail, and awaits the answer.

A wish carries its own idempotency key, so sending it again after a crash does no harm.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tradewind.control_ports import TriggerRequest
from tradewind.model.errors import NotFoundError, TradewindError
from tradewind.model.rows import DagRow, InstanceRow, RunRow
from tradewind.model.waits import Signal
from tradewind.ports import Clock, Store
from tradewind.services.instances_chosen import Cleared
from tradewind.services.wish_mail import error_in, signal_mail, trigger_mail

ANSWER_WITHIN: Final = 10.0
"""Seconds a sender waits for the owner's answer."""

_TOO_SHORT: Final = 0.001
"""Seconds that are not worth another wait for an answer."""


class MailPending(TradewindError):
    """No runtime has answered yet; the wish is kept and carried out when one does."""


class MailedWishes:
    """Sends wishes to the runtimes that own the DAGs, and awaits their answers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._answered: dict[int, asyncio.Event] = {}

    def on_reply(self, mail_id: int) -> None:
        """The store says that this mail has been answered."""
        event = self._answered.get(mail_id)
        if event is not None:
            event.set()

    async def trigger(self, request: TriggerRequest) -> RunRow:
        """As `Control.run_trigger`. Raises MailPending where nobody answers in time."""
        row = await self._known(request.dag_id)
        dag_run_id, body = trigger_mail(request, self._clock.now())
        await self._send(row.dag_id, "trigger", body)
        run = await self._store.run_get(row.dag_id, dag_run_id)
        if run is None:
            raise NotFoundError(f"run {dag_run_id!r} of DAG {row.dag_id!r} is gone again")
        return run

    async def pause(self, dag_id: str, *, paused: bool) -> DagRow:
        """As `Control.dag_pause`."""
        await self._known(dag_id)
        await self._send(dag_id, "pause", {"paused": paused})
        return await self._known(dag_id)

    async def clear(self, dag_id: str, dag_run_id: str, which: Cleared) -> list[InstanceRow]:
        """As `Control.instances_clear`."""
        run = await self._run(dag_id, dag_run_id)
        body = {"dag_run_id": dag_run_id, **which._asdict()}
        cleared = set((await self._send(dag_id, "clear", body))["task_ids"])
        rows = await self._store.instance_list(run.run_id)
        return [row for row in rows if row.task_id in cleared]

    async def cancel(self, dag_id: str, dag_run_id: str) -> RunRow:
        """As `Control.run_cancel`."""
        await self._run(dag_id, dag_run_id)
        await self._send(dag_id, "cancel", {"dag_run_id": dag_run_id})
        return await self._run(dag_id, dag_run_id)

    async def signal(self, dag_id: str, dag_run_id: str, signal: Signal) -> bool:
        """As `Control.signal_send`."""
        await self._run(dag_id, dag_run_id)
        answer = await self._send(dag_id, "signal", signal_mail(dag_run_id, signal))
        return bool(answer["resumed"])

    async def why_waiting(self, dag_id: str, dag_run_id: str, which: tuple[str, int]) -> tuple[str, ...]:
        """As `Control.why_waiting`."""
        await self._run(dag_id, dag_run_id)
        body = {"dag_run_id": dag_run_id, "task_id": which[0], "map_index": which[1]}
        answer = await self._send(dag_id, "why", body)
        return tuple(answer["reasons"])

    async def tell_changed(self, dag_id: str) -> None:
        """Tells the owner that the DAG has a new version. Does not wait."""
        await self._store.mail_send(dag_id, "changed", b"{}", uuid.uuid4().hex)

    async def _send(self, dag_id: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        mail_id = await self._store.mail_send(dag_id, kind, orjson.dumps(body), uuid.uuid4().hex)
        return await self.answer(dag_id, mail_id, ANSWER_WITHIN)

    async def answer(self, dag_id: str, mail_id: int, within: float | None) -> dict[str, Any]:
        """What the owner has answered, or does within so many seconds (None: for ever). Raises the error that the
        wish met, MailPending.
        """
        answered = self._answered[mail_id] = asyncio.Event()
        try:
            reply = await self._await_reply(mail_id, answered, within)
        finally:
            del self._answered[mail_id]
        if reply is None:
            raise MailPending(
                f"no runtime has taken up the request for DAG {dag_id!r} yet: "
                "it is kept and carried out as soon as one runs (tradewind standalone)"
            )
        answer: dict[str, Any] = orjson.loads(reply)
        if "error" in answer:
            raise error_in(answer["error"])
        return dict(answer["ok"])

    async def _await_reply(self, mail_id: int, answered: asyncio.Event, within: float | None) -> bytes | None:
        """The reply: when the store says so, and looked for now and then should it not."""
        deadline = self._clock.monotonic() + (math.inf if within is None else within)
        pause = 0.05
        while True:
            reply = await self._store.mail_reply(mail_id)
            left = deadline - self._clock.monotonic()
            if reply is not None or left < _TOO_SHORT:
                return reply
            try:
                async with asyncio.timeout(min(pause, left)):
                    await answered.wait()
            except TimeoutError:
                pause = min(pause * 2, 1.0)

    async def _known(self, dag_id: str) -> DagRow:
        row = await self._store.dag_get(dag_id)
        if row is None:
            raise NotFoundError(f"there is no DAG {dag_id!r}")
        return row

    async def _run(self, dag_id: str, dag_run_id: str) -> RunRow:
        run = await self._store.run_get(dag_id, dag_run_id)
        if run is None:
            raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
        return run
