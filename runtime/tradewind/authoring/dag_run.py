"""`DagRun` as task code sees it: the facts of the run that the attempt belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.run_instances import InstanceFacts, chosen, facts_of
from tradewind.model.attempts import RunFacts
from tradewind.model.errors import TradewindError
from tradewind.model.keys import UNMAPPED
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


def _attempt() -> CurrentAttempt:
    current = current_attempt.get(None)
    if current is None:
        raise TradewindError("the instances of a run can be asked for in its tasks and callbacks only")
    return current


class DagRun:
    """The run: `dag_run.conf`, `dag_run.run_id`, `dag_run.logical_date` and more.

    Made from the facts that travel with the attempt; only what it says of task instances is asked for.
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

    def get_state(self) -> RunState:
        """The state, as a method."""
        return self._state

    def get_task_instances(self, state: Iterable[str | None] | str | None = None) -> list[InstanceFacts]:
        """How the run's task instances stand now (those in `state`, or in one of these). Asks the system, and blocks.

        The instance that asks is still running, also in its own callbacks. Raises TradewindError outside of tasks and
        callbacks.
        """
        rows = _attempt().blocking.instance_list(self.facts.run_id)
        return chosen((facts_of(self.dag_id, self.run_id, row) for row in rows), state)

    async def aget_task_instances(self, state: Iterable[str | None] | str | None = None) -> list[InstanceFacts]:
        """The same, for code that awaits."""
        rows = await _attempt().services.instance_list(self.facts.run_id)
        return chosen((facts_of(self.dag_id, self.run_id, row) for row in rows), state)

    def get_task_instance(self, task_id: str, map_index: int = UNMAPPED) -> InstanceFacts | None:
        """How one of them stands; None where the run has no such instance. Raises as `get_task_instances` does."""
        found = (one for one in self.get_task_instances() if (one.task_id, one.map_index) == (task_id, map_index))
        return next(found, None)

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
