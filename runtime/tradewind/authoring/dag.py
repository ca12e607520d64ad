"""`DAG`: the graph of tasks that a file defines, with its schedule."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, Self, TypedDict, Unpack, cast

from tradewind.authoring.arguments import Callback, Callbacks, callbacks, reject_unknown
from tradewind.authoring.asset_uses import uses_of
from tradewind.authoring.asset_watchers import watchers_of
from tradewind.authoring.dag_arguments import check_dag_arguments
from tradewind.authoring.deadlines import DeadlineAlert, deadlines
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.ids import check_key
from tradewind.authoring.instants import duration, instant, zone_named
from tradewind.authoring.nodes import DagContainer, Dependency, TaskNode
from tradewind.authoring.open_partials import never_expanded
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.ordering import check_cycle, topological
from tradewind.authoring.params import ParamsDict
from tradewind.authoring.scheduled import Scheduled, active_runs_limit_of
from tradewind.authoring.scope import enter_scope, leave_scope, note_dag
from tradewind.authoring.serialize import dag_to_spec
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import AuthoringError, DuplicateTaskIdError, NotFoundError
from tradewind.model.specs import DagSpec
from tradewind.model.states import TriggerRule

_FROM_A_START: Final = frozenset({"@once", "@continuous"})
"""Presets that say nothing of moments."""


class DagSettings(TypedDict, total=False):
    """Arguments of `DAG` and `@dag` beside the id and the description."""

    schedule: Any
    """A cron text, a preset such as `@daily`, a timedelta, a relativedelta, a timetable, or None."""
    schedule_interval: Any
    timetable: Any
    start_date: datetime | date | str | None
    end_date: datetime | date | str | None
    timezone: tzinfo | str | None
    catchup: bool
    max_active_runs: int
    max_active_tasks: int
    concurrency: int
    dagrun_timeout: timedelta | float | None
    default_args: Mapping[str, Any] | None
    params: Mapping[str, Any] | None
    tags: Collection[str] | None
    doc_md: str | None
    dag_display_name: str | None
    is_paused_upon_creation: bool | None
    fail_stop: bool
    fail_fast: bool
    on_success_callback: Callbacks | None
    on_failure_callback: Callbacks | None
    sla_miss_callback: Callbacks | None
    email: str | Sequence[str] | None
    """As `email` in `default_args`: who gets mail about tasks that say nothing themselves."""
    deadline: DeadlineAlert | Sequence[DeadlineAlert] | None
    template_searchpath: str | Iterable[str] | None
    template_undefined: Any
    render_template_as_native_obj: bool
    user_defined_macros: Mapping[str, Any] | None
    user_defined_filters: Mapping[str, Callback] | None
    jinja_environment_kwargs: Mapping[str, Any] | None
    default_view: str
    orientation: str
    access_control: Mapping[str, Any] | None
    owner_links: Mapping[str, str] | None
    auto_register: bool
    max_consecutive_failed_dag_runs: int


_UNSET: Any = object()


class DAG(Scheduled):
    """`with DAG("launches", schedule="@daily", start_date="2026-01-01"):` and tasks inside.

    A schedule needs a start date. Dates without a zone are in `timezone`, by default the configured
    one; the schedule is computed in the zone of the start date. Raises AuthoringError, while the
    file is imported, for arguments that cannot be.
    """

    is_subdag: bool = False
    """Its tasks have become a group of another DAG (`SubDagOperator`): it is none of its file's DAGs."""

    def __init__(self, dag_id: str, description: str | None = None, **settings: Unpack[DagSettings]) -> None:
        self.dag_id = check_key(dag_id, "dag_id")
        self.description = description
        given = cast("dict[str, Any]", settings)
        unknown = given.keys() - DagSettings.__annotations__.keys()
        if unknown:
            reject_unknown(unknown, DagSettings.__annotations__, f"DAG {dag_id!r}")
        check_dag_arguments({**given, "description": description}, dag_id)
        self.fileloc = _defining_file(self)
        defaults = dict(given.get("default_args") or {})
        shared_params: object = defaults.pop("params", None)
        if given.get("email"):
            defaults.setdefault("email", given["email"])
        self.default_args = defaults
        self._tasks: dict[str, BaseOperator] = {}
        self._edge_labels: dict[tuple[str, str], str] = {}
        self._group = TaskGroup(None, dag=self)
        self._set_dates(given)
        self._set_schedule(given)
        self._set_limits(given)
        self._set_words(given)
        self._set_templating(given)
        shared = cast("Mapping[str, Any] | None", shared_params)
        self.params = ParamsDict(given.get("params")).merged(ParamsDict(shared))

    def _where(self, name: str) -> str:
        return f"DAG {self.dag_id!r}: {name}"

    def _set_dates(self, given: dict[str, Any]) -> None:
        zone: object = given.get("timezone")
        named = zone_named(zone, self._where("timezone")) if isinstance(zone, str) else cast("tzinfo | None", zone)
        start = given.get("start_date") or self.default_args.get("start_date")
        end = given.get("end_date") or self.default_args.get("end_date")
        self.start_date = None if start is None else instant(start, self._where("start_date"), named)
        started_in = self.start_date.tzinfo if self.start_date is not None else None
        zone_of_end = named or started_in
        self.end_date = None if end is None else instant(end, self._where("end_date"), zone_of_end)
        default = current_defaults().timezone
        self._timezone = named or started_in or (UTC if default == "UTC" else zone_named(default, "default time zone"))
        if self.start_date is not None and self.end_date is not None and self.end_date < self.start_date:
            raise AuthoringError(
                f"DAG {self.dag_id!r}: end_date {self.end_date.isoformat()} lies before "
                f"start_date {self.start_date.isoformat()}"
            )

    def _set_schedule(self, given: dict[str, Any]) -> None:
        spellings = [name for name in ("schedule", "schedule_interval", "timetable") if given.get(name) is not None]
        if len(spellings) > 1:
            raise AuthoringError(f"DAG {self.dag_id!r}: {' and '.join(spellings)} are given; keep one, best `schedule`")
        self.schedule: Any = given[spellings[0]] if spellings else None
        if isinstance(self.schedule, str) or hasattr(self.schedule, "days"):  # cron texts and timedeltas
            self._set_intervals(self.fileloc)
        if self.schedule is not None and self.start_date is None and self._needs_start(given.get("catchup")):
            raise AuthoringError(
                f"DAG {self.dag_id!r} is missing the start_date parameter: schedule {self.schedule!r} needs a moment "
                "to start from; give start_date=, or schedule=None for a DAG that only runs when triggered"
            )

    def _needs_start(self, catchup: bool | None) -> bool:
        """Whether the schedule says nothing without a start date; timetables and assets know for themselves.

        Intervals are counted from it, and so is what is to be made up for. Moments just come.
        """
        if isinstance(self.schedule, str):
            counted = self._cron_intervals or self.schedule.strip().lower() in _FROM_A_START
        elif isinstance(self.schedule, timedelta) or type(self.schedule).__name__ == "relativedelta":
            counted = self._delta_intervals
        else:
            return False
        return counted or bool(current_defaults().catchup if catchup is None else catchup)

    def _set_limits(self, given: dict[str, Any]) -> None:
        defaults = current_defaults()
        catchup: bool | None = given.get("catchup")
        self.catchup: bool = defaults.catchup if catchup is None else catchup
        self.max_active_runs = self._runs_at_once(given, defaults.max_active_runs)
        name = "concurrency" if "concurrency" in given else "max_active_tasks"
        self.max_active_tasks = self._count(given, name, defaults.max_active_tasks)
        self.max_consecutive_failed_dag_runs = defaults.max_consecutive_failed_dag_runs
        if given.get("max_consecutive_failed_dag_runs"):  # 0 and None: the default
            self.max_consecutive_failed_dag_runs = self._count(given, "max_consecutive_failed_dag_runs", 1)
        limit = given.get("dagrun_timeout")
        self.dagrun_timeout = None if limit is None else duration(limit, self._where("dagrun_timeout"))
        self.fail_stop: bool = bool(given.get("fail_stop") or given.get("fail_fast"))
        self.is_paused_upon_creation: bool | None = given.get("is_paused_upon_creation")

    def _runs_at_once(self, given: dict[str, Any], default: int) -> int:
        """`max_active_runs`: what was given, or as many as the schedule can have. Raises AuthoringError for more."""
        limit = active_runs_limit_of(self.schedule)
        allowed = self._count(given, "max_active_runs", default if limit is None else min(limit, default))
        if limit is not None and allowed > limit:
            runs = "one run" if limit == 1 else f"at most {limit} runs"
            raise AuthoringError(
                f"{self._where('max_active_runs')}: {allowed} does not fit the schedule: {self.schedule!r} has {runs} "
                "at a time; leave the argument out"
            )
        return allowed

    def _count(self, given: dict[str, Any], name: str, default: int) -> int:
        value = given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise AuthoringError(
                f"{self._where(name)}: a whole number from 1 is needed, not {value!r}; to stop a DAG, pause it"
            )
        return value

    def _set_words(self, given: dict[str, Any]) -> None:
        self.tags = {str(tag) for tag in given.get("tags") or ()}
        self.doc_md: str | None = given.get("doc_md")
        self.dag_display_name: str = given.get("dag_display_name") or self.dag_id
        self.owner_links = dict(given.get("owner_links") or {})
        self.access_control = given.get("access_control")
        self.on_success_callback = callbacks(given.get("on_success_callback"), self._where("on_success_callback"))
        self.on_failure_callback = callbacks(given.get("on_failure_callback"), self._where("on_failure_callback"))
        self.sla_miss_callback = callbacks(given.get("sla_miss_callback"), self._where("sla_miss_callback"))
        self.deadlines: tuple[DeadlineAlert, ...] = deadlines(given.get("deadline"), self._where("deadline"))
        self.auto_register: bool = given.get("auto_register", True)

    def _set_templating(self, given: dict[str, Any]) -> None:
        paths: str | Iterable[str] = given.get("template_searchpath") or ()
        self.template_searchpath: tuple[str, ...] = (paths,) if isinstance(paths, str) else tuple(map(str, paths))
        self.template_undefined: Any = given.get("template_undefined")
        self.render_template_as_native_obj: bool = bool(given.get("render_template_as_native_obj"))
        self.user_defined_macros: dict[str, Any] = dict(given.get("user_defined_macros") or {})
        self.user_defined_filters: dict[str, Any] = dict(given.get("user_defined_filters") or {})
        self.jinja_environment_kwargs: dict[str, Any] = dict(given.get("jinja_environment_kwargs") or {})

    # ------------------------------------------------------------------ tasks and groups

    @property
    def task_dict(self) -> dict[str, BaseOperator]:
        """All tasks by id, in order of definition."""
        return self._tasks

    @property
    def tasks(self) -> list[BaseOperator]:
        """All tasks, in order of definition."""
        return list(self._tasks.values())

    @property
    def task_ids(self) -> list[str]:
        """Ids of all tasks, in order of definition."""
        return list(self._tasks)

    @property
    def task_count(self) -> int:
        """How many tasks there are."""
        return len(self._tasks)

    @property
    def task_group(self) -> TaskGroup:
        """The DAG's own, nameless group."""
        return self._group

    @property
    def task_group_dict(self) -> dict[str, TaskGroup]:
        """All named groups by full id."""
        return {group.node_id: group for group in self._group.groups()}

    def add_task(self, task: TaskNode) -> None:
        """Takes a task in. Raises DuplicateTaskIdError where its id is taken."""
        if not isinstance(task, BaseOperator):
            raise AuthoringError(f"DAG {self.dag_id!r}: {task!r} is no operator")
        if self._tasks.get(task.task_id) is task:
            return
        if task.dag is not None and task.dag is not self:
            raise AuthoringError(f"task {task.task_id!r} belongs to DAG {task.dag.dag_id!r}, not to {self.dag_id!r}")
        if task.task_id in self._tasks:
            raise DuplicateTaskIdError(
                f"DAG {self.dag_id!r}: the task id {task.task_id!r} has already been added to the DAG; ids are unique"
            )
        (task.task_group or self._group).add(task)
        task.dag = self
        self._tasks[task.task_id] = task

    def add_tasks(self, tasks: Iterable[TaskNode]) -> None:
        """Takes several tasks in."""
        for task in tasks:
            self.add_task(task)

    def get_task(self, task_id: str) -> BaseOperator:
        """The task. Raises NotFoundError."""
        task = self._tasks.get(task_id)
        if task is None:
            raise NotFoundError(f"Task {task_id} not found: DAG {self.dag_id!r} has no task with this id")
        return task

    def has_task(self, task_id: str) -> bool:
        """Whether there is such a task."""
        return task_id in self._tasks

    def set_dependency(self, upstream_task_id: str, downstream_task_id: str) -> None:
        """Draws an edge between two tasks by id. Raises NotFoundError."""
        self.get_task(upstream_task_id).set_downstream(self.get_task(downstream_task_id))

    @property
    def roots(self) -> list[BaseOperator]:
        """Tasks with nothing upstream."""
        return [task for task in self._tasks.values() if not task.upstream_task_ids]

    @property
    def leaves(self) -> list[BaseOperator]:
        """Tasks with nothing downstream."""
        return [task for task in self._tasks.values() if not task.downstream_task_ids]

    def topological_sort(self) -> tuple[BaseOperator, ...]:
        """All tasks as views list them: upstream first, members of a group together."""
        return cast("tuple[BaseOperator, ...]", tuple(topological(self._group, self._tasks)))

    @property
    def edge_labels(self) -> Mapping[tuple[str, str], str]:
        """Texts on edges, by (upstream id, downstream id); ids of group joins included."""
        return self._edge_labels

    def set_edge_info(self, upstream_id: str, downstream_id: str, label: str) -> None:
        """Puts a text on an edge of the drawing."""
        self._edge_labels[(upstream_id, downstream_id)] = label

    def get_edge_info(self, upstream_task_id: str, downstream_task_id: str) -> dict[str, str]:
        """`{"label": …}` of an edge, or an empty dict."""
        label = self._edge_labels.get((upstream_task_id, downstream_task_id))
        return {} if label is None else {"label": label}

    def __rrshift__(self, other: Dependency) -> None:
        raise AuthoringError(f"DAG {self.dag_id!r}: `task >> dag` is not possible; make the task inside `with dag:`")

    # ------------------------------------------------------------------ schedule

    @property
    def timezone(self) -> tzinfo:
        """The zone that the schedule is computed in."""
        return self._timezone

    # ------------------------------------------------------------------ the whole

    @property
    def folder(self) -> str:
        """Folder of the file that defines the DAG."""
        return str(Path(self.fileloc).parent)

    @property
    def owner(self) -> str:
        """Owners of the tasks, as one text."""
        return ", ".join(sorted({task.owner for task in self._tasks.values()}))

    @property
    def container(self) -> DagContainer:
        """The DAG itself."""
        return self

    @property
    def root(self) -> TaskGroup:
        """The DAG's own, nameless group."""
        return self._group

    def spec_settings(self) -> Mapping[str, Any]:
        """The settings as fields of `DagSpec`."""
        named = (("on_success", self.on_success_callback), ("on_failure", self.on_failure_callback))
        extra: dict[str, Any] = {}
        if self.owner_links:
            extra["owner_links"] = self.owner_links
        if self.max_consecutive_failed_dag_runs:
            extra["max_consecutive_failed_dag_runs"] = self.max_consecutive_failed_dag_runs
        if self.sla_miss_callback:
            extra["sla_miss_callback"] = True
        if self.deadlines:
            extra["deadlines"] = [alert.to_spec() for alert in self.deadlines]
        return {
            "catchup": self.catchup,
            "max_active_runs": self.max_active_runs,
            "max_active_tasks": self.max_active_tasks,
            "dagrun_timeout": None if self.dagrun_timeout is None else self.dagrun_timeout.total_seconds(),
            "fail_stop": self.fail_stop,
            "is_paused_upon_creation": self.is_paused_upon_creation,
            "tags": tuple(sorted(self.tags)),
            "description": self.description,
            "display_name": None if self.dag_display_name == self.dag_id else self.dag_display_name,
            "doc_md": self.doc_md,
            "callbacks": tuple(name for name, functions in named if functions),
            "extra": extra,
            "assets": uses_of(self.timetable, self._tasks),
            "watchers": watchers_of(self.timetable, self._tasks, self),
        }

    def to_spec(self) -> DagSpec:
        """The serialized form. Raises AuthoringError where the DAG cannot be."""
        return dag_to_spec(self)

    def check(self) -> None:
        """Raises AuthoringError for circles, setups, rules and params that cannot be."""
        forgotten = never_expanded(self)
        if forgotten:
            names = ", ".join(forgotten)
            raise AuthoringError(
                f"DAG {self.dag_id!r}: {names} was never mapped: .partial() without .expand() makes no task"
            )
        check_cycle(self.dag_id, self._tasks)
        stoppable = (TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE_SETUP_SUCCESS)
        for task in self._tasks.values():
            if task.is_setup:
                self._check_setup(task)
            if self.fail_stop and task.trigger_rule not in stoppable:
                raise AuthoringError(
                    f"DAG {self.dag_id!r}: task {task.task_id!r} has trigger_rule {task.trigger_rule.value!r}; "
                    "with fail_stop every task needs 'all_success'"
                )
        if self.timetable_spec().can_be_scheduled and self.params:
            self._check_params()

    validate = check

    def test_cycle(self) -> bool:
        """False where there is no circle. Raises DagCycleError, showing it, where there is one."""
        check_cycle(self.dag_id, self._tasks)
        return False

    def _check_setup(self, setup: BaseOperator) -> None:
        for task_id in sorted(setup.downstream_task_ids):
            task = self._tasks[task_id]
            if not task.is_teardown and task.trigger_rule is not TriggerRule.ALL_SUCCESS:
                raise AuthoringError(
                    f"DAG {self.dag_id!r}: task {task_id!r} follows the setup {setup.task_id!r} and has trigger_rule "
                    f"{task.trigger_rule.value!r}; Setup tasks must be followed with trigger rule ALL_SUCCESS"
                )

    def _check_params(self) -> None:
        for name, param in self.params.params():
            try:
                param.resolve(name=name)
            except AuthoringError as why:
                raise type(why)(
                    f"DAG {self.dag_id!r}: {why}. Scheduled runs use the defaults, so each has to fit "
                    "(or take the schedule away)"
                ) from why

    def test(  # noqa: PLR0913 - Airflow's arguments, by name
        self,
        conf: Mapping[str, Any] | datetime | None = None,
        logical_date: datetime | Mapping[str, Any] | None = None,
        *,
        execution_date: datetime | None = None,
        run_conf: Mapping[str, Any] | None = None,
        conn_file_path: str | None = None,
        variable_file_path: str | None = None,
        use_executor: bool = False,
        mark_success_pattern: re.Pattern[str] | str | None = None,
        run_after: datetime | None = None,
        session: object = None,
    ) -> Any:
        """Runs the DAG once, without database or server, and returns what came of it: a `tradewind.trial.TrialReport`.

        Args:
            conf: what the run is to know. By position, it and the date may come in either order.
            logical_date: by default now.
            execution_date: Airflow's old name of the date.
            run_conf: Airflow's name of the conf.
            conn_file_path: a file (JSON, YAML or env) of connections, which is asked before all others.
            variable_file_path: the same for variables.
            use_executor: tasks run as they do in production, sync ones in processes of their own that load the DAG's
                file. By default all run in this process, where a debugger sees them.
            mark_success_pattern: tasks whose whole id matches this regular expression are marked as success and do
                not run.
            run_after: the moment that tasks see as the run's `run_after`; by default the logical date.
            session: for scripts that hand one over; there is no database to use it on.

        Raises:
            AuthoringError: an argument is of the wrong kind, or executors cannot be used. ParamValidationError: the
            conf does not fit the DAG's params.
        """
        run: Any = pkgutil.resolve_name("tradewind.trial:run_dag")
        return run(
            self,
            conf,
            logical_date,
            execution_date=execution_date,
            run_conf=run_conf,
            conn_file_path=conn_file_path,
            variable_file_path=variable_file_path,
            use_executor=use_executor,
            mark_success_pattern=mark_success_pattern,
            run_after=run_after,
        )

    def __enter__(self) -> Self:
        enter_scope(self, self._group)
        return self

    def __exit__(self, failure: object, *exc: object) -> None:
        leave_scope()
        if failure is None and self.auto_register:
            note_dag(self)

    def __repr__(self) -> str:
        return f"<DAG: {self.dag_id}>"


def _defining_file(dag: DAG) -> str:
    """The file whose code is making the DAG: the nearest caller that is neither here nor a subclass's constructor."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_code.co_filename == __file__
        or (frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is dag)
    ):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""
