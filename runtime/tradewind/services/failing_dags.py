"""DAGs whose runs fail one after another: they are paused, where their file asks for it."""

from __future__ import annotations

from typing import Final, cast

from tradewind.model.specs import DagSpec
from tradewind.model.states import RunState
from tradewind.ports import RunFilter, StoreReads

SETTING: Final = "max_consecutive_failed_dag_runs"


def failures_allowed(spec: DagSpec) -> int:
    """After how many failed runs in a row the DAG is paused; 0: never."""
    return cast("int", spec.extra.get(SETTING, 0))


async def fails_too_often(reads: StoreReads, spec: DagSpec) -> bool:
    """Whether the newest runs of the DAG, as many as it asks for, have all failed. One that still runs counts as not
    failed.
    """
    most = failures_allowed(spec)
    newest, _ = await reads.run_list(RunFilter(spec.dag_id, limit=most))
    return len(newest) >= most > 0 and all(run.state is RunState.FAILED for run in newest)
