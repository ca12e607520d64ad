"""Opens the store that the configuration names: your own PostgreSQL, or the embedded one.

Imports little: the daemon has PostgreSQL start while it imports the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tradewind.config import Config
from tradewind.home import FERNET_KEY, kept_secret
from tradewind.model.errors import SchemaMissing, TradewindError
from tradewind.store.crypto import generate_key
from tradewind.store.embedded import EmbeddedServer
from tradewind.store.migrate import migrate_url
from tradewind.store.postgres import PostgresStore, StoreOptions
from tradewind.store.url import normalise_url, redact_url

if TYPE_CHECKING:
    from tradewind.services.control import RuntimeControl

log = logging.getLogger(__name__)


@asynccontextmanager
async def database_url(config: Config) -> AsyncGenerator[str]:
    """The URL of the database for the time of the block; starts (or joins) the embedded server
    where none is configured. Raises EmbeddedError, ConfigError.
    """
    if config.database.url:
        yield normalise_url(config.database.url)
        return
    async with await EmbeddedServer.join(config.home) as server:
        yield server.dsn


@asynccontextmanager
async def open_store(config: Config, *, make_tables: bool = False) -> AsyncGenerator[PostgresStore]:
    """The store, connected. The embedded database is migrated on the way. Your own is only checked;
    with `make_tables` it gets the tables where it has none, while an older schema is left as it is: a
    runtime of that version may be at work on it.

    Raises StoreUnavailable, SchemaMismatch, EmbeddedError, ConfigError.
    """
    async with database_url(config) as url:
        if not config.database.url:
            await migrate_url(url)
        options = StoreOptions(
            readers=config.database.readers,
            key_source=key_source(config),
            spill_bytes=config.core.xcom_spill_bytes,
            spill_place=config.core.xcom_spill_path,
        )
        key = await asyncio.to_thread(secret_key, config)
        store = PostgresStore(url, secret_key=key, options=options)
        try:
            try:
                await store.open()
            except SchemaMissing:
                if not make_tables:
                    raise
                await migrate_url(url)
                log.info("made the tables in %s", redact_url(url))
                await store.open()
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def open_control(config: Config) -> AsyncGenerator[RuntimeControl]:
    """What a command asks of the system without being a runtime itself: wishes go by mail to the
    runtimes that own the DAGs.
    """
    from tradewind.control_ports import Health
    from tradewind.services.clock import SystemClock
    from tradewind.services.control import RuntimeControl
    from tradewind.services.live import LiveHub
    from tradewind.services.mailed_wishes import MailedWishes
    from tradewind.version import VERSION

    async with open_store(config) as store:
        clock = SystemClock()
        mailed = MailedWishes(store, clock)

        def health() -> Health:
            return Health(database=True, scheduler=False, scheduler_beat=None, version=VERSION)

        control = RuntimeControl(LiveHub(), str(config.logging.folder), health)
        control.connect(store, mailed)
        yield control


def secret_key(config: Config) -> str:
    """The key that encrypts connections and variables: the configured one, else that of the home
    folder, made at the first start. Raises ConfigError.
    """
    return config.core.fernet_key or kept_secret(config.home, FERNET_KEY, generate_key)


def key_source(config: Config) -> str:
    """Where that key stands, for messages."""
    if config.core.fernet_key:
        return f"core.fernet_key ({config.sources.get('core.fernet_key', 'default')})"
    return f"the file {config.home / FERNET_KEY}"


class StoredOnDemand:
    """Variables and connections for what runs without a database of its own: that of the configuration is opened
    when something is asked for that nobody else has. One that has never begun stays as it is, and holds nothing.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str, str], str | None] = {}

    async def variable_get(self, key: str) -> str | None:
        """The variable's text, or None."""
        return await self._ask("variable", key)

    async def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text, or None."""
        return await self._ask("connection", conn_id)

    async def _ask(self, kind: str, name: str) -> str | None:
        if (kind, name) not in self._known:
            self._known[kind, name] = await asyncio.to_thread(self._read, kind, name)
        return self._known[kind, name]

    def _read(self, kind: str, name: str) -> str | None:
        """On a loop of its own: the caller's may skip all waiting."""
        if not self._config.database.url and not (self._config.home / "postgres" / "data").is_dir():
            return None
        try:
            return asyncio.run(self._fetch(kind, name))
        except TradewindError as error:
            log.warning("%s %r could not be looked up in the database: %s", kind, name, error)
            return None

    async def _fetch(self, kind: str, name: str) -> str | None:
        async with open_store(self._config) as store:
            return await (store.variable_get(name) if kind == "variable" else store.connection_get(name))
