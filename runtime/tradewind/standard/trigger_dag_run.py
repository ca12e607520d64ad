"""A task that starts a run of another DAG."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, TypedDict, Unpack, cast

from tradewind.authoring.access import TaskServices, current_attempt
from tradewind.authoring.arguments import OperatorArguments
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.instants import duration, instant
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.other_dags import LONGEST_WAIT
from tradewind.model.errors import AuthoringError, ConflictError, SkipTask, TaskFailed
from tradewind.model.rows import RunRow
from tradewind.model.states import RUN_FINISHED, RunState
from tradewind.standard.run_triggers import DagStateTrigger

XCOM_RUN_ID: Final = "trigger_run_id"
XCOM_LOGICAL_DATE_ISO: Final = "trigger_logical_date_iso"


class TriggerSettings(TypedDict, total=False):
    """Which run is made, and what is waited for."""

    trigger_run_id: str | None
    conf: Mapping[str, Any] | str | None
    logical_date: datetime | str | None
    execution_date: datetime | str | None
    reset_dag_run: bool
    wait_for_completion: bool
    poke_interval: float
    allowed_states: Collection[str] | None
    failed_states: Collection[str] | None
    skip_when_already_exists: bool
    fail_when_dag_is_paused: bool
    deferrable: bool
    openlineage_inject_parent_info: bool


class TriggerArguments(TriggerSettings, OperatorArguments, total=False):
    """All arguments of `TriggerDagRunOperator` beside the DAG's id."""


