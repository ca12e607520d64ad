"""`tradewind tasks`."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.connected import ask_control
from tradewind.cli.failures import Failure, run_async
from tradewind.cli.options import (
    FOR_PROGRAMS,
    config_of,
    database_option,
    files_option,
    json_object,
    json_value,
    moment,
    output_option,
)

if TYPE_CHECKING:
    from tradewind.authoring.dag import DAG
    from tradewind.config import Config
    from tradewind.control_ports import Control
    from tradewind.model.attempts import Attempt
    from tradewind.model.rows import InstanceRow, RunRow
    from tradewind.ports import StoreReads

RULE: Final = "# " + "-" * 58


@click.group()
def tasks() -> None:
    """List, test, render, look into and signal tasks."""


@tasks.command("list")
@click.argument("dag_id")
@click.option("-t", "--tree", is_flag=True, help="As a tree, like `dags show`.")
@files_option
@output_option
@click.pass_context
def list_tasks(ctx: click.Context, dag_id: str, tree: bool, subdir: Path | None, output: str) -> None:
    """The tasks of a DAG, from its file."""
    from tradewind.cli.dag_files import find_dag
    from tradewind.cli.dag_graph import as_tree
    from tradewind.cli.output import emit

    spec = find_dag(config_of(ctx), dag_id, subdir)[0].to_spec()
    if output == "table":
        for line in as_tree(spec) if tree else sorted(task.task_id for task in spec.tasks):
            click.echo(line)
        return
    rows = [
        {
            "task_id": task.task_id,
            "operator": task.operator,
            "upstream": list(task.upstream),
            "trigger_rule": task.trigger_rule.value,
            "executor": task.executor,
            "pool": task.pool,
            "retries": task.retries,
        }
        for task in spec.tasks
    ]
    emit(rows, output, ["task_id"])


@tasks.command()
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("logical_date", type=moment, required=False, metavar="[DATE]")
@click.option("-t", "--task-params", "--conf", "conf", type=json_object, help="JSON for the run's conf.")
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@files_option
@output_option
@click.pass_context
def test(ctx: click.Context, /, dag_id: str, task_id: str, logical_date: datetime | None, **given: Any) -> None:
    """Run one task once, here, whatever it depends on. Nothing is recorded.

    With --output json or yaml what the task says goes to standard error.
    """
    from tradewind.cli.output import emit_one
    from tradewind.cli.task_alone import outcome_line, run_alone
    from tradewind.model.states import OutcomeKind

    config = config_of(ctx)
    for_programs = given["output"] in FOR_PROGRAMS
    with redirect_stdout(sys.stderr) if for_programs else nullcontext():
        dag, attempt = _alone(config, dag_id, task_id, logical_date, given)
        outcome = run_async(run_alone(config, dag, attempt))
    if outcome.error is not None:
        click.echo(outcome.error.traceback, err=True)
    if for_programs:
        emit_one(outcome_line(attempt, outcome), given["output"])
    good = outcome.kind in (OutcomeKind.SUCCESS, OutcomeKind.SKIPPED, OutcomeKind.RESCHEDULED, OutcomeKind.DEFERRED)
    if not good:
        reason = f": {outcome.reason}" if outcome.reason else ""
        raise Failure(f"task {task_id!r} ended as {outcome.kind.value}{reason}")


@tasks.command()
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("logical_date", type=moment, required=False, metavar="[DATE]")
@click.option("--conf", type=json_object, help="JSON for the run's conf.")
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@files_option
@output_option
@click.pass_context
def render(ctx: click.Context, /, dag_id: str, task_id: str, logical_date: datetime | None, **given: Any) -> None:
    """Show what a task's templates become for a date. Nothing is recorded."""
    from tradewind.cli.output import emit_text
    from tradewind.cli.task_alone import rendered_fields

    config = config_of(ctx)
    dag, attempt = _alone(config, dag_id, task_id, logical_date, given)
    fields = {
        name: list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
        for name, value in run_async(rendered_fields(config, dag, attempt)).items()
    }
    shown = [f"{RULE}\n# property: {name}\n{RULE}\n{value}\n" for name, value in fields.items()]
    emit_text("\n".join(shown), fields, given["output"])


def _alone(
    config: Config, dag_id: str, task_id: str, logical_date: datetime | None, given: dict[str, Any]
) -> tuple[DAG, Attempt]:
    """The DAG of the DAG file, and a first try of its task that no runtime knows of."""
    from tradewind.cli.dag_files import find_dag
    from tradewind.cli.task_alone import attempt_alone

    dag, file = find_dag(config, dag_id, given["subdir"])
    attempt = attempt_alone(dag, file, task_id, logical_date or datetime.now(tz=UTC), given["conf"])
    return dag, attempt._replace(key=attempt.key._replace(map_index=given["map_index"]))


@tasks.command("state")
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("run", required=False)
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@output_option
@database_option
@click.pass_context
def state(ctx: click.Context, /, dag_id: str, task_id: str, run: str | None, **given: Any) -> None:
    """The state of a task in a run (id or logical date; by default the latest)."""
    from tradewind.cli.output import emit_text

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> dict[str, Any]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, run)
        return _instance_line(found, await _instance(control.reads, found, task_id, given["map_index"]))

    line = ask_control(config, work)
    emit_text(line["state"], line, given["output"])


