"""What a new owner loads: whole runs, and the past that a task may depend on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tradewind.model.errors import Fenced, NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import InstanceRow, Lease, RunSnapshot
from tradewind.model.specs import DagSpec
from tradewind.store.connection import Row, Session
from tradewind.store.crypto import Vault
from tradewind.store.decode import attempt_of, instance_of, length_of, run_of, source_of, spec_of
from tradewind.store.lines import Lines
from tradewind.store.statements import statement
from tradewind.store.waits import wait_of

CHUNK: Final = 5_000
"""Rows of one fetch from a run's instances."""


class Loading(Lines):
    """Reads of the scheduler, over the bulk line."""

    async def run_load(self, lease: Lease, dag_ids: Sequence[str]) -> list[RunSnapshot]:
        """As `Store.run_load`."""
        async with self._bulk.session() as session, session.transaction(isolation="repeatable_read", readonly=True):
            await _require(session, lease)
            rows = await _run(session, "run_unfinished", dag_ids=dag_ids, runtime_id=lease.runtime_id)
            raw = [await _raw(session, row["run_id"]) for row in rows]
        specs: dict[bytes, DagSpec] = {}
        return [await _snapshot(one, specs, self._vault) for one in raw]

    async def run_load_one(self, lease: Lease, run_id: RunId) -> RunSnapshot | None:
        """As `Store.run_load_one`."""
        async with self._bulk.session() as session, session.transaction(isolation="repeatable_read", readonly=True):
            await _require(session, lease)
            if not await _run(session, "run_owned", run_id=run_id, runtime_id=lease.runtime_id):
                return None
            raw = await _raw(session, run_id)
        return await _snapshot(raw, {}, self._vault)

    async def past_states(self, dag_id: str, before: datetime, task_ids: Sequence[str]) -> dict[str, InstanceRow]:
        """As `Store.past_states`."""
        query = statement("run", "instance_past")
        given = {"dag_id": dag_id, "before": before, "task_ids": task_ids}
        rows = await self._readers.fetch(query, *query.values(given))
        return {row["task_id"]: instance_of(row) for row in rows}


async def _require(session: Session, lease: Lease) -> None:
    query = statement("runtime", "runtime_seq")
    if await session.fetchrow(query.text, lease.runtime_id, lease.epoch) is None:
        raise Fenced


class _Raw(NamedTuple):
    """The rows of one run. Decoded after the transaction: the server ends one that stands idle, and
    a large version takes seconds.
    """

    head: Row
    instances: list[Row]
    live: list[Row]
    lengths: list[Row]
    waits: list[Row]


async def _raw(session: Session, run_id: RunId) -> _Raw:
    rows = await _run(session, "run_with_version", run_id=run_id)
    if not rows:
        raise NotFoundError(f"run {run_id}: the version of its DAG is not in the database")
    instances = await _run(session, "instance_list", run_id=run_id)
    live = await _run(session, "attempt_live", run_id=run_id)
    lengths = await _run(session, "length_list", run_id=run_id)
    return _Raw(rows[0], instances, live, lengths, await _run(session, "wait_list", run_id=run_id))


async def _snapshot(raw: _Raw, specs: dict[bytes, DagSpec], vault: Vault) -> RunSnapshot:
    """A run, complete. Runs of one version share one spec."""
    text = raw.head["spec"]
    spec = specs.get(text)
    if spec is None:
        spec = specs[text] = await spec_of(text)
    return RunSnapshot(
        run=run_of(raw.head),
        spec=spec,
        source=source_of(raw.head),
        instances=tuple(map(instance_of, raw.instances)),
        live=tuple(map(attempt_of, raw.live)),
        lengths=tuple(map(length_of, raw.lengths)),
        waits=tuple(wait_of(row, vault) for row in raw.waits),
    )


async def _run(session: Session, name: str, **given: object) -> list[Row]:
    query = statement("run", name)
    return await session.fetch(query.text, *query.values(given))
