"""The connections of one process to its database, and who uses which.

lease    beats, LISTEN, the runtime's advisory lock (a session that must not be busy; in a thread of its own)
writer   batches and whatever else is on the way of a task (small transactions, by primary key only)
bulk     creation of large runs, publication of DAG files, loading of whole DAGs
readers  views, mail, named things
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tradewind.model.errors import Fenced, StoreUnavailable
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Lease
from tradewind.store import migrate
from tradewind.store.batch import BatchWriter
from tradewind.store.columns import INLINE_LIMIT
from tradewind.store.connection import Line, LineSettings, Readers, Session
from tradewind.store.crypto import KEY_OPTION, Vault
from tradewind.store.doorbell import Doorbell
from tradewind.store.lease import Channels, LeaseSession
from tradewind.store.migrate import DEFAULT_SCHEMA
from tradewind.store.outside_values import OutsideValues, require_place
from tradewind.store.statements import statement

FIRST_PAUSE_S: Final = 0.05

LEASE_STATEMENT_S: Final = 3.0
"""A beat that takes longer is as good as none: the line is made anew before the lease is over."""
WRITER_STATEMENT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """What can be set about the way to the database. Times in seconds."""

    schema: str = DEFAULT_SCHEMA
    """Name of the PostgreSQL schema that holds all tables; several installations can share a database."""
    readers: int = 4
    patience: float = 10.0
    """How long `open` waits for a server that does not answer yet."""
    statement_timeout: float = 30.0
    """For views; beats and batches have less, bulk work goes in chunks."""
    connect_timeout: float = 5.0
    spill_bytes: int = INLINE_LIMIT
    """A value of more bytes lies outside its row, once however often it is stored."""
    spill_place: str | None = None
    """Where such values go: a folder or an address (see `outside_values`); None: into the database."""
    key_source: str = KEY_OPTION
    """Where the encryption key comes from, for messages."""


class Lines:
    """Opens, watches and closes the connections; the store's parts work on them."""

    def __init__(self, url: str, *, secret_key: str, options: StoreOptions | None = None) -> None:
        """`secret_key` encrypts variables and connections (see `crypto.generate_key`)."""
        self.url = url
        self.options = options or StoreOptions()
        migrate.require_schema_name(self.options.schema)
        self._vault = Vault(secret_key, self.options.key_source)
        self._sender = f"{self.options.schema}_reply_{os.urandom(4).hex()}"
        self._lease: Lease | None = None
        channels = Channels(self._mail_channel, self._sender, f"{self.options.schema}_runtimes", self._pools_channel)
        self._life = LeaseSession(self._settings("lease", most=LEASE_STATEMENT_S), channels)
        self._writer = Line(self._settings("writer", most=WRITER_STATEMENT_S, planner_on_rails=True))
        self._bulk = Line(self._settings("bulk"))
        self._readers = Readers(self._settings("reader"), self.options.readers)
        self._doorbell = Doorbell(self._announce_mail)
        if self.options.spill_place is not None:
            require_place(self.options.spill_place)
        self._outside = OutsideValues(self.options.spill_place)
        self._batches = BatchWriter(
            self._writer,
            self._sender,
            self._reply_arrived,
            self._vault.encrypt,
            self.options.spill_bytes,
            self._outside.pending,
        )

    async def open(self) -> None:
        """As `Store.open`. Waits up to `options.patience` for a server that is just starting."""
        deadline = time.monotonic() + self.options.patience
        while True:
            try:
                await self._check()
                return
            except StoreUnavailable:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(FIRST_PAUSE_S)

    async def close(self) -> None:
        """Ends all connections; the runtime's lock goes with its session."""
        self._lease = None
        self._outside.close()
        await self._doorbell.close()
        for line in (self._writer, self._bulk, self._readers, self._life):
            await line.close()

    def watch(
        self,
        lease: Lease,
        on_mail: Callable[[], None],
        on_reply: Callable[[int], None],
        on_pools: Callable[[], None] | None = None,
    ) -> None:
        """As `Store.watch`."""
        if self._lease is None or self._lease.runtime_id != lease.runtime_id:
            raise Fenced(f"runtime {lease.runtime_id} is not the one that this store has joined as")
        self._life.on_mail = on_mail
        self._life.on_reply = on_reply
        if on_pools is not None:
            self._life.on_pools = on_pools

    async def _check(self) -> None:
        async with self._readers.line() as line, line.session() as session:
            await migrate.check(session, self.options.schema)

    def _settings(self, purpose: str, *, most: float = math.inf, planner_on_rails: bool = False) -> LineSettings:
        return LineSettings(
            url=self.url,
            schema=self.options.schema,
            purpose=purpose,
            statement_timeout=min(self.options.statement_timeout, most),
            connect_timeout=self.options.connect_timeout,
            planner_on_rails=planner_on_rails,
        )

    @property
    def _mail_channel(self) -> str:
        """Channel of a runtime's mail, without its number."""
        return f"{self.options.schema}_mail_"

    @property
    def _pools_channel(self) -> str:
        """Channel of news that a pool has changed."""
        return f"{self.options.schema}_pools"

    async def _announce_mail(self, owner: RuntimeId) -> None:
        await self._readers.fetch(statement("mail", "mail_announce"), f"{self._mail_channel}{owner}")

    def _reply_arrived(self, mail_id: int) -> None:
        self._life.on_reply(mail_id)


async def touch(session: Session, lease: Lease) -> None:
    """The fence of a transaction of several statements. Raises Fenced."""
    row = await session.fetchrow(statement("runtime", "runtime_touch").text, lease.runtime_id, lease.epoch)
    if row is None:
        raise Fenced
