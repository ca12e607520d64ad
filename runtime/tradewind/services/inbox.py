"""Mail between processes: wishes for DAGs that another runtime owns.

`InboxReader` takes in what was sent to our DAGs; `MailedWishes` sends to others' and awaits the
answer. A wish carries its own idempotency key, so sending it again after a crash does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson

from tradewind.control_ports import TriggerRequest
from tradewind.model import errors
from tradewind.model.errors import Fenced, NotFoundError, StoreUnavailable, TradewindError, TryAgain
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import DagRow, InstanceRow, Lease, MailRow, RunRow
from tradewind.model.states import RunType
from tradewind.model.waits import Signal
from tradewind.ports import Clock, Store
from tradewind.rules.due import dag_run_id_of
from tradewind.services.instances_chosen import Cleared
from tradewind.services.on_demand import OnDemand
from tradewind.services.wishes import OwnerWishes

log = logging.getLogger(__name__)

ANSWER_WITHIN: Final = 10.0
"""Seconds a sender waits for the owner's answer."""

_TOO_SHORT: Final = 0.001
"""Seconds that are not worth another wait for an answer."""

RETRY_AFTER: Final = 1.0
NOT_YET_HERE: Final = 0.1
"""Seconds until mail is looked at again that is for DAGs which are about to be taken in."""


class MailPending(TradewindError):
    """No runtime has answered yet; the wish is kept and carried out when one does."""


class InboxReader(OnDemand):
    """Carries out the mail to the DAGs that this runtime owns."""

    def __init__(
        self,
        store: Store,
        wishes: OwnerWishes,
        refresh: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._store = store
        self._wishes = wishes
        self._refresh = refresh
        self.on_unrouted: list[Callable[[], None]] = []
        """Called when there are events that are in no queue yet."""

    async def run(self, lease: Lease) -> None:
        """Reads mail as it comes, oldest first."""
        await self.when_woken(partial(self._work, lease))

    async def _work(self, lease: Lease) -> float | None:
        """Carries out the mail that there is."""
        try:
            while mail := await self._store.mail_read(lease):
                here = [row for row in mail if self._is_here(row)]
                news = {row.mail_id: row.dag_id for row in here if row.kind in ("assets", "route")}
                if any(row.kind == "route" for row in here):
                    for hear in self.on_unrouted:
                        hear()
                if news:  # many at once: each event that comes is one
                    await self._wishes.look_at_assets(news)
                for row in here:
                    if row.mail_id not in news:
                        await self._carry_out(row)
                if not here:
                    return NOT_YET_HERE
        except (StoreUnavailable, TryAgain):
            return RETRY_AFTER
        return None

    def _is_here(self, mail: MailRow) -> bool:
        """Whether the DAG has been taken in. The store may say that it is ours before we have: it was just
        published, or it is being taken over with its runs.
        """
        return mail.kind == "changed" or self._wishes.owns(mail.dag_id)

    async def _carry_out(self, mail: MailRow) -> None:
        try:
            body: dict[str, Any] = orjson.loads(mail.body)
            await self._do(mail, body)
        except (StoreUnavailable, TryAgain, Fenced):
            raise  # the wish is kept: we or the next owner carry it out
        except (TradewindError, ValueError, KeyError, TypeError) as error:
            log.info("mail %s for DAG %s: %s", mail.kind, mail.dag_id, error)
            await self._wishes.refuse(mail.mail_id, error)

    async def _do(self, mail: MailRow, body: Mapping[str, Any]) -> None:
        wishes, dag_id, number = self._wishes, mail.dag_id, mail.mail_id
        match mail.kind:
            case "trigger":
                await wishes.trigger(_request(dag_id, body), number)
            case "pause":
                await wishes.pause(dag_id, paused=bool(body["paused"]), mail_id=number)
            case "clear":
                which = Cleared(tuple(body["task_ids"]), body["downstream"], body.get("map_indexes", {}))
                await wishes.clear(dag_id, body["dag_run_id"], which, number)
            case "cancel":
                await wishes.cancel(dag_id, body["dag_run_id"], number)
            case "signal":
                await wishes.signal(dag_id, body["dag_run_id"], _signal(body), number)
            case "why":
                which_one = (body["task_id"], body.get("map_index", UNMAPPED))
                await wishes.why_waiting(dag_id, body["dag_run_id"], which_one, number)
            case "changed":
                await self._refresh([dag_id])
                await wishes.acknowledge(number)
            case _:
                raise ValueError(f"unknown kind of mail {mail.kind!r}")


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
        value = [signal.value.codec, b64encode(signal.value.data).decode()]
        body = {"dag_run_id": dag_run_id, **signal._asdict(), "value": value}
        return bool((await self._send(dag_id, "signal", body))["resumed"])

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
            raise _error(answer["error"])
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


def trigger_mail(request: TriggerRequest, now: datetime) -> tuple[str, dict[str, Any]]:
    """The name of the run that is wished for, and the wish as the body of a mail of kind ``trigger``."""
    logical = request.logical_date or now
    dag_run_id = request.dag_run_id or dag_run_id_of(request.run_type, logical)
    return dag_run_id, {
        "conf": request.conf,
        "dag_run_id": dag_run_id,
        "logical_date": logical.isoformat(),
        "unpause": request.unpause,
        "while_paused": request.while_paused,
        "note": request.note,
        "run_type": request.run_type.value,
        "external": request.external,
        "data_interval": request.data_interval,
        "partition_key": request.partition_key,
    }


def mail_key_of(dag_id: str, dag_run_id: str) -> str:
    """The idempotency key of a wish for the one run of this name."""
    return f"run:{dag_id}:{dag_run_id}"


def _signal(body: Mapping[str, Any]) -> Signal:
    codec, data = body["value"]
    value = EncodedValue(codec, b64decode(data))
    return Signal(body["task_id"], body["map_index"], body["kind"], body["name"], value, body.get("asked", ""))


def _request(dag_id: str, body: Mapping[str, Any]) -> TriggerRequest:
    logical, interval = body.get("logical_date"), body.get("data_interval")
    return TriggerRequest(
        dag_id,
        conf=body.get("conf"),
        dag_run_id=body.get("dag_run_id"),
        logical_date=_moment(logical) if logical else None,
        unpause=bool(body.get("unpause")),
        while_paused=bool(body.get("while_paused")),
        note=body.get("note"),
        run_type=RunType(body.get("run_type", "manual")),
        external=body.get("external", True),
        data_interval=None if interval is None else (_moment(interval[0]), _moment(interval[1])),
        partition_key=body.get("partition_key"),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _error(answer: Mapping[str, str]) -> TradewindError:
    kind = getattr(errors, answer["kind"], TradewindError)
    if isinstance(kind, type) and issubclass(kind, TradewindError):
        made = TradewindError.__new__(kind)
        made.args = (answer["message"],)
        return made
    return TradewindError(answer["message"])
