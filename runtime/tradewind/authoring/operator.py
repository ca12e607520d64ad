"""`BaseOperator`: one task of a DAG, and the code that it runs."""

from __future__ import annotations

import functools
import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NoReturn, Protocol, Self, Unpack, cast

from tradewind.authoring.arguments import (
    CHECKS,
    IGNORED,
    OLD_SPELLINGS,
    Callback,
    OperatorArguments,
    OwnList,
    reject_unknown,
)
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.deferral import TaskDeferred, check_method, go_on, start_here
from tradewind.authoring.expand_input import Mappable, MappableKwargs
from tradewind.authoring.ids import check_key
from tradewind.authoring.nodes import DagContainer, GroupNode, TaskNode
from tradewind.authoring.params import ParamsDict
from tradewind.authoring.retry_policy import RetryPolicy
from tradewind.authoring.scope import current_dag, group_for, is_detached
from tradewind.authoring.setup_scope import add_to_open_block, close_block, join_open_block, open_block
from tradewind.authoring.triggers import BaseTrigger, StartTriggerArgs
from tradewind.authoring.xcom_arg import XComArg, iter_args, iter_xcom_refs, resolve
from tradewind.model.errors import AuthoringError
from tradewind.model.states import TriggerRule

OutcomeForm = Literal["value", "branch", "short_circuit", "sensor"]

_NO_PARAMS: Final = ParamsDict()
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_PLACES: Final = frozenset({"task_id", "dag", "task_group", "default_args"})
_UNSET: Any = object()


class Partial(Protocol):
    """Arguments that wait for those that are mapped over."""

    def expand(self, **lists: Mappable) -> BaseOperator:
        """A task for each combination of the values."""
        ...

    def expand_kwargs(self, kwargs: MappableKwargs, *, strict: bool = True) -> BaseOperator:
        """A task for each dict of arguments. `strict=False`: they may replace those that are there."""
        ...


