"""From the objects of a DAG file to the `DagSpec` that everything else works with.

Canonical: whatever has no order is sorted, so the same file always gives the same content hash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol, cast

from tradewind.authoring.deferral import start_of
from tradewind.authoring.instants import utc, zone_name
from tradewind.authoring.mapped import MappedOperator
from tradewind.authoring.mapped_group import MappedTaskGroup
from tradewind.authoring.measuring import measured_keys
from tradewind.authoring.nodes import DagContainer
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.params import ParamsDict
from tradewind.authoring.priority_strategy import StrategyRule
from tradewind.authoring.task_group import TaskGroup
from tradewind.authoring.weights import Weighted, total_weights
from tradewind.model.specs import DagSpec, EdgeLabel, GroupSpec, Json, TaskSpec, TimetableSpec

_CALLBACKS = ("on_execute", "on_success", "on_failure", "on_retry", "on_skipped")


class SpecSource(Protocol):
    """What `dag_to_spec` reads of a DAG."""

    params: ParamsDict

    @property
    def container(self) -> DagContainer:
        """Id, dates and zone."""
        ...

    @property
    def tasks(self) -> Sequence[BaseOperator]:
        """All tasks, in order of definition."""
        ...

    @property
    def root(self) -> TaskGroup:
        """The nameless group around all others."""
        ...

    @property
    def edge_labels(self) -> Mapping[tuple[str, str], str]:
        """Texts on edges, by (upstream id, downstream id)."""
        ...

    def spec_settings(self) -> Mapping[str, Any]:
        """Fields of `DagSpec` that are the DAG's own settings."""
        ...

    def timetable_spec(self) -> TimetableSpec:
        """The schedule as data."""
        ...

    def check(self) -> None:
        """Raises AuthoringError where the DAG cannot be."""
        ...


def dag_to_spec(dag: SpecSource) -> DagSpec:
    """The serialized form of a DAG. Raises AuthoringError (DagCycleError …) where the DAG cannot be."""
    dag.check()
    tasks = dag.tasks
    number = {task.task_id: n for n, task in enumerate(tasks)}
    weights = total_weights(
        [Weighted(_own_weight(t), t.weight_rule, [number[u] for u in t.upstream_task_ids]) for t in tasks]
    )
    container = dag.container
    owners = {task.owner for task in tasks}
    measured = measured_keys(tasks, dag.root)
    return DagSpec(
        dag_id=container.dag_id,
        tasks=tuple(
            _task_spec(task, weights[n], container, measured.get(task.task_id, ())) for n, task in enumerate(tasks)
        ),
        timetable=dag.timetable_spec(),
        timezone=zone_name(container.timezone),
        start_date=utc(container.start_date),
        end_date=utc(container.end_date),
        owners=tuple(sorted(owners)),
        params=_json(dag.params.to_spec()),
        groups=tuple(_group_spec(group) for group in dag.root.groups()),
        edge_labels=tuple(EdgeLabel(up, down, text) for (up, down), text in sorted(dag.edge_labels.items())),
        **dag.spec_settings(),
    )


def _own_weight(task: BaseOperator) -> int:
    rule = task.weight_rule
    return rule.weight(task) if isinstance(rule, StrategyRule) else task.priority_weight


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _task_spec(task: BaseOperator, weight: int, dag: DagContainer, measured: tuple[str, ...]) -> TaskSpec:
    """The spec of one task. Only what the task says is handed over: defaults cost nothing."""
    own = task.__dict__
    fields: dict[str, Any] = {}
    for name in _COPIED & own.keys():
        fields[name] = own[name]
    for name in _DURATIONS & own.keys():
        fields[name] = _seconds(own[name])
    for name, group_date in (("start_date", dag.start_date), ("end_date", dag.end_date)):
        at = own.get(name)
        if isinstance(at, datetime) and at != group_date:
            fields[name] = utc(at)
    group = task.task_group
    if group is not None and not group.is_root:
        fields["group"] = group.node_id
    label = task.task_display_name or task.label
    if label != task.task_id:
        fields["label"] = label
    set_callbacks = tuple(name for name in _CALLBACKS if own.get(f"{name}_callback"))
    if set_callbacks:
        fields["callbacks"] = set_callbacks
    if task.start_from_trigger and task.start_trigger_args is not None and not task.is_mapped:
        fields["starts_deferred"] = start_of(task, task.start_trigger_args, task.execution_timeout)
    is_async = task.is_async
    return TaskSpec(
        task_id=task.task_id,
        operator=task.task_type,
        upstream=tuple(sorted(task.upstream_task_ids)),
        trigger_rule=task.trigger_rule,
        executor=task.executor or ("inline" if is_async else "local"),
        is_async=is_async,
        is_empty=_is_empty(task, set_callbacks) and not measured,
        priority_weight=weight,
        own_priority_weight=task.priority_weight,
        is_setup=task.is_setup,
        is_teardown=task.is_teardown,
        ui_color=task.ui_color,
        ui_fgcolor=task.ui_fgcolor,
        template_fields=tuple(task.template_fields),
        max_lost=0 if task.on_lost == "fail" else task.max_lost,
        expands=task.expand_input.length() if isinstance(task, MappedOperator) else None,
        measured=measured,
        extra=_extra(task),
        **fields,
    )


def _is_empty(task: BaseOperator, callbacks: Sequence[str]) -> bool:
    return task.inherits_from_empty_operator and not (callbacks or task.outlets or task.map_index_template)


_COPIED = frozenset(
    {"queue", "pool", "pool_slots", "weight_rule", "retries", "retry_exponential_backoff", "depends_on_past"}
    | {"ignore_first_depends_on_past", "wait_for_downstream", "max_active_tis_per_dag", "max_active_tis_per_dagrun"}
    | {"on_failure_fail_dagrun", "owner", "doc_md"}
)
_DURATIONS = frozenset({"retry_delay", "max_retry_delay", "execution_timeout"})
_EXTRA = frozenset(
    {"email", "email_on_retry", "email_on_failure", "run_as_user", "doc", "doc_json", "doc_yaml", "doc_rst", "sla"}
    | {"task_display_name", "map_index_template", "exclusive", "durable", "executor_config", "params", "do_xcom_push"}
    | {"wait_for_past_depends_before_skipping", "multiple_outputs", "clears"}
)


def _extra(task: BaseOperator) -> dict[str, Json]:
    own = task.__dict__
    extra: dict[str, Json] = {}
    for name in _EXTRA & own.keys():
        value = own[name]
        if name == "params":
            value = value.to_spec()
        elif isinstance(value, timedelta):
            value = value.total_seconds()
        if value not in (None, {}):
            extra[name] = _json(value)
    if task.outcome_kind != "value":
        extra["outcome_kind"] = task.outcome_kind
    return extra


def _group_spec(group: TaskGroup) -> GroupSpec:
    parent = group.task_group
    return GroupSpec(
        group_id=group.node_id,
        parent=None if parent is None or parent.is_root else parent.node_id,
        label=group.group_display_name or (group.label if group.label != group.node_id else None),
        tooltip=group.tooltip,
        ui_color=group.ui_color,
        ui_fgcolor=group.ui_fgcolor,
        children=tuple(group.children),
        expands=group.expand_input.length() if isinstance(group, MappedTaskGroup) else None,
    )


def _json(value: object) -> Any:
    """`value` as plain JSON: sets sorted, dates as text; what has no JSON form as the name of its type.

    The engine reads none of it, so an odd value costs its picture, not the DAG.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted((_json(item) for item in cast("Sequence[object]", value)), key=repr)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
