"""The group commit: one batch, one statement, one round trip, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from functools import cache
from typing import Any

import asyncpg

from tradewind.failpoints import failpoint
from tradewind.model.batch import Batch
from tradewind.model.errors import BatchConflict, Fenced, StoreError
from tradewind.model.rows import Lease
from tradewind.store.bounds import require_one_segment_a_run
from tradewind.store.columns import INLINE_LIMIT, Columns, columns_of
from tradewind.store.connection import Line, Session
from tradewind.store.statements import Statement, bind, expanded, fragments, statement
from tradewind.store.waits import Seal, add_steps, add_waits

REFUSED = "TW001"
"""SQLSTATE that `batch_refuse` raises."""


@cache
def composed(sections: tuple[str, ...]) -> Statement:
    """The one statement for a batch that has these sections."""
    return compose(fragments("batch")["batch_fence"], sections, "NULL")


def compose(head: str, sections: Sequence[str], result: str) -> Statement:
    """A statement of common table expressions: `head` (with the fence), the sections, their checks.

    Its row holds seq, agreed, mine (ids of mail done here that this process had sent) and `result`.
    """
    texts = fragments("batch")
    parts = [head, *map(_section, sections)]
    checks = [texts[f"batch_{name}.check"] for name in sections if f"batch_{name}.check" in texts]
    verdict = f"CASE {' '.join(checks)} ELSE true END" if checks else "true"
    mine = texts["batch_mail.mine"] if "mail" in sections else "NULL"
    text = (
        f"WITH {','.join(parts)}\nSELECT fence.seq, {verdict} AS agreed, {mine} AS mine, {result} AS result FROM fence"
    )
    return bind("+".join(sections), text)


def _section(name: str) -> str:
    """Its text. One that comes `_after` another is the plain one with the condition that makes it wait."""
    plain = name.removesuffix("_after")
    after = fragments("batch")[f"batch_{name}"] if plain != name else ""
    return expanded("batch", f"batch_{plain}", after=after)


class BatchWriter:
    """Applies batches over the writer's line."""

    def __init__(
        self,
        line: Line,
        sender: str,
        on_reply: Callable[[int], None],
        seal: Seal,
        spill: int = INLINE_LIMIT,
        outside: MutableMapping[bytes, str] | None = None,
    ) -> None:
        """`sender` is this process's address for replies; `on_reply` hears of those it sent itself. `seal` encrypts;
        values of more than `spill` bytes are blobs; `outside`: those that were put aside, until they are committed.
        """
        self._outside: MutableMapping[bytes, str] = {} if outside is None else outside
        self._seal = seal
        self._spill = spill
        self._line = line
        self._sender = sender
        self._on_reply = on_reply

    async def apply(self, lease: Lease, batch: Batch) -> int:
        """As `Store.batch_apply`."""
        require_one_segment_a_run(batch)
        columns = self._columns_of(batch)
        query = composed(tuple(columns.sections))
        given = columns.given
        given["runtime_id"], given["epoch"], given["me"] = lease.runtime_id, lease.epoch, self._sender
        failpoint("store.batch.before_commit")
        try:
            row = await self._line.fetchrow(query, *query.values(given))
        except StoreError as error:
            if not is_of_the_rows(error.__cause__):
                raise
            raise await self._conflict(lease, batch, columns, error) from error
        failpoint("store.batch.after_commit")
        if row is None:
            raise Fenced
        for digest in columns.blobs:
            self._outside.pop(digest, None)
        for mail_id in row["mine"] or ():
            self._on_reply(mail_id)
        seq: int = row["seq"]
        return seq

    def _columns_of(self, batch: Batch) -> Columns:
        columns = columns_of(batch, self._spill, self._outside)
        if any(segment.waits for segment in batch.segments):
            add_waits(columns, batch.segments, self._seal)
        if any(segment.steps for segment in batch.segments):
            add_steps(columns, batch.segments)
        return columns

    async def _conflict(self, lease: Lease, batch: Batch, columns: Columns, error: Exception) -> BatchConflict:
        """Finds out which runs are to blame. The rows have not changed since: only we write them."""
        runs: dict[Any, None] = {}
        dags: dict[Any, None] = {}
        mail: dict[Any, None] = {}
        details: list[str] = []
        columns.given["closing"] = columns.given.get("c_attempt", ())
        async with self._line.session() as session:
            for name in diagnoses(columns):
                query = statement("batch", name)
                for key, detail in await session.fetch(query.text, *query.values(columns.given)):
                    details.append(detail)
                    blamed = dags if name == "conflict_dags" else mail if name == "conflict_mail" else runs
                    blamed[key] = None
            if not details:
                for run_id, detail in await self._tried_alone(session, lease, batch):
                    runs[run_id] = None
                    details.append(detail)
        if not details:
            runs = dict.fromkeys(segment.run_id for segment in batch.segments)
            details.append(str(error))
        return BatchConflict(tuple(runs), "; ".join(details[:20]), dag_ids=tuple(dags), mail_ids=tuple(mail))

    async def _tried_alone(self, session: Session, lease: Lease, batch: Batch) -> list[tuple[int, str]]:
        """Each run's segment applied alone and undone: the runs that fail, with the reason."""
        found: list[tuple[int, str]] = []
        for segment in batch.segments:
            columns = self._columns_of(Batch([segment]))
            query = composed(tuple(columns.sections))
            columns.given.update(runtime_id=lease.runtime_id, epoch=lease.epoch, me=self._sender)
            transaction = session.transaction()
            await transaction.start()
            try:
                await session.fetch(query.text, *query.values(columns.given))
            except asyncpg.PostgresError as error:
                if not is_of_the_rows(error):
                    raise
                found.append((segment.run_id, str(error)))
            finally:
                await transaction.rollback()
        return found


def is_of_the_rows(error: BaseException | None) -> bool:
    """Whether the error comes from what the batch says, not from the way to the server."""
    return isinstance(error, asyncpg.PostgresError) and (
        error.sqlstate == REFUSED
        or isinstance(
            error, (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.CardinalityViolationError)
        )
    )


def diagnoses(columns: Columns) -> Sequence[str]:
    """Names of the statements that find out which rows of these sections are not as expected."""
    wanted = (
        ("t_run", "tasks"),
        ("p_run", "dropped"),
        ("c_run", "closed"),
        ("o_run", "opened"),
        ("r_run", "runs"),
        ("d_dag", "dags"),
    )
    return [f"conflict_{name}" for mark, name in (*wanted, ("m_id", "mail")) if mark in columns.given]