class TriggerDagRunOperator(BaseOperator):
    """Starts a run of the DAG `trigger_dag_id`, with `conf` for it.

    Without `trigger_run_id` and `logical_date` each try and each clear makes a new run. Where the
    run exists already the task fails; with `reset_dag_run` all tasks of that run are cleared instead,
    with `skip_when_already_exists` the task is skipped. While the other DAG is paused its run waits
    in the queue; `fail_when_dag_is_paused` fails instead. With `wait_for_completion` the task ends
    when the run has reached one of `allowed_states` (success), and fails where it reached one of
    `failed_states` (failed). It waits as a coroutine: no process is held and the run's end wakes it. With
    `deferrable` the wait is handed to the runtime: it outlives a restart, and holds no slot of the pool.
    """

    template_fields: Sequence[str] = (
        *("trigger_dag_id", "trigger_run_id", "logical_date", "conf"),
        *("wait_for_completion", "skip_when_already_exists"),
    )
    template_fields_renderers: ClassVar[Mapping[str, str]] = {"conf": "py"}
    ui_color = "#ffefeb"
    own_arguments: ClassVar[frozenset[str]] = frozenset(TriggerSettings.__annotations__)

    def __init__(self, *, trigger_dag_id: str, **arguments: Unpack[TriggerArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in TriggerSettings.__annotations__.keys() & given.keys()}
        super().__init__(**given)
        where = f"TriggerDagRunOperator {self.task_id!r}"
        if own.get("logical_date") is not None and own.get("execution_date") is not None:
            raise AuthoringError(f"{where}: execution_date is the older name of logical_date; give one of them")
        self.trigger_dag_id = trigger_dag_id
        self.trigger_run_id: str | None = own.get("trigger_run_id")
        self.conf: Any = own.get("conf")
        self.logical_date: Any = own.get("logical_date", own.get("execution_date"))
        if self.logical_date is not None and not isinstance(self.logical_date, (str, datetime)):
            raise AuthoringError(
                f"{where}: expected str or datetime.datetime type for parameter 'logical_date'. "
                f"Got {type(self.logical_date).__name__}"
            )
        self.reset_dag_run: bool = own.get("reset_dag_run", False)
        self.wait_for_completion: bool | str = own.get("wait_for_completion", False)
        self.poke_interval = duration(own.get("poke_interval", 60), f"{where}: poke_interval").total_seconds()
        self.allowed_states = _states(own.get("allowed_states"), RunState.SUCCESS, f"{where}: allowed_states")
        self.failed_states = _states(own.get("failed_states"), RunState.FAILED, f"{where}: failed_states")
        self.skip_when_already_exists: bool | str = own.get("skip_when_already_exists", False)
        self.fail_when_dag_is_paused: bool = own.get("fail_when_dag_is_paused", False)
        self.deferrable: bool = own.get("deferrable", current_defaults().deferrable)

    async def execute(self, context: Any) -> None:
        """Starts the run, notes its id as XCom, waits for it where asked to.

        Raises TaskFailed, SkipTask, NotFoundError, ConflictError.
        """
        services = current_attempt.get().services
        conf = self._conf()
        at = self._logical_date()
        if self.fail_when_dag_is_paused:
            facts = await services.dag_facts(self.trigger_dag_id)
            if facts is not None and facts.is_paused:
                raise TaskFailed(f"Dag {self.trigger_dag_id} is paused")
        run = await self._existing(services, at)
        if run is None:
            run = await self._triggered(services, conf, at)
        else:
            run = await self._restarted(services, run)
        self.log.info("Triggered DAG %s, run %s", run.dag_id, run.dag_run_id)
        ti = context["ti"]
        await ti.push(XCOM_RUN_ID, run.dag_run_id)
        await ti.push(XCOM_LOGICAL_DATE_ISO, run.logical_date.isoformat())
        if _truth(self.wait_for_completion):
            if self.deferrable:
                states = [*self.allowed_states, *self.failed_states]
                trigger = DagStateTrigger(run.dag_id, states, [run.dag_run_id], poll_interval=self.poke_interval)
                self.defer(trigger=trigger, method_name="execute_complete")
            await self._wait(services, run)

    def execute_complete(self, context: Any, event: Sequence[Any] | None = None) -> None:
        """The run has reached one of the states. Raises TaskFailed where it is a bad one."""
        said: Mapping[str, Any] = event[1] if event else {}
        for run_id in said.get("run_ids") or ():
            self._judge(str(said.get(run_id)))

    async def _existing(self, services: TaskServices, at: datetime | None) -> RunRow | None:
        if self.trigger_run_id:
            run = await services.run_find(self.trigger_dag_id, str(self.trigger_run_id))
            if run is not None:
                return run
        if at is None:
            return None
        runs = await services.runs_at(self.trigger_dag_id, at)
        return runs[0] if runs else None

    async def _triggered(self, services: TaskServices, conf: Mapping[str, Any] | None, at: datetime | None) -> RunRow:
        name = str(self.trigger_run_id) if self.trigger_run_id else None
        try:
            return await services.run_trigger(self.trigger_dag_id, conf, dag_run_id=name, logical_date=at)
        except ConflictError:
            run = await self._existing(services, at)  # made by somebody else since we looked
            if run is not None:
                return await self._restarted(services, run)
            if name is not None or at is not None:
                raise
            # two runs of the same microsecond: the name is made of the time
            return await services.run_trigger(self.trigger_dag_id, conf, dag_run_id=None, logical_date=None)

    async def _restarted(self, services: TaskServices, run: RunRow) -> RunRow:
        if self.reset_dag_run:
            self.log.info("Clearing %s on %s", run.dag_id, run.dag_run_id)
            return await services.run_restart(run.dag_id, run.dag_run_id)
        if _truth(self.skip_when_already_exists):
            raise SkipTask("Skipping due to skip_when_already_exists is set to True and DagRunAlreadyExists")
        raise ConflictError(
            f"A Dag Run already exists for dag id {run.dag_id} at {run.logical_date.isoformat()} "
            f"with run id {run.dag_run_id}"
        )

    async def _wait(self, services: TaskServices, run: RunRow) -> None:
        self.log.info("Waiting for %s on %s to become one of %s", run.dag_id, run.dag_run_id, list(self.allowed_states))
        ended = False
        while True:
            found = await services.run_find(run.dag_id, run.dag_run_id)
            if found is None:
                raise TaskFailed(f"run {run.dag_run_id!r} of DAG {run.dag_id!r} was deleted while it was waited for")
            if self._judge(found.state.value):
                return
            if ended and found.state in RUN_FINISHED:
                await asyncio.sleep(self.poke_interval)  # it may be cleared and end otherwise
            ended = await services.run_wait(run.run_id, min(self.poke_interval, LONGEST_WAIT)) is not None

    def _judge(self, state: str) -> bool:
        """Whether this state of the run is the end of the task. Raises TaskFailed."""
        if state in self.failed_states:
            raise TaskFailed(f"{self.trigger_dag_id} failed with failed states {state}")
        if state in self.allowed_states:
            self.log.info("%s finished with allowed state %s", self.trigger_dag_id, state)
            return True
        return False

    def _logical_date(self) -> datetime | None:
        if not self.logical_date:
            return None
        where = f"TriggerDagRunOperator {self.task_id!r}: logical_date"
        return instant(self.logical_date, where).astimezone(UTC)

    def _conf(self) -> dict[str, Any] | None:
        try:
            text = self.conf if isinstance(self.conf, str) else json.dumps(self.conf)
            value: object = json.loads(text) if text else None
        except (TypeError, ValueError) as why:
            raise TaskFailed(
                f"TriggerDagRunOperator {self.task_id!r}: conf parameter should be JSON Serializable: {why}"
            ) from why
        if value is not None and not isinstance(value, dict):
            raise TaskFailed(
                f"TriggerDagRunOperator {self.task_id!r}: conf has to be a JSON object, not {type(value).__name__}"
            )
        return cast("dict[str, Any] | None", value)


def _states(given: Collection[str] | None, default: RunState, where: str) -> tuple[str, ...]:
    if given is None:
        return (default.value,)
    allowed = {state.value for state in RunState}
    states = tuple(str(getattr(state, "value", state)) for state in given)
    unknown = [state for state in states if state not in allowed]
    if unknown:
        raise AuthoringError(f"{where}: {unknown[0]!r} is no state of a run; there are {', '.join(sorted(allowed))}")
    return states


def _truth(value: object) -> bool:
    return value.strip().lower() in ("true", "1", "yes", "t", "y") if isinstance(value, str) else bool(value)
