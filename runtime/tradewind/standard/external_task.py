"""Waiting for tasks of other DAGs, and saying which tasks of other DAGs wait for one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, TypedDict, Unpack, cast

from tradewind.authoring.access import TaskServices, current_attempt
from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.context import Context
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.instants import instant
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.python_call import call_function
from tradewind.authoring.sensor import BaseSensorOperator, SensorSettings
from tradewind.model.errors import AuthoringError, SkipTask, TaskFailed
from tradewind.model.states import RunState, TaskState
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.run_triggers import WorkflowTrigger, states_in

_TASK_STATES: Final = frozenset(state.value for state in TaskState if state is not TaskState.NONE)
_RUN_STATES: Final = frozenset(state.value for state in RunState)
_SAME_DATE: Final = ("{{ logical_date.isoformat() }}", "{{ execution_date.isoformat() }}", "{{ ts }}")
_ONE_OF: Final = "use external_task_id or external_task_ids or external_task_group_id"


class ExternalTaskFailedError(TaskFailed):
    """What was waited for has failed."""


class ExternalDagNotFoundError(TaskFailed):
    """There is no such DAG."""


class ExternalTaskNotFoundError(TaskFailed):
    """The DAG has no such task or task group."""


class ExternalSettings(TypedDict, total=False):
    """What is waited for."""

    external_task_id: str | None
    external_task_ids: Collection[str] | None
    external_task_group_id: str | None
    allowed_states: Collection[str] | None
    skipped_states: Collection[str] | None
    failed_states: Collection[str] | None
    execution_delta: timedelta | None
    execution_date_fn: Callable[..., Any] | None
    check_existence: bool
    deferrable: bool
    poll_interval: float


class ExternalSensorSettings(ExternalSettings, SensorSettings, total=False):
    """All arguments of `ExternalTaskSensor` beside the DAG's id."""