@tasks.command("failed-deps")
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("run", required=False)
@output_option
@database_option
@click.pass_context
def failed_deps(ctx: click.Context, /, dag_id: str, task_id: str, run: str | None, **given: Any) -> None:
    """Why a task is not running in a run (id or logical date; by default the latest)."""
    from tradewind.cli.output import emit_text

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> tuple[str, ...]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, run)
        return await control.why_waiting(dag_id, found.dag_run_id, task_id)

    reasons = ask_control(config, work)
    text = "\n".join(f"- {reason}" for reason in reasons) or "It is running."
    emit_text(text, {"dag_id": dag_id, "task_id": task_id, "reasons": list(reasons)}, given["output"])


@tasks.command("states-for-dag-run")
@click.argument("dag_id")
@click.argument("run", required=False)
@output_option
@database_option
@click.pass_context
def states_for_dag_run(ctx: click.Context, dag_id: str, run: str | None, output: str, database: str | None) -> None:
    """The state of every task in a run (id or logical date; by default the latest)."""
    from tradewind.cli.output import emit

    config = config_of(ctx, database__url=database)

    async def work(control: Control) -> list[dict[str, Any]]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, run)
        return [_instance_line(found, row) for row in await control.reads.instance_list(found.run_id)]

    lines = ask_control(config, work)
    mapped = ["map_index"] if any(line["map_index"] >= 0 for line in lines) else []
    emit(lines, output, ["dag_id", "execution_date", "task_id", *mapped, "state", "start_date", "end_date"])


@tasks.command()
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("run", required=False)
@click.option("--try", "try_number", type=click.IntRange(min=1), help="By default the last one.")
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the try has ended.")
@output_option
@database_option
@click.pass_context
def logs(ctx: click.Context, /, dag_id: str, task_id: str, run: str | None, **given: Any) -> None:
    """What a try of a task has written (run: id or logical date; by default the latest).

    With --output json each record is one line.
    """
    from tradewind.cli.task_logs import print_log
    from tradewind.worker.log import LogRef

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> LogRef:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, run)
        row = await _instance(control.reads, found, task_id, given["map_index"])
        number = given["try_number"] or max(row.try_number, 1)
        return LogRef(dag_id, found.dag_run_id, task_id, given["map_index"], number)

    ref = ask_control(config, work)
    run_async(print_log(str(config.logging.folder), ref, given["output"], follow_on=given["follow"]))


@tasks.command("signal")
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("name")
@click.argument("value", type=json_value, required=False, metavar="[JSON]")
@click.option("--run", "-r", help="Id or logical date; by default the latest run.")
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@output_option
@database_option
@click.pass_context
def signal(ctx: click.Context, /, dag_id: str, task_id: str, name: str, value: Any, **given: Any) -> None:
    """Send a signal to a task that waits for it, or will: `ctx.wait_for(signal(NAME))` gives the value."""
    from tradewind.cli.output import emit_text
    from tradewind.services.answering import Place, send_signal

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> tuple[str, bool]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, given["run"])
        place = Place(found, task_id, given["map_index"])
        return found.dag_run_id, await send_signal(control, place, name, value)

    run_id, resumed = ask_control(config, work)
    said = f"Task {task_id!r} of run {run_id!r} goes on." if resumed else f"Kept until task {task_id!r} waits for it."
    line = {"dag_id": dag_id, "dag_run_id": run_id, "task_id": task_id, "name": name, "resumed": resumed}
    emit_text(said, line, given["output"])


@tasks.command("query")
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("run", default="latest")
@click.argument("name", required=False)
@click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")
@output_option
@database_option
@click.pass_context
def query(ctx: click.Context, /, dag_id: str, task_id: str, run: str, name: str | None, **given: Any) -> None:
    """Ask a task what it has published with `ctx.publish(NAME, …)`, while it runs, waits or when it has ended.

    RUN is an id or a logical date, by default `latest`. With NAME the value alone is printed, as JSON.
    """
    import orjson

    from tradewind.cli.output import emit, emit_text
    from tradewind.services.answering import Place
    from tradewind.services.querying import published, published_as

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> list[dict[str, Any]]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, None if run == "latest" else run)
        place = Place(found, task_id, given["map_index"])
        if name is not None:
            return [(await published_as(control.reads, place, name)).shown()]
        return [one.shown() for one in await published(control.reads, place)]

    lines = ask_control(config, work)
    if name is None:
        emit(lines, given["output"], ["name", "value", "timestamp"], empty="The task has published nothing.")
    else:
        emit_text(orjson.dumps(lines[0]["value"]).decode(), lines[0], given["output"])


async def _instance(reads: StoreReads, run: RunRow, task_id: str, map_index: int) -> InstanceRow:
    row = await reads.instance_get(run.run_id, task_id, map_index)
    if row is not None:
        return row
    known = sorted({other.task_id for other in await reads.instance_list(run.run_id)})
    where = f" with map index {map_index}" if map_index >= 0 else ""
    raise Failure(
        f"run {run.dag_run_id!r} of DAG {run.dag_id!r} has no task {task_id!r}{where}. It has: {', '.join(known)}"
    )


def _instance_line(run: RunRow, row: InstanceRow) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.dag_run_id,
        "execution_date": run.logical_date,
        "task_id": row.task_id,
        "map_index": row.map_index,
        "state": row.state.value,
        "try_number": row.try_number,
        "start_date": row.started_at,
        "end_date": row.ended_at,
    }
