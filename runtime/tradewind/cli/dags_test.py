"""`tradewind dags test`: a whole run in this process, with no database and no server."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tradewind.cli.failures import EXIT_FAILED, run_async
from tradewind.cli.options import config_of, files_option, json_object, moment

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from tradewind.model.rows import InstanceRow
    from tradewind.model.specs import DagSpec
    from tradewind.ports import LiveEvent

TREE_LINES: Final = 60
"""Longer trees are not drawn live; each end of a task is a line instead."""

MARKS: Final = {
    "success": "✔",
    "failed": "✘",
    "running": "●",
    "skipped": "-",
    "upstream_failed": "!",
    "up_for_retry": "↻",
}


@click.command()
@click.argument("dag_id")
@click.argument("logical_date", type=moment, metavar="[DATE]", required=False)
@click.option("-c", "--conf", type=json_object, metavar="JSON", help="JSON for the run's conf, or @file.")
@files_option
@click.pass_context
def test(ctx: click.Context, /, dag_id: str, logical_date: datetime | None, **given: Any) -> None:
    """Run a DAG once, here, without a database. Exit code 1 if the run fails."""
    from tradewind.cli.dag_files import find_dag
    from tradewind.model.states import RunState
    from tradewind.trial import try_dag

    subdir: Path | None = given["subdir"]
    dag, _ = find_dag(config_of(ctx), dag_id, subdir)
    spec = dag.to_spec()
    shown = _LiveTree(spec) if sys.stdout.isatty() and len(spec.tasks) <= TREE_LINES else _Lines()
    at = logical_date or datetime.now(tz=UTC)
    with shown:
        report = run_async(try_dag(dag, conf=given["conf"], logical_date=at, on_event=shown.see))
    for task_id, error in report.errors.items():
        click.secho(f"\n{task_id}:", bold=True, err=True)
        click.echo(error, err=True)
    run = report.run
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0
    good = run.state is RunState.SUCCESS
    click.secho(f"{dag_id} {at.isoformat()}: {run.state} in {seconds:.2f} s", fg="green" if good else "red")
    if not good:
        raise click.exceptions.Exit(EXIT_FAILED)


class _Lines:
    """A line for each task that has ended, for pipes and large DAGs."""

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""
        for row in event.items:
            if row.ended_at is not None:
                click.echo(_line(row))


class _LiveTree:
    """The tree of the DAG with the state of each task, drawn anew as states change."""

    def __init__(self, spec: DagSpec) -> None:
        from rich.live import Live

        self._spec = spec
        self._rows: dict[str, InstanceRow] = {}
        self._live: Live = Live(get_renderable=self._draw, refresh_per_second=20)

    def __enter__(self) -> _LiveTree:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""
        self._rows.update((row.task_id, row) for row in event.items)

    def _draw(self) -> Text:
        from rich.text import Text

        from tradewind.cli.dag_graph import tree_rows
        from tradewind.cli.output import STATE_STYLES

        text = Text()
        for prefix, task, again in tree_rows(self._spec):
            row = self._rows.get(task.task_id)
            state = row.state.value if row is not None else "none"
            text.append(prefix, style="bright_black")
            text.append(f"{MARKS.get(state, '·')} {task.task_id}", style=STATE_STYLES.get(state, ""))
            if not again:
                text.append(f"  {state if row is not None else ''}{_took(row)}", style="bright_black")
            text.append("\n")
        return text


def _line(row: InstanceRow) -> str:
    index = f"[{row.map_index}]" if row.map_index >= 0 else ""
    return f"{MARKS.get(row.state.value, '·')} {row.task_id}{index} {row.state}{_took(row)}"


def _took(row: InstanceRow | None) -> str:
    if row is None or row.started_at is None or row.ended_at is None:
        return ""
    return f" {(row.ended_at - row.started_at).total_seconds():.2f} s"
