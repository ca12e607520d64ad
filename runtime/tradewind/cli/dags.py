"""`tradewind dags`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tradewind.cli.connected import ask_control
from tradewind.cli.dags_export import export
from tradewind.cli.dags_test import test
from tradewind.cli.dags_trigger import trigger
from tradewind.cli.failures import EXIT_FAILED, Failure
from tradewind.cli.options import config_of, database_option, files_option, moment, output_option

if TYPE_CHECKING:
    from tradewind.control_ports import Control
    from tradewind.model.rows import RunRow
    from tradewind.model.specs import DagSpec
    from tradewind.ports import StoreReads


@click.group()
def dags() -> None:
    """List, show, trigger, test and pause DAGs."""


dags.add_command(trigger)
dags.add_command(test)
dags.add_command(export)


@dags.command("list")
@click.option("--all", "everything", is_flag=True, help="Also DAGs whose file is gone.")
@output_option
@database_option
@click.pass_context
def list_dags(ctx: click.Context, everything: bool, output: str, database: str | None) -> None:
    """All DAGs that the system knows."""
    from tradewind.cli.output import emit

    config = config_of(ctx, database__url=database)

    async def work(control: Control) -> list[dict[str, Any]]:
        return [
            await _dag_line(control.reads, row.dag_id)
            for row in await control.reads.dag_list()
            if row.is_active or everything
        ]

    rows = ask_control(config, work)
    columns = ["dag_id", "fileloc", "owners", "schedule", "is_paused", *(["is_active"] if everything else [])]
    emit(rows, output, columns, empty=f"No DAGs yet. Put a DAG file into {config.dags.folder}; it is read at once.")


async def _dag_line(reads: StoreReads, dag_id: str) -> dict[str, Any]:
    row, version = await reads.dag_get(dag_id), await reads.dag_version_get(dag_id)
    if row is None or version is None:
        return {"dag_id": dag_id}
    return {
        "dag_id": dag_id,
        "fileloc": row.source.fileloc,
        "owners": list(version.spec.owners),
        "schedule": version.spec.timetable.summary,
        "tags": list(version.spec.tags),
        "is_paused": row.is_paused,
        "is_active": row.is_active,
        "next_run": row.cursor.next_run_after if row.cursor is not None else None,
        "version": row.version_number,
    }


@dags.command()
@click.argument("dag_id")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write a .dot or .mmd file instead.")
@files_option
@output_option
@click.pass_context
def show(ctx: click.Context, dag_id: str, save: Path | None, subdir: Path | None, output: str) -> None:
    """Draw the graph of a DAG, from its file."""
    from tradewind.cli import dag_graph
    from tradewind.cli.dag_files import find_dag
    from tradewind.cli.output import emit_text

    spec = find_dag(config_of(ctx), dag_id, subdir)[0].to_spec()
    if save is None:
        lines = [f"{spec.dag_id} ({_schedule(spec)}, {len(spec.tasks)} tasks)", *dag_graph.as_tree(spec)]
        emit_text("\n".join(lines), _graph(spec), output)
        return
    if save.suffix not in (".dot", ".mmd"):
        raise click.BadParameter(f"{save.name!r} must end with .dot (Graphviz) or .mmd (Mermaid).", param_hint="--save")
    save.write_text(dag_graph.as_dot(spec) if save.suffix == ".dot" else dag_graph.as_mermaid(spec))
    click.echo(f"File {save} saved")


def _graph(spec: DagSpec) -> dict[str, Any]:
    from tradewind.cli.dag_graph import downstream_of

    downstream = downstream_of(spec)
    tasks = [
        {
            "task_id": task.task_id,
            "operator": task.operator,
            "trigger_rule": task.trigger_rule.value,
            "upstream": list(task.upstream),
            "downstream": downstream[task.task_id],
        }
        for task in spec.tasks
    ]
    return {"dag_id": spec.dag_id, "schedule": spec.timetable.summary, "tasks": tasks}


def _schedule(spec: DagSpec) -> str:
    return "no schedule" if spec.timetable.summary == "None" else spec.timetable.summary


@dags.command()
@click.argument("dag_id")
@output_option
@database_option
@click.pass_context
def pause(ctx: click.Context, dag_id: str, database: str | None, output: str) -> None:
    """Stop a DAG from starting new scheduled runs."""
    _set_paused(ctx, dag_id, database, output, paused=True)


@dags.command()
@click.argument("dag_id")
@output_option
@database_option
@click.pass_context
def unpause(ctx: click.Context, dag_id: str, database: str | None, output: str) -> None:
    """Let a DAG run."""
    _set_paused(ctx, dag_id, database, output, paused=False)


def _set_paused(ctx: click.Context, dag_id: str, database: str | None, output: str, *, paused: bool) -> None:
    from tradewind.cli.dags_trigger import asked
    from tradewind.cli.output import emit_text

    config = config_of(ctx, database__url=database)

    async def work(control: Control) -> bool:
        return await asked(control, dag_id, control.dag_pause(dag_id, paused=paused)) is not None

    done = ask_control(config, work)
    later = "" if done else " as soon as the system runs (tradewind standalone)."
    row = {"dag_id": dag_id, "is_paused": paused, "applied": done}
    emit_text(f"Dag: {dag_id}, paused: {paused}{later}", row, output)


@dags.command("state")
@click.argument("dag_id")
@click.argument("run", required=False)
@output_option
@database_option
@click.pass_context
def state(ctx: click.Context, dag_id: str, run: str | None, database: str | None, output: str) -> None:
    """The state of a run, named by its id or logical date; by default of the latest one."""
    from tradewind.authoring.xcom import decode
    from tradewind.cli.output import emit_text, to_json
    from tradewind.cli.runs import find_run

    config = config_of(ctx, database__url=database)
    row = ask_control(config, lambda control: find_run(control.reads, dag_id, run))
    conf: object = (decode(row.conf) if row.conf is not None else None) or {}
    text = f"{row.state}, {to_json(conf, indent=False)}" if conf else str(row.state)
    emit_text(text, _run_line(row) | {"conf": conf}, output)


@dags.command("list-runs")
@click.argument("dag", required=False)
@click.option("-d", "--dag-id", help="The same as the argument.")
@click.option("--state", "states", multiple=True, help="Only runs in this state; can be given more than once.")
@click.option("-s", "--start-date", type=moment, metavar="DATE", help="Only logical dates from here on.")
@click.option("-e", "--end-date", type=moment, metavar="DATE", help="Only logical dates up to here.")
@click.option("--limit", default=50, show_default=True)
@output_option
@database_option
@click.pass_context
def list_runs(ctx: click.Context, /, dag: str | None, dag_id: str | None, **given: Any) -> None:
    """The runs of a DAG, the newest first."""
    from tradewind.cli.output import emit
    from tradewind.model.states import RunState
    from tradewind.ports import RunFilter

    wanted = dag or dag_id
    if wanted is None:
        raise click.UsageError("Name a DAG: tradewind dags list-runs DAG_ID")
    known = [item.value for item in RunState]
    for name in given["states"]:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(known)}.", param_hint="--state")
    where = RunFilter(
        dag_id=wanted,
        states=tuple(RunState(name) for name in given["states"]) or None,
        logical_from=given["start_date"],
        logical_to=given["end_date"],
        limit=given["limit"],
    )
    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> list[RunRow]:
        from tradewind.cli.runs import need_dag

        await need_dag(control.reads, wanted)
        return (await control.reads.run_list(where))[0]

    rows = [_run_line(run) for run in ask_control(config, work)]
    emit(rows, given["output"], ["dag_id", "run_id", "state", "execution_date", "start_date", "end_date"])


def _run_line(run: RunRow) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "run_id": run.dag_run_id,
        "state": run.state.value,
        "run_type": run.run_type.value,
        "execution_date": run.logical_date,
        "start_date": run.started_at,
        "end_date": run.ended_at,
        "duration": _seconds(run.started_at, run.ended_at),
    }


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    return (ended - began).total_seconds() if began is not None and ended is not None else None


@dags.command("list-import-errors")
@output_option
@database_option
@click.pass_context
def list_import_errors(ctx: click.Context, output: str, database: str | None) -> None:
    """DAG files that could not be loaded, and why. Exit code 1 where there are any."""
    from tradewind.cli.output import emit

    config = config_of(ctx, database__url=database)

    async def work(control: Control) -> list[dict[str, Any]]:
        return [
            {"filepath": row.fileloc, "error": row.stack_trace, "at": row.at}
            for row in await control.reads.import_error_list()
        ]

    rows = ask_control(config, work)
    if output == "table":
        for row in rows:
            click.secho(str(row["filepath"]), bold=True)
            click.echo(f"{row['error']}\n")
        if not rows:
            click.echo("No import errors.")
    else:
        emit(rows, output, ["filepath", "error"])
    if rows:
        raise click.exceptions.Exit(EXIT_FAILED)


__all__ = ["Failure", "dags"]
