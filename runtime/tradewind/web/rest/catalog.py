"""DAG versions as the API shows them. A version never changes, so what is made of it is kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiohttp import web

from tradewind.control_ports import Control
from tradewind.model.rows import DagRow
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.web.auth.sessions import TokenSigner
from tradewind.web.problems import Problem, not_found
from tradewind.web.rest.dag_views import static_part

SPECS_KEPT: Final = 16
"""Whole versions: a DAG of 100,000 tasks is large."""
SUMMARIES_KEPT: Final = 20_000
READS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Summary:
    """What lists show of a version: the fields that only a new version changes."""

    fields: dict[str, Json]
    tags: frozenset[str]


class _Version(NamedTuple):
    spec: DagSpec
    tasks: dict[str, TaskSpec]


class Catalog:
    """Reads versions through the store and keeps what they say."""

    def __init__(self, control: Control, secret: bytes) -> None:
        self._control = control
        self._signer = TokenSigner(secret, "file")
        self._specs: OrderedDict[tuple[str, str], _Version] = OrderedDict()
        self._summaries: OrderedDict[tuple[str, str], Summary] = OrderedDict()

    async def dag(self, dag_id: str) -> DagRow:
        """The DAG. Raises Problem 404."""
        row = await self._control.reads.dag_get(dag_id)
        if row is None:
            raise not_found("DAG not found", f"The DAG with dag_id: {dag_id} was not found")
        return row

    async def spec(self, dag_id: str, version_hash: str) -> DagSpec:
        """A version. Raises Problem 404 where it has been pruned."""
        return (await self._version(dag_id, version_hash)).spec

    async def tasks(self, dag_id: str, version_hash: str) -> Mapping[str, TaskSpec]:
        """Task id to task of a version. Raises Problem 404 where it has been pruned."""
        return (await self._version(dag_id, version_hash)).tasks

    async def _version(self, dag_id: str, version_hash: str) -> _Version:
        key = (dag_id, version_hash)
        known = self._specs.get(key)
        if known is None:
            version = await self._control.reads.dag_version_get(dag_id, version_hash)
            if version is None:
                raise not_found("DAG version not found", f"The version {version_hash} of {dag_id} is not kept any more")
            tasks = {task.task_id: task for task in version.spec.tasks}
            known = self._specs[key] = _Version(version.spec, tasks)
            while len(self._specs) > SPECS_KEPT:
                self._specs.popitem(last=False)
        else:
            self._specs.move_to_end(key)
        return known

    async def summaries(self, rows: Sequence[DagRow]) -> list[Summary]:
        """The summary of each row's version, in the same order."""
        missing = [row for row in rows if (row.dag_id, row.version_hash) not in self._summaries]
        queue = iter(missing)

        async def read() -> None:
            for row in queue:
                await self._read_summary(row)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(READS_AT_ONCE, len(missing))):
                group.create_task(read())
        found = [self._summaries.get((row.dag_id, row.version_hash)) for row in rows]
        while len(self._summaries) > SUMMARIES_KEPT:
            self._summaries.popitem(last=False)
        return [summary if summary is not None else _NOTHING_KNOWN for summary in found]

    async def _read_summary(self, row: DagRow) -> None:
        version = await self._control.reads.dag_version_get(row.dag_id, row.version_hash)
        if version is None:
            return
        token = self._signer.sign(f"{row.dag_id}\0{row.version_hash}".encode())
        fields = static_part(version.spec, token)
        self._summaries[(row.dag_id, row.version_hash)] = Summary(fields, frozenset(version.spec.tags))

    async def code(self, file_token: str) -> str:
        """The text of the file that a `file_token` stands for. Raises Problem 404."""
        raw = self._signer.read(file_token)
        if raw is None:
            raise Problem(404, "File token not found", "This file_token is not one that this server gave out.")
        dag_id, _, version_hash = raw.decode().partition("\0")
        code = await self._control.reads.dag_code_get(dag_id, version_hash)
        if code is None:
            raise not_found("Source not found", f"The source of {dag_id} at version {version_hash} is not kept")
        return code


_NOTHING_KNOWN: Final = Summary({}, frozenset())

CATALOG: Final = web.AppKey("tradewind_catalog", Catalog)
