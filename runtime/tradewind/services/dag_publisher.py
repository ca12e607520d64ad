"""Writes what DAG files hold into the store, and reads what it has of them: patiently, while the database is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from tradewind.model.errors import StoreUnavailable
from tradewind.model.rows import DagRow, DagVersionRow, ImportErrorRow, Lease, ParsedFile, RunRow
from tradewind.model.states import RunState
from tradewind.ports import RunFilter

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_RETRY: Final = 0.5
LAST_RETRY: Final = 15.0

IN_USE_RUNS: Final = 10_000
"""So many unfinished runs at most are asked which commit they need."""


class DagPublishing(Protocol):
    """The part of the store that this service uses; `ports.Store` says what each call does."""

    async def dag_list(self) -> list[DagRow]:
        """See `StoreReads`."""
        ...

    async def import_error_list(self) -> list[ImportErrorRow]:
        """See `StoreReads`."""
        ...

    async def run_list(self, where: RunFilter) -> tuple[list[RunRow], int]:
        """See `StoreReads`."""
        ...

    async def dag_version_get(self, dag_id: str, version_hash: str | None = None) -> DagVersionRow | None:
        """See `StoreReads`."""
        ...

    async def dag_publish(self, lease: Lease, bundle: str, files: Sequence[ParsedFile]) -> list[str]:
        """See `Store`."""
        ...

    async def dag_retire(self, lease: Lease, bundle: str, relative_filelocs: Sequence[str]) -> list[str]:
        """See `Store`."""
        ...


class DagPublisher:
    """The store as the bundle watcher sees it.

    Args:
        store: where DAGs are published.
        lease: the runtime's lease at the moment of a write.
        on_published: called on the loop after each commit, with the ids of DAGs that changed (none where
            only import errors did).
    """

    def __init__(
        self, store: DagPublishing, lease: Callable[[], Lease], on_published: Callable[[list[str]], None]
    ) -> None:
        self._store = store
        self._lease = lease
        self._on_published = on_published

    async def publish(self, bundle: str, files: Sequence[ParsedFile]) -> None:
        """As `Store.dag_publish`, repeated until the database is there."""

        async def write() -> list[str]:
            return await self._store.dag_publish(self._lease(), bundle, files)

        self._on_published(await _patiently(write, "DAGs cannot be written yet"))

    async def retire(self, bundle: str, paths: Sequence[str]) -> None:
        """As `Store.dag_retire`, repeated until the database is there."""

        async def write() -> list[str]:
            return await self._store.dag_retire(self._lease(), bundle, paths)

        self._on_published(await _patiently(write, "DAGs cannot be written yet"))

    async def known(self) -> tuple[list[DagRow], list[ImportErrorRow]]:
        """The DAGs and import errors of the store."""

        async def read() -> tuple[list[DagRow], list[ImportErrorRow]]:
            return await self._store.dag_list(), await self._store.import_error_list()

        return await _patiently(read, "DAGs cannot be read yet")

    async def files_in_use(self) -> set[str]:
        """The files of DAGs as they are, and as unfinished runs need them."""
        return await _patiently(self._files_in_use, "DAGs cannot be read yet")

    async def _files_in_use(self) -> set[str]:
        where = RunFilter(states=(RunState.QUEUED, RunState.RUNNING), limit=IN_USE_RUNS)
        found = {row.source.fileloc for row in await self._store.dag_list() if row.is_active}
        runs, _ = await self._store.run_list(where)
        for dag_id, version_hash in {(run.dag_id, run.version_hash) for run in runs}:
            version = await self._store.dag_version_get(dag_id, version_hash)
            found |= {version.source.fileloc} if version is not None else set()
        return found


async def _patiently(call: Callable[[], Awaitable[T]], otherwise: str) -> T:
    """What the store answers, waiting for it while it cannot be reached."""
    delay = FIRST_RETRY
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            log.warning("%s, trying again in %g s: %s", otherwise, delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY)