class ExternalTaskSensor(BaseSensorOperator):
    """Waits until tasks, a task group or a whole run of another DAG have reached one of `allowed_states`.

    Looked at is the run with the logical date of one's own; `execution_delta` is subtracted from
    it, `execution_date_fn(logical_date, …)` computes it: one date, several, or timedeltas to subtract
    (all have to be there). A state among `failed_states` fails the task (skips it with
    `soft_fail`), one among `skipped_states` skips it. Without task or group the run itself is
    waited for. `check_existence` fails at once where DAG, task or group do not exist. Mapped tasks
    count once all their instances have such a state. It holds no process while it waits; with `deferrable` it is
    woken by what happens in the other DAG, without it it looks every `poke_interval` seconds.
    """

    outcome_kind: ClassVar[OutcomeForm] = "sensor"

    template_fields: Sequence[str] = (
        *("external_dag_id", "external_task_id", "external_task_ids"),
        "external_task_group_id",
    )
    ui_color = "#4db7db"
    own_arguments: ClassVar[frozenset[str]] = frozenset(ExternalSettings.__annotations__)

    def __init__(self, *, external_dag_id: str, **arguments: Unpack[ExternalSensorSettings]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in ExternalSettings.__annotations__.keys() & given.keys()}
        if "poll_interval" in own:  # the pace of the deferred wait, the same thing here
            given.setdefault("poke_interval", own["poll_interval"])
        super().__init__(**given)
        self.external_dag_id = external_dag_id
        self.external_task_id: str | None = own.get("external_task_id")
        self.external_task_ids: Any = own.get("external_task_ids") or None
        self.external_task_group_id: str | None = own.get("external_task_group_id")
        self.execution_delta: Any = own.get("execution_delta")
        self.execution_date_fn: Callable[..., Any] | None = own.get("execution_date_fn")
        self.check_existence: bool = own.get("check_existence", False)
        self.deferrable: bool = own.get("deferrable", current_defaults().deferrable)
        if self.deferrable:
            vars(self)["outcome_kind"] = "value"
        self._existence_checked = False
        self._check_targets()
        self.allowed_states = _names(own.get("allowed_states")) or ["success"]
        self.skipped_states = _names(own.get("skipped_states"))
        self.failed_states = _names(own.get("failed_states"))
        self._check_states()

    def _check_targets(self) -> None:
        where = self._where
        if self.external_task_id is not None and self.external_task_ids is not None:
            raise AuthoringError(
                f"{where}: Only one of `external_task_id` or `external_task_ids` may be provided to "
                f"ExternalTaskSensor; {_ONE_OF}."
            )
        if self.external_task_id is not None:
            self.external_task_ids = [self.external_task_id]
        if self.external_task_group_id is not None and self.external_task_ids is not None:
            raise AuthoringError(
                f"{where}: Only one of `external_task_group_id` or `external_task_ids` may be provided to "
                f"ExternalTaskSensor; {_ONE_OF}."
            )
        if self.execution_delta is not None and self.execution_date_fn is not None:
            raise AuthoringError(
                f"{where}: Only one of `execution_delta` or `execution_date_fn` may be provided to "
                "ExternalTaskSensor; not both."
            )
        if self.execution_delta is not None and not isinstance(self.execution_delta, timedelta):
            raise AuthoringError(f"{where}: execution_delta: a timedelta is needed, not {self.execution_delta!r}")

    def _check_states(self) -> None:
        listed = [*self.allowed_states, *self.skipped_states, *self.failed_states]
        if len(set(listed)) != len(listed):
            raise AuthoringError(
                f"{self._where}: Duplicate values provided across allowed_states, skipped_states and failed_states."
            )
        of_tasks = self.external_task_ids is not None or self.external_task_group_id is not None
        known = _TASK_STATES if of_tasks else _RUN_STATES
        unknown = sorted(set(listed) - known)
        if unknown:
            raise AuthoringError(
                f"{self._where}: {unknown[0]!r} is no state of a {'task' if of_tasks else 'run'}. Valid values for "
                f"`allowed_states`, `skipped_states` and `failed_states` here: {', '.join(sorted(known))}"
            )

    @property
    def _where(self) -> str:
        return f"ExternalTaskSensor {self.task_id!r}"

    @property
    def is_async(self) -> bool:
        """It asks the system, and awaits the answers."""
        return True

    async def execute(self, context: Any) -> Any:
        """Looks, and defers where it has to wait. Without `deferrable` it is asked as other sensors are."""
        if not self.deferrable:
            return await super().execute(context)
        if not await self.poke(context):
            trigger = WorkflowTrigger(
                self.external_dag_id,
                external_task_ids=self.external_task_ids,
                external_task_group_id=self.external_task_group_id,
                allowed_states=self.allowed_states,
                skipped_states=self.skipped_states,
                failed_states=self.failed_states,
                poke_interval=self.poke_interval,
                soft_fail=self.soft_fail,
                logical_dates=await self._dates(context),
            )
            self.defer(trigger=trigger, method_name="execute_complete", timeout=self.time_left)
        return self.execute_complete(context, {"status": "success"})

    def execute_complete(self, context: Any, event: Mapping[str, Any] | None = None) -> None:
        """What the trigger has seen. Raises as `poke` does."""
        status = None if event is None else event.get("status")
        if status == "failed":
            self._has_failed()
        if status == "skipped":
            raise SkipTask(f"{self._what(capital=True)} reached a state in {self.skipped_states}. Skipping.")
        if status != "success":
            raise ExternalTaskNotFoundError(f"{self._where}: the trigger gave {event!r}, which says nothing of a state")
        self.log.info("%s has reached a state in %s", self._what(capital=True), self.allowed_states)

    async def poke(self, context: Any) -> bool:
        """Looks once. Raises ExternalTaskFailedError, SkipTask, ExternalDagNotFoundError, ExternalTaskNotFoundError."""
        ids = self._task_ids()
        dates = await self._dates(context)
        self.log.info(
            "Poking for %s on %s ... ", self._what(), ",".join(at.isoformat() for at in dates) or "no date at all"
        )
        services = current_attempt.get().services
        if self.check_existence and not self._existence_checked:
            await self._check_existence(services, ids)
            self._existence_checked = True
        found = [await self._states(services, at, ids) for at in dates]
        seen = {state for states in found for state in states}
        if seen & set(self.failed_states):
            self._has_failed()
        if seen & set(self.skipped_states):
            raise SkipTask(f"{self._what(capital=True)} reached a state in {self.skipped_states}. Skipping.")
        allowed = set(self.allowed_states)
        return all(states and allowed.issuperset(states) for states in found)

    def _task_ids(self) -> tuple[str, ...]:
        ids = tuple(cast("Iterable[str]", self.external_task_ids or ()))
        if len(set(ids)) < len(ids):
            raise TaskFailed(f"{self._where}: Duplicate task_ids passed in external_task_ids parameter")
        return ids

    def _what(self, *, capital: bool = False) -> str:
        dag = f"DAG '{self.external_dag_id}'"
        if self.external_task_ids:
            text = f"tasks {list(self.external_task_ids)} in {dag}"
        elif self.external_task_group_id:
            text = f"task group '{self.external_task_group_id}' in {dag}"
        else:
            text = dag
        return text[0].upper() + text[1:] if capital else text

    def _has_failed(self) -> None:
        if self.external_task_ids:
            ids = list(self.external_task_ids)
            said = f"Some of the external tasks {ids} in DAG {self.external_dag_id} failed."
        elif self.external_task_group_id:
            said = f"The external task_group '{self.external_task_group_id}' in DAG '{self.external_dag_id}' failed."
        else:
            said = f"The external DAG {self.external_dag_id} failed."
        if self.soft_fail:
            raise SkipTask(f"{said} Skipping due to soft_fail.")
        raise ExternalTaskFailedError(said)

    async def _dates(self, context: Any) -> list[datetime]:
        own = current_attempt.get().attempt.run.logical_date
        if self.execution_delta is not None:
            return [(own - self.execution_delta).astimezone(UTC)]
        if self.execution_date_fn is None:
            return [own]
        answer = await asyncio.to_thread(self._ask_for_dates, self.execution_date_fn, context)
        listed: Iterable[object]
        listed = (answer,) if isinstance(answer, (datetime, timedelta, str)) else cast("Iterable[object]", answer)
        return [self._date(own, item) for item in listed]

    @staticmethod
    def _ask_for_dates(function: Callable[..., Any], context: Any) -> object:
        """Calls the author's function with the date, and with what its signature names of the context."""
        offered = {**(context.keywords() if isinstance(context, Context) else context), "context": context}
        own = offered.pop("logical_date")
        offered.pop("execution_date", None)
        return call_function(function, [own], {}, offered)

    def _date(self, own: datetime, item: object) -> datetime:
        if isinstance(item, timedelta):
            return (own - item).astimezone(UTC)
        return instant(item, f"{self._where}: what execution_date_fn returned").astimezone(UTC)

    async def _states(self, services: TaskServices, at: datetime, ids: tuple[str, ...]) -> list[str]:
        """The states of what is waited for, at one logical date; empty where some of it is not there yet."""
        runs = await services.runs_at(self.external_dag_id, at)
        if not runs:
            return []
        return await states_in(services, max(runs, key=lambda row: row.run_id), ids, self.external_task_group_id)

    async def _check_existence(self, services: TaskServices, ids: tuple[str, ...]) -> None:
        dag = self.external_dag_id
        facts = await services.dag_facts(dag)
        if facts is None:
            raise ExternalDagNotFoundError(f"The external DAG {dag} does not exist.")
        if not facts.is_active:
            raise ExternalDagNotFoundError(f"The external DAG {dag} was deleted.")
        for task_id in ids:
            if task_id not in facts.task_ids:
                raise ExternalTaskNotFoundError(f"The external task {task_id} in DAG {dag} does not exist.")
        group = self.external_task_group_id
        if group is not None and group not in facts.groups:
            raise ExternalTaskNotFoundError(f"The external task group '{group}' in DAG '{dag}' does not exist.")