class BaseOperator(TaskNode):
    """A task: what `execute` does, and when and how it may run.

    Subclass it, keep your own arguments as attributes, hand the rest to `super().__init__`, and
    define `execute(self, context)`; an `async def execute` runs as a coroutine on the event loop,
    a plain one in a process of its own. What it returns becomes the task's XCom. Attributes
    named in `template_fields` are rendered before each run; those whose text ends in one of
    `template_ext` are read from that file first.

    Raises AuthoringError, while the DAG file is imported, for any argument that cannot be.
    """

    template_fields: Sequence[str] = ()
    template_ext: Sequence[str] = ()
    template_fields_renderers: ClassVar[Mapping[str, str]] = _NOTHING
    ui_color: str = "#fff"
    ui_fgcolor: str = "#000"
    outcome_kind: ClassVar[OutcomeForm] = "value"
    """What the worker makes of the result: a value, or a choice that it turns into skips."""
    inherits_from_empty_operator: ClassVar[bool] = False
    operator_name: str = ""
    own_arguments: ClassVar[frozenset[str]] = frozenset(OperatorArguments.__annotations__) - _PLACES
    """Arguments that the class's constructor takes inside `**arguments`, for `default_args`."""

    owner: str = "airflow"
    start_date: datetime | None = None
    end_date: datetime | None = None
    depends_on_past: bool = False
    ignore_first_depends_on_past: bool = True
    wait_for_past_depends_before_skipping: bool = False
    wait_for_downstream: bool = False
    retries: int = 0
    retry_delay: timedelta = timedelta(seconds=300)
    retry_exponential_backoff: bool = False
    max_retry_delay: timedelta | None = None
    execution_timeout: timedelta | None = None
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    priority_weight: int = 1
    weight_rule: str = "downstream"
    pool: str = "default_pool"
    pool_slots: int = 1
    queue: str = "default"
    executor: str | None = None
    executor_config: Mapping[str, Any] = _NOTHING
    max_active_tis_per_dag: int | None = None
    max_active_tis_per_dagrun: int | None = None
    params: ParamsDict = _NO_PARAMS
    do_xcom_push: bool = True
    multiple_outputs: bool = False
    on_execute_callback: tuple[Callback, ...] = ()
    on_success_callback: tuple[Callback, ...] = ()
    on_failure_callback: tuple[Callback, ...] = ()
    on_retry_callback: tuple[Callback, ...] = ()
    on_skipped_callback: tuple[Callback, ...] = ()
    retry_policy: RetryPolicy | None = None
    on_lost: str = "retry"
    max_lost: int = 3
    exclusive: bool = False
    durable: bool = False
    """Whether an async task is ended where it waits, and executed again from its top when it goes on."""
    on_failure_fail_dagrun: bool = False
    sla: timedelta | None = None
    email: str | Sequence[str] | None = None
    email_on_retry: bool = True
    email_on_failure: bool = True
    inlets: Any = OwnList()
    outlets: Any = OwnList()
    run_as_user: str | None = None
    doc: str | None = None
    doc_md: str | None = None
    doc_json: str | None = None
    doc_yaml: str | None = None
    doc_rst: str | None = None
    task_display_name: str | None = None
    map_index_template: str | None = None
    logger_name: str | None = None
    allow_nested_operators: bool = True
    start_from_trigger: bool = False
    """Whether each try begins with the trigger of `start_trigger_args`, without an attempt before it."""
    start_trigger_args: StartTriggerArgs | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            _give_defaults(cls)

    def __init__(self, **arguments: Unpack[OperatorArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        if "task_id" not in given:
            _reject_missing(type(self), frozenset({"task_id"}), given)
        self.task_id = check_key(given["task_id"], f"{type(self).__name__}: task_id")
        dag: DagContainer | None = given.get("dag")
        group: GroupNode | None = given.get("task_group")
        if dag is None:
            dag = group.dag if group is not None else current_dag()
        group = group or group_for(dag)
        kept = vars(self)
        unknown: list[str] = []
        for name, value in given.items():
            if name in _PLACES or name in IGNORED:
                continue
            name = OLD_SPELLINGS.get(name, name)
            check = CHECKS.get(name)
            if check is None:
                unknown.append(name)
            else:
                kept[name] = check(value, f"{type(self).__name__} {self.task_id!r}: {name}")
        if unknown:
            reject_unknown(unknown, OperatorArguments.__annotations__, self._described(dag))
        self.upstream_task_ids = set()
        self.downstream_task_ids = set()
        if group is not None:
            self.task_id = group.child_id(self.task_id)
        if dag is not None:
            self._join(dag, group)
        join_open_block(self)

    # ------------------------------------------------------------------ what subclasses define

    def execute(self, context: Any) -> Any:
        """Does the work; `context` maps the names of templates to their values. Plain or async.

        A class with `start_trigger_args` may leave it out: its tasks begin with the wait.
        """
        if self.start_trigger_args is not None:
            raise start_here(self, self.start_trigger_args, lambda given: self.render_template(given, context))
        raise NotImplementedError(
            f"{type(self).__name__} defines no execute(): write `def execute(self, context)`, or `async def`, with the "
            "work of its tasks"
        )

    def pre_execute(self, context: Any) -> None:
        """Called just before `execute`, after rendering."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Called just after `execute` with what it returned."""

    def on_kill(self) -> None:
        """Called when the task is stopped from outside or runs out of time: end what it started elsewhere."""

    def defer(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str,
        kwargs: Mapping[str, Any] | None = None,
        timeout: timedelta | float | None = None,
    ) -> NoReturn:
        """Ends the attempt and waits for the trigger, holding neither slot nor process.

        Then the method of that name is called, with the context, `kwargs` and the payload of the trigger's `event`.
        Raises TaskDeferred, which has to leave `execute`; AuthoringError where there is no such method, or one that
        does not take `event` and `kwargs`.
        """
        deferred = TaskDeferred(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=timeout)
        check_method(self, method_name, deferred.kwargs)
        raise deferred

    def resume_execution(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Any) -> Any:
        """Called when the wait of a deferred task is over: calls the method. What it returns may be awaitable.

        Raises TaskDeferralError where the trigger has failed, TaskDeferralTimeout where it took too long.
        """
        return go_on(self, next_method, next_kwargs, context)

    # ------------------------------------------------------------------ for the worker

    @property
    def is_async(self) -> bool:
        """Whether `execute` is a coroutine function."""
        return _is_coroutine_function(type(self).execute)

    def shallow_copy_for_run(self) -> Self:
        """A light copy for one attempt: its attributes can be rendered and changed, the DAG's stay as written."""
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def xcom_refs(self) -> list[XComArg]:
        """What the template fields need of other tasks at run time, each once."""
        return list(dict.fromkeys(ref for arg in self._args() for ref in arg.pulled()))

    def _args(self) -> Iterator[XComArg]:
        for name in self.template_fields:
            value = getattr(self, name, None)
            if value is not None and type(value) is not str:
                yield from iter_args(value)

    def resolve_inputs(self, values: Mapping[XComArg, object]) -> None:
        """Puts values in the place of the references in the template fields.

        Call it after rendering: the values of other tasks are data, never templates.
        """
        for name in self.template_fields:
            value = getattr(self, name, None)
            if value is not None and type(value) is not str:
                resolved = resolve(value, values.__getitem__)
                if resolved is not value:
                    setattr(self, name, resolved)

    def render_template_fields(self, context: Mapping[str, Any], jinja_env: Any = None) -> None:
        """Renders the template fields in place: of a copy, never of the DAG's own operator.

        A class that replaces it is asked instead, before each run.
        """
        self._do_render_template_fields(self, self.template_fields, context, jinja_env)

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Mapping[str, Any], jinja_env: Any = None, *_: Any
    ) -> None:
        """What classes that render in their own way call, by the name that Airflow gives it."""
        from tradewind.authoring.templating import render_fields

        render_fields(parent, context, names=template_fields, environment=jinja_env)

    def render_template(self, content: Any, context: Mapping[str, Any], jinja_env: Any = None) -> Any:
        """Any value rendered as the task's template fields are; errors are those of Jinja."""
        from tradewind.authoring.templating import Renderer

        return Renderer(jinja_env or self.get_template_env(), context, self.template_ext).render(content)

    def get_template_env(self) -> Any:
        """The Jinja environment of the task's DAG. Raises AuthoringError where it has none."""
        from tradewind.authoring.templating import environment_for

        if self.dag is None:
            raise AuthoringError(f"task {self.task_id!r} belongs to no DAG, whose settings templates need")
        dag: Any = self.dag
        return environment_for(dag)

    # ------------------------------------------------------------------ what authors use

    @classmethod
    def partial(cls, **arguments: Any) -> Partial:
        """The arguments that all instances of a mapped task have in common; `.expand(…)` on it makes the task."""
        made: Partial = pkgutil.resolve_name("tradewind.authoring.mapped:OperatorPartial")(cls, arguments)
        return made

    @property
    def output(self) -> XComArg:
        """The future return value, to hand to other tasks."""
        return XComArg(self)

    @property
    def task_type(self) -> str:
        """Name of the operator's class, as lists and colours show it."""
        return self.operator_name or type(self).__name__

    def run(self, start_date: datetime | None = None, end_date: datetime | None = None, **options: Any) -> Any:
        """Runs this task alone, in this process, for each date of its DAG's schedule; as `tradewind.trial.run_task`."""
        run: Any = pkgutil.resolve_name("tradewind.trial:run_task")
        return run(self, start_date, end_date, **options)

    @staticmethod
    def xcom_push(context: Mapping[str, Any], key: str, value: Any, execution_date: object = None) -> None:
        """`ti.xcom_push` by the way of the context, as operators for Airflow 2 do."""
        del execution_date
        context["ti"].xcom_push(key=key, value=value)

    @staticmethod
    def xcom_pull(context: Mapping[str, Any], task_ids: Any = None, **what: Any) -> Any:
        """`ti.xcom_pull` by the way of the context, as operators for Airflow 2 do."""
        what.pop("session", None)
        return context["ti"].xcom_pull(task_ids=task_ids, **what)

    @property
    def dag_display_name(self) -> str:
        """Id of the DAG."""
        return self.dag_id

    @property
    def log(self) -> logging.Logger:
        """The task's logger; inside an attempt it writes to the attempt's log."""
        return logging.getLogger(self.logger_name or f"tradewind.task.{type(self).__module__}.{type(self).__name__}")

    def as_setup(self) -> Self:
        """Marks the task as a setup: made before the work, cleaned up by its teardowns."""
        if self.is_teardown:
            raise AuthoringError(f"task {self.task_id!r} is a teardown and cannot be a setup too")
        self.is_setup = True
        return self

    def as_teardown(
        self,
        *,
        setups: TaskNode | XComArg | Iterable[TaskNode | XComArg] = _UNSET,
        on_failure_fail_dagrun: bool = _UNSET,
    ) -> Self:
        """Marks the task as a teardown: it runs once its setups succeeded and the work is done, well or badly.

        `setups` are marked as such and put directly upstream. A teardown's failure fails the run
        only with `on_failure_fail_dagrun=True`.
        """
        if self.is_setup:
            raise AuthoringError(f"task {self.task_id!r} is a setup and cannot be a teardown too")
        if self.trigger_rule not in (TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE_SETUP_SUCCESS):
            raise AuthoringError(f"task {self.task_id!r}: a teardown has its own trigger rule; leave trigger_rule out")
        self.is_teardown = True
        self.trigger_rule = TriggerRule.ALL_DONE_SETUP_SUCCESS
        if on_failure_fail_dagrun is not _UNSET:
            self.on_failure_fail_dagrun = on_failure_fail_dagrun
        if setups is not _UNSET:
            for setup in _tasks_of(setups):
                setup.is_setup = True
                setup.set_downstream(self)
        return self

    def __enter__(self) -> Self:
        open_block([self])
        return self

    def __exit__(self, *exc: object) -> None:
        close_block()

    @staticmethod
    def add_task(task: TaskNode) -> None:
        """Takes a task that was made elsewhere into the open setup or teardown block."""
        add_to_open_block(task)

    def __repr__(self) -> str:
        return f"<Task({self.task_type}): {self.task_id}>"

    # ------------------------------------------------------------------ construction

    def _join(self, dag: DagContainer, group: GroupNode | None) -> None:
        if group is not None:
            if group.dag is not dag:
                raise AuthoringError(f"task {self.task_id!r}: its group belongs to another DAG than {dag.dag_id!r}")
            self.task_group = group
        dag.add_task(self)

    def _described(self, dag: DagContainer | None) -> str:
        place = f" of DAG {dag.dag_id!r}" if dag is not None else ""
        return f"{type(self).__name__} (task_id: {self.task_id}){place}"

    def built(self) -> None:
        """Called once all constructors have run: draws the edges of the results that were passed in. Raises
        AuthoringError for a plain task that is to be durable.
        """
        self._check_durable()
        if is_detached():
            return
        for ref in dict.fromkeys(iter_xcom_refs(list(self._args()))):
            if ref.operator is not self and ref.operator.task_id not in self.upstream_task_ids:
                self.set_upstream(ref.operator)

    def _check_durable(self) -> None:
        by_default = self.dag is not None and self.dag.default_args.get("durable")
        if self.durable and not self.is_async and not by_default:
            raise AuthoringError(
                f"{self._described(self.dag)}: durable=True is for async tasks: write `async def`, and take what costs "
                "or changes something as steps (ctx.step)"
            )


@functools.lru_cache(maxsize=1024)
def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function)


