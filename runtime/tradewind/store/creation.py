"""New runs: small ones in one statement, large ones by COPY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Final

import asyncpg
import orjson

from tradewind.failpoints import failpoint
from tradewind.model.assets import NOTHING_CONSUMED, Consumed
from tradewind.model.batch import Batch, DagChange, MailDone
from tradewind.model.errors import BatchConflict, Fenced, StoreError
from tradewind.model.rows import InstanceRow, Lease, RunRow, ScheduleCursor
from tradewind.store.batch import compose, diagnoses, is_of_the_rows
from tradewind.store.columns import Columns, columns_of, text_bytes
from tradewind.store.connection import Row, Session
from tradewind.store.lines import Lines
from tradewind.store.statements import Statement, expanded, fragments, statement

SMALL: Final = 2_000
"""Up to so many instances a run is created by one statement; also the rows of one COPY."""

_COLUMNS: Final = ("task", "map", "state", "try", "max", "lost", "queued", "started", "ended", "due", "attempt")
_COPIED: Final = (
    "run_id", "task_id", "map_index", "state", "try_number", "max_tries", "lost_count",
    "queued_at", "started_at", "ended_at", "due_at", "attempt",
)  # fmt: skip


@cache
def _small(sections: tuple[str, ...]) -> Statement:
    head = f"{fragments('batch')['batch_touch']},\n{expanded('run', 'run_made')}"
    return compose(head, sections, fragments("run")["run_made.result"])


@cache
def _ending(sections: tuple[str, ...]) -> Statement:
    head = f"{fragments('batch')['batch_touch']},\n{fragments('run')['run_made_before']}"
    return compose(head, sections, "NULL")


class Creation(Lines):
    """`Store.run_create`."""

    async def run_create(
        self,
        lease: Lease,
        run: RunRow,
        instances: Sequence[InstanceRow],
        cursor: ScheduleCursor | None = None,
        mail_done: tuple[int, bytes] | None = None,
        consumed: Consumed = NOTHING_CONSUMED,
    ) -> bool:
        """As `Store.run_create`. A cursor or mail that is not the caller's, or an event that is no longer in
        the DAG's queue, raises BatchConflict.
        """
        rest = Batch(
            dags=[] if cursor is None else [DagChange(run.dag_id, cursor=cursor)],
            mail_done=[] if mail_done is None else [MailDone(*mail_done)],
        )
        columns = columns_of(rest)
        if consumed:
            columns.sections.append("consumed")
            columns.given |= {"q_event": list(consumed.taken), "q_kept": list(consumed.kept)}
        columns.given |= {"runtime_id": lease.runtime_id, "epoch": lease.epoch, "me": self._sender} | _run_values(run)
        failpoint("store.run_create.before_commit")
        try:
            if len(instances) <= SMALL:
                row, made = await self._create_small(columns, instances)
            else:
                row, made = await self._create_large(columns, instances)
        except StoreError as error:
            if isinstance(error.__cause__, asyncpg.DataError) or not is_of_the_rows(error.__cause__):
                raise
            raise await self._refused(run, columns, error) from error
        failpoint("store.run_create.after_commit")
        if row is None:
            raise Fenced
        for mail_id in row["mine"] or ():
            self._reply_arrived(mail_id)
        return made

    async def _create_small(self, columns: Columns, instances: Sequence[InstanceRow]) -> tuple[Row | None, bool]:
        rows = [_values_of(instance) for instance in instances]
        parts = tuple(zip(*rows, strict=True)) or ((),) * len(_COLUMNS)
        columns.given |= {f"i_{name}": part for name, part in zip(_COLUMNS, parts, strict=True)}
        query = _small(tuple(columns.sections))
        row = await self._writer.fetchrow(query, *query.values(columns.given))
        return row, row is not None and bool(row["result"])

    async def _create_large(self, columns: Columns, instances: Sequence[InstanceRow]) -> tuple[Row | None, bool]:
        """The fence comes last here: it guards the commit just as well, and holding the runtime's row
        through a long COPY would make all batches wait for it.
        """
        given = columns.given
        async with self._bulk.session() as session:
            transaction = session.transaction()
            await transaction.start()
            row = None
            try:
                query = statement("run", "run_create_large")
                made = await session.fetchrow(query.text, *query.values(given)) is not None
                if made:
                    await _copy(session, given["run_id"], instances)
                query = _ending(tuple(columns.sections))
                row = await session.fetchrow(query.text, *query.values(given))
            finally:
                if row is None and not session.is_closed():
                    await transaction.rollback()
            if row is not None:
                await transaction.commit()
        return row, made

    async def _refused(self, run: RunRow, columns: Columns, error: StoreError) -> BatchConflict:
        found: dict[str, list[Row]] = {}
        async with self._readers.line() as line, line.session() as session:
            for name in diagnoses(columns):
                query = statement("batch", name)
                found[name] = await session.fetch(query.text, *query.values(columns.given))
        details = [row["detail"] for rows in found.values() for row in rows]
        return BatchConflict(
            (run.run_id,),
            "; ".join(details) or error.message,
            dag_ids=[row[0] for row in found.get("conflict_dags", ())],
            mail_ids=[row[0] for row in found.get("conflict_mail", ())],
        )


def _values_of(row: InstanceRow) -> tuple[object, ...]:
    """The columns of an instance without its run id (`dataclasses.astuple` is twenty times slower)."""
    return (
        row.task_id, row.map_index, row.state, row.try_number, row.max_tries, row.lost_count,
        row.queued_at, row.started_at, row.ended_at, row.due_at, row.attempt,
    )  # fmt: skip


async def _copy(session: Session, run_id: object, instances: Sequence[InstanceRow]) -> None:
    """All instances, a chunk at a time: the loop gets its turn between chunks."""
    rows: Iterator[tuple[object, ...]] = ((run_id, *_values_of(row)) for row in instances)
    while chunk := list(islice(rows, SMALL)):
        await session.copy_records_to_table("task_instance", records=chunk, columns=_COPIED)


def _run_values(run: RunRow) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "version_hash": run.version_hash,
        "run_type": run.run_type,
        "state": run.state,
        "logical_date": run.logical_date,
        "interval_start": run.interval_start,
        "interval_end": run.interval_end,
        "queued_at": run.queued_at,
        "run_after": run.run_after,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "conf_codec": None if run.conf is None else run.conf.codec,
        "conf": None if run.conf is None else run.conf.data,
        "external_trigger": run.external_trigger,
        "note": None if run.note is None else text_bytes(run.note),
        "run_key": None if run.run_key is None else text_bytes(run.run_key),
        "partition_date": run.partition_date,
        "counts": None if run.counts is None else orjson.dumps(run.counts),
    }
