"""`tradewind dags export`: what DAG files define, for programs to read; no database is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.failures import EXIT_FAILED, Failure
from tradewind.cli.options import config_of, files_option

if TYPE_CHECKING:
    from tradewind.authoring.dag import DAG
    from tradewind.authoring.nodes import DagNode
    from tradewind.authoring.operator import BaseOperator
    from tradewind.authoring.params import Param
    from tradewind.authoring.task_group import TaskGroup
    from tradewind.cli.dag_files import FoundDags

OPERATORS: Final = {
    "DecoratedPythonOperator": "_PythonDecoratedOperator",
    "DecoratedBranchOperator": "_BranchPythonDecoratedOperator",
    "DecoratedShortCircuitOperator": "_ShortCircuitDecoratedOperator",
    "DecoratedBashOperator": "_BashDecoratedOperator",
}
"""Classes behind decorators under the names that Airflow's users see."""


@click.command()
@click.argument("dag_ids", nargs=-1, metavar="[DAG_ID]...")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), default="json", show_default=True)
@files_option
@click.pass_context
def export(ctx: click.Context, dag_ids: tuple[str, ...], output: str, subdir: Path | None) -> None:
    """Print DAGs as their files define them: tasks, edges, groups, schedule, params.

    All DAGs of --file, or of the DAG folder, or those named. Exit code 1 if a file cannot be loaded.
    """
    from tradewind.cli.dag_files import load_dags
    from tradewind.cli.output import to_yaml

    found = load_dags(config_of(ctx), subdir, dag_ids)
    answer = answer_of(found, dag_ids)
    click.echo(_to_json(answer) if output == "json" else to_yaml(answer).rstrip())
    if answer["error"] is not None:
        raise click.exceptions.Exit(EXIT_FAILED)


def answer_of(found: FoundDags, dag_ids: Sequence[str]) -> dict[str, Any]:
    """`{"error": …, "dags": […]}`. Raises Failure where a named DAG is in no file, not even a bad one."""
    missing = [dag_id for dag_id in dag_ids if dag_id not in found.dags]
    wrongs = [wrong for dag_id in missing for wrong in found.errors_about(dag_id)]
    if not dag_ids:
        wrongs = [wrong for _, wrong in found.errors]
    error = error_of(wrongs[0]) if wrongs else None
    dags: list[dict[str, Any]] = []
    for dag_id, dag in found.dags.items():
        if dag_ids and dag_id not in dag_ids:
            continue
        try:
            dag.to_spec()  # checks the whole, as the import of the file by the runtime does
            dags.append(dag_facts(dag))
        except Exception as wrong:
            error = error or error_of(wrong)
    if missing and error is None:
        raise Failure(str(found.not_found(missing[0])))
    return {"error": error, "dags": dags}


def error_of(error: BaseException) -> dict[str, str]:
    """Class and text of what a DAG file raised."""
    cause = error.__cause__ if type(error).__name__ == "DagFileError" and error.__cause__ is not None else error
    return {"class": type(cause).__name__, "message": str(cause)}


def _to_json(answer: Mapping[str, object]) -> str:
    import orjson

    return orjson.dumps(answer, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def dag_facts(dag: DAG) -> dict[str, Any]:
    """One DAG as the answer has it."""
    return {
        "dag_id": dag.dag_id,
        **_schedule(dag),
        "start_date": _instant(dag.start_date),
        "end_date": _instant(dag.end_date),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "default_args_keys": sorted(dag.default_args),
        "tags": sorted(dag.tags),
        "params": {name: _param(param) for name, param in dag.params.params()},
        "task_group_tree": _group(dag.task_group),
        "tasks": [_task(task) for task in dag.tasks],
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _schedule(dag: DAG) -> dict[str, Any]:
    schedule: Any = dag.schedule
    uses = _asset_uses(dag)
    shown: str | None
    if uses is not None:
        timed = type(dag.timetable).__name__ == "AssetOrTimeSchedule"
        shown = "assets or time" if timed else "assets"
    elif schedule is None or isinstance(schedule, str):
        shown = schedule
    elif isinstance(schedule, timedelta):
        shown = f"timedelta({schedule.total_seconds():.12g})"
    else:
        shown = type(dag.timetable).__name__
    leaves, condition = uses or ([], None)
    return {"schedule": shown, "schedule_assets": leaves, "schedule_condition": condition}


def _asset_uses(dag: DAG) -> tuple[list[str], str] | None:
    """The leaves of the DAG's asset condition and the condition as text; None without one."""
    condition: Any = dag.timetable_spec().args.get("condition")
    if condition is None:
        return None
    leaves: list[str] = []
    return leaves, _condition(condition, leaves)


def _condition(node: Any, leaves: list[str]) -> str:
    """`all(a, any(b, c))`; a single asset stands for itself."""
    for word in ("all", "any"):
        if isinstance(node, Mapping) and word in node:
            parts = [_condition(part, leaves) for part in cast("Sequence[Any]", node[word])]
            return f"{word}({', '.join(parts)})"
    leaf = _leaf(node)
    leaves.append(leaf)
    return leaf


def _leaf(node: Any) -> str:
    if isinstance(node, Mapping):
        facts = cast("Mapping[str, Any]", node)
        if "alias" in facts:
            return f"alias:{facts['alias']}"
        if "ref" in facts:
            return f"ref:{facts['ref']}"
        return str(facts.get("uri") or facts.get("name") or facts.get("asset"))
    return str(node)


def _param(param: Param) -> dict[str, Any]:
    schema = param.schema
    return {
        "value": _jsonable(param.value) if param.has_value or param.value is None else None,
        "schema_type": schema.get("type"),
        "schema_keys": sorted(schema),
    }


def _jsonable(value: object) -> Any:
    """The value where it is JSON, else what can be said about it."""
    import orjson

    try:
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return {"__type__": type(value).__name__}
    return value


def _group(group: TaskGroup) -> dict[str, Any]:
    return {
        "group_id": group.group_id,
        "mapped": type(group).__name__ == "MappedTaskGroup",
        "children": [_child(child) for child in group.children.values()],
        "upstream_groups": sorted(group.upstream_group_ids),
        "downstream_groups": sorted(group.downstream_group_ids),
    }


def _child(child: DagNode) -> Any:
    from tradewind.authoring.task_group import TaskGroup

    return _group(child) if isinstance(child, TaskGroup) else child.node_id


def _task(task: BaseOperator) -> dict[str, Any]:
    kind: type[BaseOperator] = getattr(task, "operator_class", type(task))
    groups: list[str] = []
    mapped_around = False
    group = task.task_group
    while group is not None and not group.is_root:
        groups.append(group.node_id)
        mapped_around = mapped_around or type(group).__name__ == "MappedTaskGroup"
        group = group.task_group
    return {
        "task_id": task.task_id,
        "operator": OPERATORS.get(kind.__name__, kind.__name__),
        "trigger_rule": task.trigger_rule.value,
        "retries": task.retries,
        "retry_delay_s": task.retry_delay.total_seconds(),
        "pool": task.pool,
        "upstream": sorted(task.upstream_task_ids),
        "downstream": sorted(task.downstream_task_ids),
        "template_fields": sorted(kind.template_fields),
        "is_mapped": type(task).__name__ == "MappedOperator",
        "in_mapped_group": mapped_around,
        "is_setup": task.is_setup,
        "is_teardown": task.is_teardown,
        "on_failure_fail_dagrun": getattr(task, "on_failure_fail_dagrun", False),
        "task_groups": groups[::-1],
    }
