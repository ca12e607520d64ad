"""What an executor gets to carry out: one try of one task instance, with the facts of its run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Wait
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import RunType
from tradewind.model.waits import Resume, WaitKey


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every attempt of a run is told about it. One object serves all attempts of a run."""

    run_id: RunId
    dag_id: str
    dag_run_id: str
    version_hash: str
    run_type: RunType
    logical_date: datetime
    interval_start: datetime
    interval_end: datetime
    run_after: datetime
    queued_at: datetime
    started_at: datetime | None
    conf: EncodedValue | None
    external_trigger: bool
    source: DagSource
    run_key: str | None = None
    """The key of the partition that the run is about."""
    partition_date: datetime | None = None
    """The moment that the key stands for."""

    @staticmethod
    def of(run: RunRow, source: DagSource) -> RunFacts:
        """The facts of a run whose code comes from `source`."""
        return RunFacts(
            run_id=run.run_id,
            dag_id=run.dag_id,
            dag_run_id=run.dag_run_id,
            version_hash=run.version_hash,
            run_type=run.run_type,
            logical_date=run.logical_date,
            interval_start=run.interval_start,
            interval_end=run.interval_end,
            run_after=run.run_after,
            queued_at=run.queued_at,
            started_at=run.started_at,
            conf=run.conf,
            external_trigger=run.external_trigger,
            source=source,
            run_key=run.run_key,
            partition_date=run.partition_date,
        )


class AttemptKey(NamedTuple):
    """An attempt and the task instance it is a try of."""

    attempt: AttemptId
    run_id: RunId
    task_id: str
    map_index: int = UNMAPPED
    try_number: int = 1


class Attempt(NamedTuple):
    """One try, ready to be carried out. Its start is already committed."""

    key: AttemptKey
    task: TaskSpec
    run: RunFacts
    max_tries: int
    """How many tries the instance may use in all, this one included."""
    first_started_at: datetime
    """When the first slice of this try began (a rescheduled sensor keeps it)."""
    resume: Resume | None = None
    """How a deferred try goes on. None: it begins."""


class WaitStart(NamedTuple):
    """A wait to be carried out. `attempt` is the attempt that began it, which has ended."""

    attempt: Attempt
    wait: Wait

    @property
    def key(self) -> WaitKey:
        """Its name."""
        own = self.attempt.key
        return WaitKey(own.attempt, own.run_id, own.task_id, own.map_index, self.wait.key)
