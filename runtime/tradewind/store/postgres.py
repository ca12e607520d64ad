"""The store in PostgreSQL: the port's methods, by subject, over the connections of `lines`.

``views`` what views read · ``loading`` what a new owner loads · ``ownership`` runtimes, claims, grants ·
``batch`` the group commit · ``creation`` new runs · ``publishing`` DAG files · ``mail`` inbox and outbox ·
``enqueuing`` mail in others' transactions · ``blobs`` large values · ``deadlines`` missed ones · ``named`` pools,
variables, connections, users · ``states`` state stores. All SQL stands in `sql/`.
"""

from __future__ import annotations

from tradewind.authoring.look_ups import from_environment
from tradewind.model.batch import Batch
from tradewind.model.rows import Lease
from tradewind.store.assets import Assets
from tradewind.store.blobs import Blobs
from tradewind.store.creation import Creation
from tradewind.store.deadlines import Deadlines
from tradewind.store.enqueuing import Enqueuing
from tradewind.store.instance_lists import InstanceLists
from tradewind.store.lines import StoreOptions
from tradewind.store.loading import Loading
from tradewind.store.mail import Mail
from tradewind.store.named import Named
from tradewind.store.ownership import Ownership
from tradewind.store.publishing import Publishing
from tradewind.store.statements import statement
from tradewind.store.states import States
from tradewind.store.views import Views

__all__ = ["PostgresStore", "StoreOptions"]


class PostgresStore(
    Ownership,
    Creation,
    Assets,
    Blobs,
    Deadlines,
    Publishing,
    Loading,
    Mail,
    Enqueuing,
    Named,
    States,
    InstanceLists,
    Views,
):
    """`ports.Store` over asyncpg. One object a process; it joins as one runtime at a time."""

    def __init__(self, url: str, *, secret_key: str, options: StoreOptions | None = None) -> None:
        """As `Lines`."""
        super().__init__(url, secret_key=secret_key, options=options)
        self._outside.connection_text = self._connection_of_place
        self._outside.installation = self._installation

    async def _connection_of_place(self, conn_id: str) -> str | None:
        """The connection that the address of large values names: of the environment, else a stored one."""
        here = from_environment("CONN", conn_id)
        return here[0] if here is not None else await self.connection_get(conn_id)

    async def _installation(self) -> str:
        row = await self._readers.fetchrow(statement("blob", "installation"))
        assert row is not None
        return f"{row['cluster']}/{row['database']}/{self.options.schema}"

    async def batch_apply(self, lease: Lease, batch: Batch) -> int:
        """As `Store.batch_apply`."""
        return await self._batches.apply(lease, batch)
