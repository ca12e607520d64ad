"""How the task instances of a run stand: what `dag_run.get_task_instances()` gives to code that reports about a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from tradewind.authoring.defaults import current_defaults
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import InstanceRow
from tradewind.model.states import TaskState


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """A task instance as it stood when it was asked for, by Airflow's names. Times are in UTC."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: TaskState | None
    """None: it has none yet."""
    try_number: int
    max_tries: int
    start_date: datetime | None
    end_date: datetime | None

    @property
    def duration(self) -> float | None:
        """Seconds from its begin to its end; None before that."""
        if self.start_date is None or self.end_date is None:
            return None
        return (self.end_date - self.start_date).total_seconds()

    @property
    def log_url(self) -> str:
        """Address of its newest log in the web pages."""
        return log_address(self.dag_id, self.run_id, self.task_id, self.map_index, self.try_number)

    def current_state(self) -> TaskState | None:
        """Its state."""
        return self.state


def log_address(dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int) -> str:
    """Where the pages show the log of a try; below `web.base_url`."""
    place: dict[str, str | int] = {"run": run_id, "task": task_id, "attempt": try_number}
    if map_index != UNMAPPED:
        place["map_index"] = map_index
    return f"{current_defaults().base_url}/dags/{quote(dag_id, safe='')}?{urlencode(place)}"


def facts_of(dag_id: str, run_id: str, row: InstanceRow) -> InstanceFacts:
    """The facts of a stored instance of this run."""
    state = None if row.state is TaskState.NONE else row.state
    place = (dag_id, run_id, row.task_id, row.map_index)
    return InstanceFacts(*place, state, row.try_number, row.max_tries, row.started_at, row.ended_at)


def chosen(facts: Iterable[InstanceFacts], state: Iterable[str | None] | str | None) -> list[InstanceFacts]:
    """Those that are in this state, or in one of these; None: all."""
    if state is None:
        return list(facts)
    wanted = {state} if isinstance(state, str) else set(state)
    return [one for one in facts if one.state in wanted]
