"""Inbox and outbox."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind.model.errors import Fenced, NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import Lease, MailRow, OutboxItem
from tradewind.store.bounds import MOST_TRIES
from tradewind.store.columns import text_bytes, text_of
from tradewind.store.lines import Lines
from tradewind.store.statements import statement


class Mail(Lines):
    """What others ask of a DAG's owner, and what must be carried out because of a commit."""

    async def mail_send(self, dag_id: str, kind: str, body: bytes, idempotency_key: str) -> int:
        """As `Store.mail_send`. Raises NotFoundError for a DAG that nobody knows."""
        key = text_bytes(idempotency_key)
        own = None if self._lease is None else self._lease.runtime_id
        query = statement("mail", "mail_send")
        given = {
            "dag_id": dag_id,
            "kind": kind,
            "body": body,
            "key": key,
            "sender": self._sender,
            "own": own,
            "resting": self._doorbell.resting(),
            "channel": self._mail_channel,
        }
        async with self._readers.line() as line:
            row = await line.fetchrow(query, *query.values(given))
            if row is None:
                raise NotFoundError(f"DAG {dag_id!r} is not known: nobody can take mail for it")
            fresh: int | None = row["mail_id"]
            if fresh is not None:
                if own is not None and row["owner"] == own:
                    self._life.on_mail()
                elif row["owner"] is not None:
                    self._doorbell.sent(row["owner"], told=row["told"])
                return fresh
            known = await line.fetchrow(statement("mail", "mail_known"), key)
        if known is None:
            raise NotFoundError(f"mail {idempotency_key!r} was sent long ago and has been forgotten")
        mail_id: int = known["mail_id"]
        return mail_id

    async def mail_read(self, lease: Lease, limit: int = 200) -> list[MailRow]:
        """As `Store.mail_read`."""
        rows = await self._readers.fetch(statement("mail", "mail_read"), lease.runtime_id, limit)
        return [MailRow(number, dag, kind, body, text_of(key)) for number, dag, kind, body, key in rows]

    async def mail_reply(self, mail_id: int) -> bytes | None:
        """As `Store.mail_reply`."""
        row = await self._readers.fetchrow(statement("mail", "mail_reply"), mail_id)
        return None if row is None else row["reply"]

    async def outbox_read(self, lease: Lease, limit: int = 100) -> list[OutboxItem]:
        """As `Store.outbox_read`."""
        rows = await self._readers.fetch(statement("mail", "outbox_read"), lease.runtime_id, limit)
        return [OutboxItem(number, dag, RunId(run), kind, body, tries) for number, dag, run, kind, body, tries in rows]

    async def outbox_done(self, lease: Lease, outbox_ids: Sequence[int], *, failed: bool = False) -> None:
        """As `Store.outbox_done`."""
        query = statement("mail", "outbox_done")
        given = {
            "runtime_id": lease.runtime_id,
            "epoch": lease.epoch,
            "ids": outbox_ids,
            "failed": failed,
            "most_tries": MOST_TRIES,
        }
        if not await self._readers.fetch(query, *query.values(given)):
            raise Fenced
