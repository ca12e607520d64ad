"""Runs, task instances and attempts as the API shows them. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

import orjson

from tradewind.model.outcomes import CODEC_JSON, CODEC_TYPED_JSON, EncodedValue
from tradewind.model.rows import AttemptRow, InstanceRow, RunRow, as_given
from tradewind.model.specs import Json, TaskSpec
from tradewind.model.states import RunType, TaskState


def conf_of(run: RunRow) -> Json:
    """The conf that a run was started with; {} for none."""
    if run.conf is None or run.conf.codec not in (CODEC_JSON, CODEC_TYPED_JSON):
        return {}
    return orjson.loads(run.conf.data)


def dag_run(run: RunRow) -> dict[str, Json]:
    """A run. `counts`, `queued_at`, `run_after` and `version_hash` are ours, those of the partition Airflow 3's."""
    return {
        "conf": conf_of(run),
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "data_interval_end": run.interval_end,
        "data_interval_start": run.interval_start,
        "end_date": run.ended_at,
        "execution_date": run.logical_date,
        "external_trigger": run.external_trigger,
        "last_scheduling_decision": None,
        "logical_date": run.logical_date,
        "note": run.note,
        "run_type": run_type_name(run.run_type),
        "start_date": run.started_at,
        "state": run.state,
        "counts": counts_of(run),
        "partition_date": run.partition_date,
        "partition_key": run.run_key,
        "queued_at": run.queued_at,
        "run_after": run.run_after,
        "version_hash": run.version_hash,
    }


def run_type_name(run_type: RunType) -> str:
    """The API's name of a run type: that of runs caused by assets is older than our word."""
    return "dataset_triggered" if run_type is RunType.ASSET_TRIGGERED else run_type.value


RUN_TYPES: Final = tuple(run_type_name(run_type) for run_type in RunType)


def state_name(state: TaskState) -> str | None:
    """A task instance that has no state yet is null, as API clients expect."""
    return None if state is TaskState.NONE else state.value


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """A duration in seconds, once both ends are known."""
    if start is None or end is None:
        return None
    return (end - start).total_seconds()


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """All that one task instance is shown from. `task` is None when the version no longer has it."""

    run: RunRow
    instance: InstanceRow
    task: TaskSpec | None
    attempt: AttemptRow | None
    late_since: datetime | None = None
    """When it was found that the task has missed its SLA in this run."""
    calls_back: bool = False
    """Whether its DAG has an `sla_miss_callback`."""


def task_instance(facts: InstanceFacts) -> dict[str, Json]:
    """A task instance."""
    run, row, task, attempt = facts.run, facts.instance, facts.task, facts.attempt
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "duration": seconds_between(row.started_at, row.ended_at),
        "end_date": row.ended_at,
        "execution_date": run.logical_date,
        "executor": attempt.executor if attempt else (task.executor if task else None),
        "executor_config": "{}",
        "hostname": attempt.hostname or "" if attempt else "",
        "map_index": row.map_index,
        "max_tries": as_given(row.max_tries),
        "note": None,
        "operator": task.operator if task else None,
        "pid": attempt.pid if attempt else None,
        "pool": attempt.pool if attempt else (task.pool if task else "default_pool"),
        "pool_slots": attempt.pool_slots if attempt else (task.pool_slots if task else 1),
        "priority_weight": task.priority_weight if task else None,
        "queue": task.queue if task else None,
        "queued_when": row.queued_at,
        "rendered_fields": {},
        "rendered_map_index": rendered_map_index(row, attempt),
        "sla_miss": sla_miss(facts),
        "start_date": row.started_at,
        "state": state_name(row.state),
        "task_display_name": (task.label or task.task_id) if task else row.task_id,
        "task_id": row.task_id,
        "trigger": None,
        "triggerer_job": None,
        "try_number": row.try_number,
        "unixname": "",
        "due_at": row.due_at,
        "outcome": attempt.kind if attempt else None,
        "outcome_detail": attempt.detail if attempt else None,
    }


def sla_miss(facts: InstanceFacts) -> dict[str, Json] | None:
    """That the task has missed its SLA in this run; None: it has not, or has none."""
    if facts.late_since is None:
        return None
    return {
        "task_id": facts.instance.task_id,
        "dag_id": facts.run.dag_id,
        "execution_date": facts.run.logical_date,
        "email_sent": facts.task is not None and bool(facts.task.extra.get("email")),
        "timestamp": facts.late_since,
        "description": None,
        "notification_sent": facts.calls_back,
    }


def rendered_map_index(row: InstanceRow, attempt: AttemptRow | None) -> str | None:
    """What `map_index_template` made of the index at the end of the last attempt; without one the index."""
    label = attempt.detail.get("map_index_label") if attempt is not None and attempt.detail else None
    if label is None and row.map_index >= 0:
        return str(row.map_index)
    return cast("str | None", label)


def task_try(facts: InstanceFacts, attempt: AttemptRow) -> dict[str, Json]:
    """One attempt of a task instance, in the shape of the task instance as it was then."""
    shown = task_instance(
        InstanceFacts(
            facts.run,
            InstanceRow(
                facts.run.run_id,
                attempt.task_id,
                attempt.map_index,
                facts.instance.state,
                attempt.try_number,
                facts.instance.max_tries,
                started_at=attempt.started_at,
                ended_at=attempt.ended_at,
            ),
            facts.task,
            attempt,
        )
    )
    if attempt.kind is not None and attempt.attempt != facts.instance.attempt:
        shown["state"] = OUTCOME_STATES.get(attempt.kind, "failed")
    return shown


OUTCOME_STATES: Mapping[str, str] = {
    "success": "success",
    "skipped": "skipped",
    "rescheduled": "up_for_reschedule",
    "deferred": "deferred",
}
"""State in which an ended attempt left its task instance; every other outcome is a failure."""


def instance_change(row: InstanceRow) -> dict[str, Json]:
    """What a `task` event says of one task instance."""
    return {
        "task_id": row.task_id,
        "map_index": row.map_index,
        "state": state_name(row.state),
        "try_number": row.try_number,
        "start_date": row.started_at,
        "end_date": row.ended_at,
    }


def instance_reference(run: RunRow, row: InstanceRow) -> dict[str, Json]:
    """A task instance by its names only."""
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "execution_date": run.logical_date,
        "map_index": row.map_index,
        "task_id": row.task_id,
    }


def xcom_native(value: EncodedValue) -> Json:
    """A value as JSON; what JSON lacks as its text, a custom back end's value as None."""
    if value.codec == CODEC_JSON:
        return orjson.loads(value.data)
    if value.codec == CODEC_TYPED_JSON:
        return _untyped(orjson.loads(value.data))
    return None


def _untyped(value: Json) -> Json:
    if isinstance(value, list):
        return [_untyped(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        mapping = cast("dict[str, Json]", value)
        if "__type__" in mapping and "value" in mapping:
            return _untyped(mapping["value"])
        return {key: _untyped(item) for key, item in mapping.items()}
    return value


def counts_of(run: RunRow) -> dict[str, int]:
    """State to the number of the run's task instances in it; empty where nobody counted yet."""
    return cast("dict[str, int]", run.counts) if run.counts else {}
