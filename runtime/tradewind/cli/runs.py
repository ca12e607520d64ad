"""Finds runs by what people call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.cli.options import parse_instant
from tradewind.model.errors import NotFoundError

if TYPE_CHECKING:
    from tradewind.model.rows import DagRow, RunRow
    from tradewind.ports import StoreReads


async def need_dag(reads: StoreReads, dag_id: str) -> DagRow:
    """The DAG. Raises NotFoundError with the nearest name."""
    row = await reads.dag_get(dag_id)
    if row is not None:
        return row
    import difflib

    known = [other.dag_id for other in await reads.dag_list()]
    close = difflib.get_close_matches(dag_id, known, n=1)
    if close:
        hint = f" Did you mean {close[0]!r}?"
    elif known:
        hint = (
            " New DAG files are read while Tradewind runs (tradewind standalone);"
            " tradewind dags list-import-errors names those that could not be loaded."
        )
    else:
        hint = " The system knows no DAGs yet: it reads the DAG files when it runs (tradewind standalone)."
    raise NotFoundError(f"there is no DAG {dag_id!r}.{hint}")


async def find_run(reads: StoreReads, dag_id: str, name: str | None) -> RunRow:
    """A run by its id, its logical date, or `latest` (None too). Raises NotFoundError."""
    from tradewind.ports import RunFilter

    await need_dag(reads, dag_id)
    if name is None or name == "latest":
        rows, _ = await reads.run_list(RunFilter(dag_id=dag_id, limit=1))
        if rows:
            return rows[0]
        raise NotFoundError(f"DAG {dag_id!r} has not run yet")
    run = await reads.run_get(dag_id, name)
    if run is not None:
        return run
    try:
        moment = parse_instant(name)
    except ValueError:
        moment = None
    if moment is not None:
        where = RunFilter(dag_id=dag_id, logical_from=moment, logical_to=moment, limit=1)
        rows, _ = await reads.run_list(where)
        if rows:
            return rows[0]
    raise NotFoundError(
        f"DAG {dag_id!r} has no run {name!r} (neither an id nor a logical date). See: tradewind dags list-runs {dag_id}"
    )
