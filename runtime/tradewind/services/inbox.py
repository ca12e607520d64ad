"""Takes in what other processes wish by mail of the DAGs that this runtime owns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson

from tradewind.model.errors import Fenced, StoreUnavailable, TradewindError, TryAgain
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import Lease, MailRow
from tradewind.ports import Store
from tradewind.services.instances_chosen import Cleared
from tradewind.services.on_demand import OnDemand
from tradewind.services.wish_mail import request_in, signal_in
from tradewind.services.wishes import OwnerWishes

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 1.0
"""Seconds until mail is looked at again after the database was lost, or a DAG changed hands."""

NOT_YET_HERE: Final = 0.1
"""Seconds until mail is looked at again that is for DAGs which are about to be taken in."""


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
        except TradewindError as error:
            log.info("mail %s for DAG %s: %s", mail.kind, mail.dag_id, error)
            await self._wishes.refuse(mail.mail_id, error)
        except Exception as error:  # kept, it would meet the next owner as well
            log.exception("mail %s for DAG %s cannot be carried out", mail.kind, mail.dag_id)
            await self._wishes.refuse(mail.mail_id, error)

    async def _do(self, mail: MailRow, body: Mapping[str, Any]) -> None:
        wishes, dag_id, number = self._wishes, mail.dag_id, mail.mail_id
        match mail.kind:
            case "trigger":
                await wishes.trigger(request_in(dag_id, body), number)
            case "pause":
                await wishes.pause(dag_id, paused=bool(body["paused"]), mail_id=number)
            case "clear":
                which = Cleared(tuple(body["task_ids"]), body["downstream"], body.get("map_indexes", {}))
                await wishes.clear(dag_id, body["dag_run_id"], which, number)
            case "cancel":
                await wishes.cancel(dag_id, body["dag_run_id"], number)
            case "signal":
                await wishes.signal(dag_id, body["dag_run_id"], signal_in(body), number)
            case "why":
                which_one = (body["task_id"], body.get("map_index", UNMAPPED))
                await wishes.why_waiting(dag_id, body["dag_run_id"], which_one, number)
            case "changed":
                await self._refresh([dag_id])
                await wishes.acknowledge(number)
            case _:
                raise ValueError(f"unknown kind of mail {mail.kind!r}")