class MarkerSettings(OperatorArguments, total=False):
    """Arguments of `ExternalTaskMarker` beside those that name the other task."""

    execution_date: str | datetime


class ExternalTaskMarker(EmptyOperator):
    """Says that `external_task_id` of another DAG (usually an ExternalTaskSensor) depends on this task.

    `logical_date` (a template) is the date of the other run. `recursion_depth` bounds how far a
    clear may go from DAG to DAG: clearing this task clears the other one too, with all that follows it.
    """

    template_fields: Sequence[str] = ("external_dag_id", "external_task_id", "logical_date")
    ui_color = "#4db7db"
    own_arguments: ClassVar[frozenset[str]] = frozenset({"execution_date"})

    def __init__(
        self,
        *,
        external_dag_id: str,
        external_task_id: str,
        logical_date: str | datetime | None = None,
        recursion_depth: int = 10,
        **arguments: Unpack[MarkerSettings],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        date = logical_date if logical_date is not None else given.pop("execution_date", None)
        given.pop("execution_date", None)
        super().__init__(**given)
        where = f"ExternalTaskMarker {self.task_id!r}"
        if date is not None and not isinstance(date, (str, datetime)):
            raise AuthoringError(
                f"{where}: Expected str or datetime.datetime type for logical_date. Got {type(date).__name__}"
            )
        if recursion_depth <= 0:
            raise AuthoringError(f"{where}: recursion_depth should be a positive integer")
        self.external_dag_id = external_dag_id
        self.external_task_id = external_task_id
        self.logical_date = date.isoformat() if isinstance(date, datetime) else date or "{{ logical_date.isoformat() }}"
        self.recursion_depth = recursion_depth
        self.clears: dict[str, Any] = {"dag_id": external_dag_id, "task_id": external_task_id, "depth": recursion_depth}
        """For the spec: what is cleared along with this task."""
        if date is not None and self.logical_date not in _SAME_DATE:
            self.clears["logical_date"] = self.logical_date


def _names(states: Collection[Any] | None) -> list[str]:
    return [str(getattr(state, "value", state)) for state in states or ()]