def _tasks_of(items: object) -> Iterator[TaskNode]:
    many = isinstance(items, (list, tuple, set, frozenset))
    for item in cast("Iterable[object]", items if many else (items,)):
        node = item.operator if isinstance(item, XComArg) else item
        if not isinstance(node, TaskNode):
            raise AuthoringError(f"setups: a task is needed, not {item!r}")
        yield node


def defaults_for(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """`default_args` of the configuration, the DAG, its groups and the call, the later the stronger."""
    group: GroupNode | None = arguments.get("task_group")
    dag: DagContainer | None = arguments.get("dag")
    if dag is None:
        dag = group.dag if group is not None else current_dag()
    group = group or group_for(dag)
    layers = (
        current_defaults().operator_arguments,
        dag.default_args if dag is not None else None,
        group.default_args if group is not None else None,
        arguments.get("default_args"),
    )
    used = [layer for layer in layers if layer]
    if len(used) <= 1:
        return used[0] if used else _NOTHING
    merged: dict[str, Any] = {}
    for layer in used:
        merged.update(layer)
    return merged


def _give_defaults(cls: type[BaseOperator]) -> None:
    """Wraps the class's constructor: arguments left out come from `default_args`.

    Every class of the hierarchy looks up its own arguments, so an argument that a subclass gives
    to its parent is never replaced, and one that a subclass keeps for itself still reaches the parent.
    """
    init = cast("Callable[..., None]", cls.__dict__["__init__"])
    parameters = list(inspect.signature(init).parameters.values())[1:]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = cls.__dict__.get("own_arguments", frozenset[str]()) | {p.name for p in named}
    positional = [p.name for p in named if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = frozenset(p.name for p in named if p.default is p.empty)
    templates = frozenset(p.name for p in named if isinstance(p.default, str) and "{{" in p.default)

    @functools.wraps(init)
    def construct(self: BaseOperator, *args: Any, **kwargs: Any) -> None:
        state = vars(self)
        outermost = "_defaults" not in state
        if outermost:
            state["_defaults"] = defaults_for(kwargs)
        passed = frozenset(positional[: len(args)])
        defaults: Mapping[str, Any] = state["_defaults"]
        for name in defaults:
            if name in names and name not in kwargs and name not in passed:
                value = defaults[name]
                if name not in templates or isinstance(value, str):
                    kwargs[name] = value
        if not required <= kwargs.keys():
            _reject_missing(cls, required - kwargs.keys() - passed, kwargs)
        init(self, *args, **kwargs)
        if outermost:
            del state["_defaults"]
            self.built()

    type.__setattr__(cls, "__init__", construct)


def _reject_missing(cls: type[BaseOperator], missing: frozenset[str], arguments: Mapping[str, Any]) -> None:
    if missing:
        dag = current_dag()
        place = f" of DAG {dag.dag_id!r}" if dag is not None else ""
        names = ", ".join(f"{name!r}{_meant(name, arguments)}" for name in sorted(missing))
        owner = f"{cls.__name__} (task_id: {arguments.get('task_id', 'not given')}){place}"
        raise AuthoringError(f"{owner}: missing keyword argument {names}")


def _meant(name: str, arguments: Mapping[str, Any]) -> str:
    """A hint where an argument was given that is spelled much the same."""
    import difflib

    close = difflib.get_close_matches(name, arguments, n=1, cutoff=0.8)
    return f" ({close[0]!r} was given)" if close else ""


_give_defaults(BaseOperator)
