"""The context: what templates, `execute` and callables find by name.

Building one costs next to nothing. Each value is made when it is first asked for; those that
need the system (`prev_…_success`, `var`, `conn`) ask it then, and block until the answer is there.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from types import EllipsisType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.dag_run import DagRun, moment
from tradewind.authoring.durable_calls import DurableCalls, Record
from tradewind.authoring.later import Later
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.params import values_for_run
from tradewind.authoring.publishing import publication
from tradewind.authoring.variable import VariableAccessor
from tradewind.model.rows import RunRow
from tradewind.model.specs import Json
from tradewind.model.states import RunState
from tradewind.rules.timetables import DataInterval, TimeRestriction
from tradewind.rules.timetables import Timetable as Arithmetic

if TYPE_CHECKING:
    import pendulum


class TimetableFace(Protocol):
    """The part of a DAG's timetable that the context needs."""

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes the runs."""
        ...


class ParamsFace(Protocol):
    """Params with their defaults and schemas."""

    def to_spec(self) -> Mapping[str, Json]:
        """Name to {value, schema, description}."""
        ...


class DagFace(Protocol):
    """The part of a live DAG that the context needs."""

    dag_id: str

    @property
    def params(self) -> ParamsFace:
        """The DAG's params."""
        ...

    @property
    def timetable(self) -> TimetableFace:
        """The DAG's schedule."""
        ...


class Context(DurableCalls, MutableMapping[str, Any]):
    """Names to values, made on demand. Values that are put in win over those that are made."""

    __slots__ = (
        "_made",
        "_row",
        "attempt",
        "configuration",
        "current",
        "made_durable",
        "source_dag",
        "test_mode",
        "the_task",
    )

    def __init__(
        self,
        current: CurrentAttempt,
        dag: DagFace,
        task: BaseOperator,
        *,
        test_mode: bool = False,
        configuration: object = None,
    ) -> None:
        self.current = current
        self.attempt = current.attempt
        self.source_dag = dag
        self.the_task = task
        self.test_mode = test_mode
        self.configuration = configuration
        self.made_durable: Record | None = None
        self._made: dict[str, Any] = {}
        self._row: RunRow | EllipsisType | None = ...

    @property
    def durable(self) -> Record:
        """What the task has done and waits for; made for the first task that asks for it."""
        if self.made_durable is None:
            from tradewind.authoring.durable import Durable  # DAG files that only define tasks need no loop

            self.made_durable = Durable(self.current, self.the_task, evicts=self.the_task.durable)
        return self.made_durable

    async def publish(self, name: str, value: Any) -> None:
        """Lets people and programs read `value` while the task runs or waits: `tradewind tasks query`, the API and the
        task's page show the latest of each name. Durable on return; it goes when a new try begins. In plain functions
        it is `ti.publish`. Raises XComError for a value that cannot be stored as JSON.
        """
        found = publication(self.the_task.task_id, name, value)
        await self.current.services.xcom_put(self.attempt.key, found.key, found.value)

    def __getitem__(self, name: str) -> Any:
        made = self._made
        if name in made:
            return made[name]
        maker = _MAKERS.get(name)
        if maker is None:
            raise KeyError(name)
        value = made[name] = maker(self)
        return value

    def __setitem__(self, name: str, value: object) -> None:
        self._made[name] = value

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._made or name in _MAKERS

    def __iter__(self) -> Iterator[str]:
        yield from _MAKERS
        yield from (name for name in self._made if name not in _MAKERS)

    def __len__(self) -> int:
        return len(_MAKERS.keys() | self._made.keys())

    def keywords(self) -> dict[str, Any]:
        """All entries, for ``f(**context)``. Those that ask the system are stand-ins which ask on first use."""
        return {name: Later(self, name) if name in ASKS_THE_SYSTEM else self[name] for name in self}

    def __repr__(self) -> str:
        key = self.attempt.key
        return f"<Context of {self.source_dag.dag_id}.{key.task_id} in run {self.attempt.run.dag_run_id}>"

    # ------------------------------------------------------------------ what the makers share

    @property
    def moment_of_run(self) -> pendulum.DateTime:
        """The logical date."""
        value: pendulum.DateTime = self["logical_date"]
        return value

    def day(self, distance: int) -> str:
        """The day that many calendar days after the logical date, as ``YYYY-MM-DD``."""
        return (self.attempt.run.logical_date + timedelta(days=distance)).strftime("%Y-%m-%d")

    def last_success(self) -> RunRow | None:
        """The latest earlier run of the DAG that succeeded; asked for once."""
        if self._row is ...:
            run = self.attempt.run
            self._row = self.current.blocking.run_before(run.dag_id, run.logical_date, RunState.SUCCESS)
        return self._row

    async def prefetch(self, names: Collection[str] | None = None) -> None:
        """Asks the system, without blocking, for these entries, or all that `ASKS_THE_SYSTEM` names: for code on an
        event loop.
        """
        wanted = ASKS_THE_SYSTEM if names is None else names
        for name in TRIGGERING:
            if name in wanted:
                await self[name].load()
        if self._row is ... and ASKS_THE_SYSTEM.intersection(wanted):
            run = self.attempt.run
            self._row = await self.current.services.run_before(run.dag_id, run.logical_date, RunState.SUCCESS)

    def next_date(self) -> pendulum.DateTime | None:
        """Logical date of the run that follows on the schedule; of a run by hand: its own."""
        run = self.attempt.run
        if run.external_trigger:
            return self.moment_of_run
        interval = DataInterval(run.interval_start, run.interval_end)
        unbounded = TimeRestriction(None, None, catchup=True)
        info = self.source_dag.timetable.arithmetic.next_run(interval, unbounded, run.interval_end)
        return None if info is None else moment(info.logical_date)

    def previous_date(self) -> pendulum.DateTime | None:
        """Where the interval before this one starts on the schedule; of a run by hand: its own logical date."""
        run = self.attempt.run
        if run.external_trigger:
            return self.moment_of_run
        found = self.source_dag.timetable.arithmetic.previous_schedule(run.logical_date)
        return None if found is None else moment(found)

    def previous_success_date(self) -> pendulum.DateTime | None:
        """Logical date of the last successful run, if this task had a part in it."""
        row = self.last_success()
        start = self.the_task.start_date
        if row is None or (start is not None and row.logical_date < start):
            return None
        return moment(row.logical_date)

    def params(self) -> dict[str, Json]:
        """Params of DAG and task, with the run's conf over them. Raises ParamValidationError."""
        specs = {**self.source_dag.params.to_spec(), **self.the_task.params.to_spec()}
        run: DagRun = self["dag_run"]
        return values_for_run(specs, run.conf)


