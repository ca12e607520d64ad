"""A memory store as a process: its faults, mail, grants and named things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tradewind.model.errors import Fenced, NotFoundError, StoreUnavailable
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Lease, MailRow, OutboxItem, PoolRow, Rotation, UserRow, VariableRow
from tradewind.store.bounds import MOST_TRIES, held_of_limits
from tradewind.store.memory_tables import MemoryDatabase, RuntimeRecord, StoredMail
from tradewind.store.memory_views import MemoryViews

CallHook = Callable[[str, bool], Awaitable[None]]
"""Gets the method's name and whether it has been done."""


class MemoryProcess(MemoryViews):
    """One process on a `MemoryDatabase`, which can crash, lose its lease or its connection."""

    def __init__(self, database: MemoryDatabase) -> None:
        """`on_call` may be set to a hook that is awaited before and after each write."""
        super().__init__(database)
        self.on_call: CallHook | None = None
        self._crashed = False
        self._joined: RuntimeId | None = None
        self._hurry = asyncio.Event()
        self._on_mail: Callable[[], None] = _nothing
        self._on_reply: Callable[[int], None] = _no_reply

    # -- faults
    def crash(self) -> None:
        """The process is killed."""
        self._crashed = True
        if self._joined is not None:
            self.database.runtimes[self._joined].locked = False
            self.database.watchers.pop(self._joined, None)
            self.database.lookouts.pop(self._joined, None)
            self.database.pool_watchers.pop(self._joined, None)

    def fence(self, lease: Lease) -> None:
        """Somebody else declares this runtime dead."""
        self.database.free(lease.runtime_id, is_dead=True)

    # -- life
    async def open(self) -> None:
        """As `Store.open`."""
        self._live()

    async def close(self) -> None:
        """As `Store.close`."""
        if self._joined is not None:
            self.database.runtimes[self._joined].locked = False
            self.database.watchers.pop(self._joined, None)
            self.database.lookouts.pop(self._joined, None)
            self.database.pool_watchers.pop(self._joined, None)
            self._joined = None

    def watch(
        self,
        lease: Lease,
        on_mail: Callable[[], None],
        on_reply: Callable[[int], None],
        on_pools: Callable[[], None] | None = None,
    ) -> None:
        """As `Store.watch`."""
        if self._joined != lease.runtime_id:
            raise Fenced(f"runtime {lease.runtime_id} is not the one that this store has joined as")
        self._on_mail = on_mail
        self._on_reply = on_reply
        if on_pools is not None:
            self.database.pool_watchers[lease.runtime_id] = on_pools

    # -- inbox
    async def mail_send(self, dag_id: str, kind: str, body: bytes, idempotency_key: str) -> int:
        """As `Store.mail_send`."""
        await self._call("mail_send")
        db = self.database
        dag = db.dags.get(dag_id)
        if dag is None:
            raise NotFoundError(f"DAG {dag_id!r} is not known: nobody can take mail for it")
        known = db.mail_keys.get(idempotency_key)
        if known is not None:
            return known
        mail_id = db.mail_keys[idempotency_key] = db.next_id()
        db.inbox[mail_id] = StoredMail(MailRow(mail_id, dag_id, kind, body, idempotency_key), self._reply_arrived)
        await self._called("mail_send")
        if dag.owner is not None and dag.owner in db.watchers:
            db.watchers[dag.owner]()
        return mail_id

    async def mail_read(self, lease: Lease, limit: int = 200) -> list[MailRow]:
        """As `Store.mail_read`."""
        self._live()
        return self._mail_of(lease)[:limit]

    async def mail_reply(self, mail_id: int) -> bytes | None:
        """As `Store.mail_reply`."""
        self._live()
        return self.database.replies.get(mail_id)

    # -- outbox
    async def outbox_read(self, lease: Lease, limit: int = 100) -> list[OutboxItem]:
        """As `Store.outbox_read`."""
        self._live()
        return [item for item in self.database.outbox.values() if self._owns(lease, item.dag_id)][:limit]

    async def outbox_done(self, lease: Lease, outbox_ids: Sequence[int], *, failed: bool = False) -> None:
        """As `Store.outbox_done`."""
        await self._call("outbox_done")
        self.database.fence(lease)
        for number in outbox_ids:
            item = self.database.outbox.pop(number, None)
            if item is not None and failed and item.tries + 1 < MOST_TRIES:
                self.database.outbox[number] = replace(item, tries=item.tries + 1)
        self.database.outbox = dict(sorted(self.database.outbox.items()))
        await self._called("outbox_done")

    # -- shared limits
    async def grant_take(self, lease: Lease, limit: str, size: int, want: int, in_use: int = 0) -> int:
        """As `Store.grant_take`."""
        await self._call("grant_take")
        self.database.fence(lease)
        held = self.database.grants.setdefault(limit, {})
        mine = held.pop(lease.runtime_id, 0)
        granted = min(max(mine, want), max(size - sum(held.values()), 0))
        if kept := max(granted, min(mine, in_use)):
            held[lease.runtime_id] = kept
        await self._called("grant_take")
        return granted

    async def grant_return(self, lease: Lease, limit: str, count: int) -> None:
        """As `Store.grant_return`."""
        await self._call("grant_return")
        self.database.fence(lease)
        held = self.database.grants.get(limit, {})
        rest = held.pop(lease.runtime_id, 0) - count
        if rest > 0:
            held[lease.runtime_id] = rest
        await self._called("grant_return")

    # -- named things
    async def pool_set(self, pool: PoolRow) -> None:
        """As `Store.pool_set`."""
        await self._call("pool_set")
        self.database.pools[pool.name] = pool
        self._tell_of_pools()

    async def pool_delete(self, name: str) -> bool:
        """As `Store.pool_delete`."""
        await self._call("pool_delete")
        existed = self.database.pools.pop(name, None) is not None
        self._tell_of_pools()
        return existed

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """As `Store.variable_set`."""
        await self._call("variable_set")
        table = self.database.variables
        before = table.get(key)
        if value is None:
            table.pop(key, None)
        else:
            about = description if description is not None else before.description if before is not None else ""
            table[key] = VariableRow(key, value, about)

    async def secrets_rotate(self, batch: int = 200) -> Rotation:
        """As `Store.secrets_rotate`: nothing is encrypted here."""
        del batch
        await self._call("secrets_rotate")
        return Rotation(0, len(self.database.variables) + len(self.database.connections))

    async def connection_set(self, conn_id: str, value: str | None) -> None:
        """As `Store.connection_set`."""
        await self._call("connection_set")
        if value is None:
            self.database.connections.pop(conn_id, None)
        else:
            self.database.connections[conn_id] = value

    async def user_set(self, user: UserRow) -> None:
        """As `Store.user_set`."""
        await self._call("user_set")
        self.database.users[user.username] = user

    # -- for the parts
    def _live(self) -> None:
        if self._crashed:
            raise StoreUnavailable("this process has crashed")

    async def _call(self, name: str) -> None:
        """A write is about to be done."""
        self._live()
        if self.on_call is not None:
            await self.on_call(name, False)
            self._live()

    async def _called(self, name: str) -> None:
        """It has been done; its caller may never hear of it."""
        if self.on_call is not None:
            await self.on_call(name, True)
            self._live()

    def _valid(self, lease: Lease) -> RuntimeRecord:
        record = self.database.runtimes.get(lease.runtime_id)
        if record is None or not record.alive or record.epoch != lease.epoch:
            raise Fenced
        return record

    def _owns(self, lease: Lease, dag_id: str) -> bool:
        dag = self.database.dags.get(dag_id)
        return dag is not None and dag.owner == lease.runtime_id

    def _mail_of(self, lease: Lease) -> list[MailRow]:
        return [stored.mail for stored in self.database.inbox.values() if self._owns(lease, stored.mail.dag_id)]

    def _inherit_grants(self, lease: Lease) -> None:
        """Permits that dead runtimes left behind go to the claimer, but for what attempts of unowned DAGs hold."""
        db = self.database
        unowned = {dag.dag_id for dag in db.dags.values() if dag.owner is None}
        attempts = (a for tables in db.runs.values() if tables.row.dag_id in unowned for a in tables.live.values())
        in_use = held_of_limits((a.pool, a.executor, a.pool_slots, 1) for a in attempts)
        for limit, held in db.grants.items():
            dead = [number for number in held if not db.runtimes[number].alive]
            left = sum(held.pop(number) for number in dead)
            if kept := min(left, in_use.get(limit, 0)):
                held[min(dead)] = kept
            if left > kept:
                held[lease.runtime_id] = held.get(lease.runtime_id, 0) + left - kept

    def _tell_peers(self, runtime_id: RuntimeId) -> None:
        """A runtime has come or gone: the others look now."""
        for number, look in self.database.lookouts.items():
            if number != runtime_id:
                look()

    def _tell_of_pools(self) -> None:
        for look in self.database.pool_watchers.values():
            look()

    def _mail_arrived(self) -> None:
        self._on_mail()

    def _reply_arrived(self, mail_id: int) -> None:
        self._on_reply(mail_id)


def _nothing() -> None:
    """Nobody watches."""


def _no_reply(_mail_id: int) -> None:
    """Nobody watches for replies."""
