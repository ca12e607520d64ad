"""DAGs, their tasks, pools and import errors as the API shows them. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, cast

from tradewind.model.rows import DagRow, ImportErrorRow
from tradewind.model.specs import DagSpec, Json, TaskSpec, TimetableSpec


def time_delta(seconds: float | None) -> Json:
    """A duration as the API writes it; None stays None."""
    if seconds is None:
        return None
    delta = timedelta(seconds=seconds)
    return {
        "__type": "TimeDelta",
        "days": delta.days,
        "seconds": delta.seconds,
        "microseconds": delta.microseconds,
    }


def schedule_interval(timetable: TimetableSpec) -> Json:
    """A schedule as the API writes it: a cron expression or preset, a span of time, or None."""
    delta = timetable.args.get("delta")
    if isinstance(delta, Mapping):
        span = cast("Mapping[str, Json]", delta)
        if "timedelta" in span:
            return time_delta(float(span["timedelta"]))
        return {"__type": "RelativeDelta", **_RELATIVE_ZERO, **span.get("relativedelta", {})}
    if timetable.summary == "None":
        return None
    return {"__type": "CronExpression", "value": timetable.summary}


def static_part(spec: DagSpec, file_token: str) -> dict[str, Json]:
    """The fields of a DAG that only a new version changes."""
    return {
        "dag_display_name": spec.display_name or spec.dag_id,
        "description": spec.description,
        "file_token": file_token,
        "has_task_concurrency_limits": any(
            task.max_active_tis_per_dag is not None or task.max_active_tis_per_dagrun is not None for task in spec.tasks
        ),
        "max_active_runs": spec.max_active_runs,
        "max_active_tasks": spec.max_active_tasks,
        "owners": _owners(spec),
        "schedule_interval": schedule_interval(spec.timetable),
        "tags": [{"name": tag} for tag in spec.tags],
        "timetable_description": spec.timetable.description or None,
    }


def dag(row: DagRow, static: Mapping[str, Json]) -> dict[str, Json]:
    """A DAG of lists. `static` is what `static_part` made of its version."""
    cursor = row.cursor
    return {
        "dag_id": row.dag_id,
        "root_dag_id": None,
        "is_active": row.is_active,
        "is_paused": row.is_paused,
        "is_subdag": False,
        "default_view": "grid",
        "fileloc": row.source.fileloc,
        "has_import_errors": row.has_import_errors,
        "last_expired": None,
        "last_parsed_time": row.last_parsed_at,
        "last_pickled": None,
        "max_consecutive_failed_dag_runs": 0,
        "next_dagrun": cursor.next_logical_date if cursor else None,
        "next_dagrun_create_after": cursor.next_run_after if cursor else None,
        "next_dagrun_data_interval_end": cursor.next_interval_end if cursor else None,
        "next_dagrun_data_interval_start": cursor.next_interval_start if cursor else None,
        "pickle_id": None,
        "scheduler_lock": None,
        "version_hash": row.version_hash,
        "version_number": row.version_number,
        **static,
    }


def dag_detail(row: DagRow, static: Mapping[str, Json], spec: DagSpec) -> dict[str, Json]:
    """A DAG with all that its file says of it."""
    return {
        **dag(row, static),
        "catchup": spec.catchup,
        "concurrency": spec.max_active_tasks,
        "dag_run_timeout": time_delta(spec.dagrun_timeout),
        "doc_md": spec.doc_md,
        "end_date": spec.end_date,
        "is_paused_upon_creation": spec.is_paused_upon_creation,
        "max_consecutive_failed_dag_runs": spec.extra.get("max_consecutive_failed_dag_runs", 0),
        "last_parsed": row.last_parsed_at,
        "orientation": "LR",
        "params": dict(spec.params),
        "relative_fileloc": row.source.relative_fileloc,
        "render_template_as_native_obj": bool(spec.extra.get("render_template_as_native_obj", False)),
        "start_date": spec.start_date,
        "template_search_path": None,
        "timezone": spec.timezone,
    }


def downstream_of(spec: DagSpec) -> dict[str, list[str]]:
    """Task id to its direct downstream task ids, sorted."""
    below: dict[str, list[str]] = {task.task_id: [] for task in spec.tasks}
    for task in spec.tasks:
        for upstream in task.upstream:
            below[upstream].append(task.task_id)
    for ids in below.values():
        ids.sort()
    return below


def task(spec: TaskSpec, downstream: list[str], dag_spec: DagSpec) -> dict[str, Json]:
    """A task of a DAG."""
    return {
        "class_ref": {"class_name": spec.operator, "module_path": spec.extra.get("module_path", "")},
        "depends_on_past": spec.depends_on_past,
        "doc_md": spec.doc_md,
        "downstream_task_ids": downstream,
        "end_date": spec.end_date or dag_spec.end_date,
        "execution_timeout": time_delta(spec.execution_timeout),
        "executor": spec.executor,
        "extra_links": [],
        "group_id": spec.group,
        "is_mapped": bool(spec.extra.get("mapped", False)),
        "operator_name": spec.operator,
        "owner": spec.owner,
        "params": spec.extra.get("params", {}),
        "pool": spec.pool,
        "pool_slots": spec.pool_slots,
        "priority_weight": spec.own_priority_weight,
        "queue": spec.queue,
        "retries": spec.retries,
        "retry_delay": time_delta(spec.retry_delay),
        "retry_exponential_backoff": spec.retry_exponential_backoff,
        "start_date": spec.start_date or dag_spec.start_date,
        "sub_dag": None,
        "task_display_name": spec.label or spec.task_id,
        "task_id": spec.task_id,
        "template_fields": list(spec.template_fields),
        "trigger_rule": spec.trigger_rule,
        "ui_color": spec.ui_color,
        "ui_fgcolor": spec.ui_fgcolor,
        "upstream_task_ids": list(spec.upstream),
        "wait_for_downstream": spec.wait_for_downstream,
        "weight_rule": spec.weight_rule,
    }


def import_error(row: ImportErrorRow) -> dict[str, Json]:
    """Why a file could not be loaded."""
    return {
        "import_error_id": row.import_error_id,
        "timestamp": row.at,
        "filename": row.fileloc,
        "bundle": row.bundle,
        "relative_fileloc": row.relative_fileloc,
        "stack_trace": row.stack_trace,
    }


def _owners(spec: DagSpec) -> list[str]:
    owners = spec.owners or tuple(task.owner for task in spec.tasks)
    return sorted(set(owners))


_RELATIVE_ZERO: Final[dict[str, Json]] = {
    **dict.fromkeys(("years", "months", "days", "leapdays", "hours", "minutes", "seconds", "microseconds"), 0),
    **dict.fromkeys(("year", "month", "day", "hour", "minute", "second", "microsecond")),
}