def build_context(
    current: CurrentAttempt,
    dag: DagFace,
    task: BaseOperator,
    *,
    test_mode: bool = False,
    configuration: object = None,
) -> Context:
    """The context of an attempt. `configuration` is what templates find as `conf` (default: the environment's)."""
    return Context(current, dag, task, test_mode=test_mode, configuration=configuration)


def _configuration() -> Any:
    """The whole configuration, read when a template first asks for it. By name: compat stands beside the layers."""
    return pkgutil.resolve_name("tradewind.compat.configuration:conf")


def _dashless(text: str | None) -> str | None:
    return None if text is None else text.replace("-", "")


def _day(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%d")


def _optional(at: datetime | None) -> Any:
    return None if at is None else moment(at)


def _task_instance(c: Context) -> Any:
    from tradewind.authoring.task_instance import TaskInstance

    return TaskInstance(c.current, c.the_task, c["dag_run"])


def _asset_events() -> Any:
    from tradewind.authoring import asset_events

    return asset_events


def _state_stores() -> Any:
    from tradewind.authoring import state_stores

    return state_stores


def _macros(_: Context) -> Any:
    from tradewind.authoring import macros

    return macros


def _connections(_: Context) -> Any:
    from tradewind.authoring.connection import ConnectionAccessor

    return ConnectionAccessor()


def _variables(_: Context) -> dict[str, VariableAccessor]:
    return {"json": VariableAccessor(as_json=True), "value": VariableAccessor(as_json=False)}


def _listed(items: Any) -> list[Any]:
    if items is None:
        return []
    if isinstance(items, (list, tuple)):
        return list(cast("Sequence[object]", items))
    return [items]


def _key_text(c: Context) -> str:
    return f"{c.attempt.run.dag_id}__{c.attempt.key.task_id}__{c['ds_nodash']}"


def _success(field: str) -> Callable[[Context], Any]:
    def make(c: Context) -> Any:
        row = c.last_success()
        return None if row is None else _optional(getattr(row, field))

    return make


ASKS_THE_SYSTEM: Final = frozenset(
    {
        "prev_data_interval_start_success",
        "prev_data_interval_end_success",
        "prev_start_date_success",
        "prev_end_date_success",
        "prev_execution_date_success",
    }
)
"""Entries whose value is asked for by a round trip to the system."""

TRIGGERING: Final = frozenset({"triggering_asset_events", "triggering_dataset_events"})
"""Entries whose content is asked for by a round trip when it is first looked at."""

_MAKERS: Final[Mapping[str, Callable[[Context], Any]]] = MappingProxyType(
    {
        "asset_state_store": lambda c: _state_stores().AssetStateStores(c.current, c["inlets"], c["outlets"]),
        "conf": lambda c: c.configuration or _configuration(),
        "conn": _connections,
        "dag": lambda c: c.source_dag,
        "dag_run": lambda c: DagRun(c.attempt.run),
        "data_interval_end": lambda c: moment(c.attempt.run.interval_end),
        "data_interval_start": lambda c: moment(c.attempt.run.interval_start),
        "ds": lambda c: c.day(0),
        "ds_nodash": lambda c: _dashless(c["ds"]),
        "execution_date": lambda c: c["logical_date"],
        "expanded_ti_count": lambda _: None,
        "inlet_events": lambda c: _asset_events().InletEvents(c.current, c["inlets"]),
        "inlets": lambda c: _listed(c.the_task.inlets),
        "logical_date": lambda c: moment(c.attempt.run.logical_date),
        "macros": _macros,
        "map_index_template": lambda c: getattr(c.the_task, "map_index_template", None),
        "next_ds": lambda c: _day(c["next_execution_date"]),
        "next_ds_nodash": lambda c: _dashless(c["next_ds"]),
        "next_execution_date": lambda c: c.next_date(),
        "outlet_events": lambda c: _asset_events().OutletEvents(c["outlets"]),
        "outlets": lambda c: _listed(c.the_task.outlets),
        "params": lambda c: c.params(),
        "partition_date": lambda c: c["dag_run"].partition_date,
        "partition_key": lambda c: c.attempt.run.run_key,
        "prev_data_interval_end_success": _success("interval_end"),
        "prev_data_interval_start_success": _success("interval_start"),
        "prev_ds": lambda c: _day(c["prev_execution_date"]),
        "prev_ds_nodash": lambda c: _dashless(c["prev_ds"]),
        "prev_end_date_success": _success("ended_at"),
        "prev_execution_date": lambda c: c.previous_date(),
        "prev_execution_date_success": lambda c: c.previous_success_date(),
        "prev_start_date_success": _success("started_at"),
        "run_id": lambda c: c.attempt.run.dag_run_id,
        "task": lambda c: c.the_task,
        "task_instance": lambda c: c["ti"],
        "task_state_store": lambda c: _state_stores().TaskStateStore(c.current),
        "task_instance_key_str": _key_text,
        "templates_dict": lambda c: getattr(c.the_task, "templates_dict", None) or {},
        "test_mode": lambda c: c.test_mode,
        "ti": _task_instance,
        "tomorrow_ds": lambda c: c.day(1),
        "tomorrow_ds_nodash": lambda c: _dashless(c["tomorrow_ds"]),
        "triggering_asset_events": lambda c: _asset_events().TriggeringEvents(c.current, by_uri=False),
        "triggering_dataset_events": lambda c: _asset_events().TriggeringEvents(c.current, by_uri=True),
        "ts": lambda c: c["logical_date"].isoformat(),
        "ts_nodash": lambda c: c["logical_date"].strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": lambda c: c["ts"].replace("-", "").replace(":", ""),
        "var": _variables,
        "yesterday_ds": lambda c: c.day(-1),
        "yesterday_ds_nodash": lambda c: _dashless(c["yesterday_ds"]),
    }
)
