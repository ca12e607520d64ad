"""`DagRun` as task code sees it: the facts of the run that the attempt belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from tradewind.model.attempts import RunFacts
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.states import RunState, RunType

if TYPE_CHECKING:
    import pendulum


def moment(value: datetime) -> pendulum.DateTime:
    """The instant as templates get it: a Pendulum datetime in UTC, drop-in for `datetime`."""
    import pendulum

    return pendulum.instance(value).in_timezone("UTC")


def decoded(value: EncodedValue | None) -> Any:
    """A stored value; None for none."""
    if value is None:
        return None
    if value.codec == CODEC_JSON:
        return orjson.loads(value.data)
    from tradewind.authoring.xcom import decode

    return decode(value)


class DagRun:
    """The run: `dag_run.conf`, `dag_run.run_id`, `dag_run.logical_date` and more.

    Made from the facts that travel with the attempt; it asks nobody.
    """

    __slots__ = ("_conf", "_ended_at", "_state", "facts")

    def __init__(self, facts: RunFacts, state: RunState = RunState.RUNNING, ended_at: datetime | None = None) -> None:
        """`state` and `ended_at` are given where the run is looked at from outside its tasks."""
        self.facts = facts
        self._state = state
        self._ended_at = ended_at
        self._conf: dict[str, Any] | None = None

    @property
    def dag_id(self) -> str:
        """Id of the DAG."""
        return self.facts.dag_id

    @property
    def run_id(self) -> str:
        """The id that people see, such as ``manual__2026-01-01T00:00:00+00:00``."""
        return self.facts.dag_run_id

    @property
    def partition_key(self) -> str | None:
        """The key of the partition that the run is about; None: it is about no partition."""
        return self.facts.run_key

    @property
    def partition_date(self) -> pendulum.DateTime | None:
        """The moment that the partition's key stands for; None: it stands for none."""
        at = self.facts.partition_date
        return None if at is None else moment(at)

    @property
    def run_type(self) -> RunType:
        """What caused the run."""
        return self.facts.run_type

    @property
    def conf(self) -> dict[str, Any]:
        """What was given when the run was triggered; empty for scheduled runs."""
        if self._conf is None:
            value = decoded(self.facts.conf)
            self._conf = value if isinstance(value, dict) else {}
        return self._conf

    @property
    def external_trigger(self) -> bool:
        """Whether somebody asked for the run (it was not the schedule)."""
        return self.facts.external_trigger

    @property
    def is_backfill(self) -> bool:
        """Whether a backfill made the run."""
        return self.facts.run_type is RunType.BACKFILL

    @property
    def logical_date(self) -> pendulum.DateTime:
        """The run's logical date."""
        return moment(self.facts.logical_date)

    @property
    def execution_date(self) -> pendulum.DateTime:
        """The older name of `logical_date`."""
        return moment(self.facts.logical_date)

    @property
    def data_interval_start(self) -> pendulum.DateTime:
        """Where the span of data begins that the run is about."""
        return moment(self.facts.interval_start)

    @property
    def data_interval_end(self) -> pendulum.DateTime:
        """Where it ends."""
        return moment(self.facts.interval_end)

    @property
    def run_after(self) -> pendulum.DateTime:
        """The run was not to start before this."""
        return moment(self.facts.run_after)

    @property
    def queued_at(self) -> pendulum.DateTime:
        """When the run was created."""
        return moment(self.facts.queued_at)

    @property
    def start_date(self) -> pendulum.DateTime | None:
        """When its first task was started."""
        return None if self.facts.started_at is None else moment(self.facts.started_at)

    @property
    def state(self) -> RunState:
        """`running`: task code sees no other, callbacks of DAGs do."""
        return self._state

    @property
    def end_date(self) -> pendulum.DateTime | None:
        """When it ended; None while it runs."""
        return None if self._ended_at is None else moment(self._ended_at)

    @property
    def dag_hash(self) -> str:
        """Hash of the DAG version that the run keeps."""
        return self.facts.version_hash

    def __repr__(self) -> str:
        return f"<DagRun {self.dag_id} @ {self.facts.logical_date.isoformat(' ')}: {self.run_id}, {self._state.value}>"
