"""`tradewind dags test`: a whole run in this process, with no database and no server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tradewind.cli.failures import EXIT_FAILED, run_async
from tradewind.cli.options import FOR_PROGRAMS, config_of, files_option, json_object, moment
from tradewind.model.keys import UNMAPPED

if TYPE_CHECKING:
    from rich.text import Text

    from tradewind.control_ports import LiveEvent
    from tradewind.model.rows import InstanceRow
    from tradewind.model.specs import DagSpec
    from tradewind.trial import TrialReport

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

WORST_FIRST: Final = (
    "failed",
    "upstream_failed",
    "up_for_retry",
    "running",
    "queued",
    "scheduled",
    "success",
    "skipped",
)
"""Which state stands for a mapped task: the first that one of its instances has."""


@click.command()
@click.argument("dag_id")
@click.argument("logical_date", type=moment, metavar="[DATE]", required=False)
@click.option("-c", "--conf", type=json_object, metavar="JSON", help="JSON for the run's conf, or @file.")
@click.option(
    "--mark-success-pattern",
    metavar="REGEX",
    help="Tasks whose whole id matches are marked as success and do not run.",
)
@click.option(
    "--use-executor",
    is_flag=True,
    help="Tasks run as in production, sync ones in processes of their own; by default all run in this one.",
)
@click.option("--no-wait", is_flag=True, help="Sensors ask again at once: the time between is skipped, not waited.")
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="End the run as failed after this.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="json, yaml: states, XComs and errors as one object; what tasks print goes to standard error. "
    "JSON is the last line.",
)
@files_option
@click.pass_context
def test(ctx: click.Context, /, dag_id: str, logical_date: datetime | None, **given: Any) -> None:
    """Run a DAG once, here, without a database. Exit code 1 if the run fails.

    What tasks print is shown with their names before it. Retries follow at once.
    """
    from tradewind.cli.dag_files import find_dag
    from tradewind.cli.dags_test_answer import answer_of, to_line
    from tradewind.cli.output import to_yaml
    from tradewind.model.states import RunState
    from tradewind.trial import TrialPlan, marking, try_dag
    from tradewind.trial_output import TaskOutput
    from tradewind.trial_time import SkippingLoop
    from tradewind.trial_watch import TrialWatch

    if given["use_executor"] and given["no_wait"]:
        raise click.UsageError("--no-wait skips no time in other processes: leave it or --use-executor out.")
    plan = TrialPlan(marked=marking(given["mark_success_pattern"]), use_executor=given["use_executor"])
    subdir: Path | None = given["subdir"]
    dag, file = find_dag(config_of(ctx), dag_id, subdir)
    for_programs = given["output"] in FOR_PROGRAMS
    shown = _Quiet() if for_programs else _shown(dag.to_spec())
    output = TaskOutput(sys.stderr if for_programs else sys.stdout, shown.line, failures=for_programs)
    at = logical_date or datetime.now(tz=UTC)
    watch = TrialWatch(shown.see, output.record, partial(click.secho, fg="yellow", err=True), given["timeout"])
    trial = try_dag(dag, conf=given["conf"], logical_date=at, watch=watch, plan=plan)
    with shown:
        report = run_async(trial, SkippingLoop if given["no_wait"] else None)
    for task_id, reason in report.waiting.items():
        click.secho(f"{task_id} had not ended after {given['timeout']:g} s: {reason}", fg="yellow", err=True)
    if for_programs:
        answer = answer_of(report, file.path.read_bytes())
        click.echo(to_line(answer) if given["output"] == "json" else to_yaml(answer).rstrip())
    else:
        _tell(report, dag_id, at)
    if report.run.state is not RunState.SUCCESS:
        raise click.exceptions.Exit(EXIT_FAILED)


def _tell(report: TrialReport, dag_id: str, at: datetime) -> None:
    """The errors and the result, for people."""
    from tradewind.model.states import RunState

    for task_id, error in report.errors.items():
        click.secho(f"\n{task_id}:", bold=True, err=True)
        click.echo(error, err=True)
    run = report.run
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0
    good = run.state is RunState.SUCCESS
    click.secho(f"{dag_id} {at.isoformat()}: {run.state} in {seconds:.2f} s", fg="green" if good else "red")


def _shown(spec: DagSpec) -> _Quiet:
    return _LiveTree(spec) if sys.stdout.isatty() and len(spec.tasks) <= TREE_LINES else _Lines()


class _Quiet:
    """Shows nothing of states."""

    line: Callable[[str], None] | None = None
    """Prints a line of a task's output; None: as usual."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""


class _Lines(_Quiet):
    """A line for each task that has ended, for pipes and large DAGs."""

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""
        for row in event.items:
            if row.ended_at is not None:
                click.echo(_line(row))


class _LiveTree(_Quiet):
    """The tree of the DAG with the state of each task, drawn anew as states change."""

    def __init__(self, spec: DagSpec) -> None:
        from rich.console import Console
        from rich.live import Live

        self._spec = spec
        self._rows: dict[str, dict[int, InstanceRow]] = {}
        console = Console(file=sys.stdout)
        self._live: Live = Live(console=console, get_renderable=self._draw, refresh_per_second=20)
        self.line = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> _LiveTree:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""
        for row in event.items:
            instances = self._rows.setdefault(row.task_id, {})
            if row.map_index >= 0:
                instances.pop(UNMAPPED, None)
            instances[row.map_index] = row

    def _draw(self) -> Text:
        from rich.text import Text

        from tradewind.cli.dag_graph import tree_rows
        from tradewind.cli.output import STATE_STYLES

        text = Text()
        for prefix, task, again in tree_rows(self._spec):
            state, said = summary(self._rows.get(task.task_id, {}))
            text.append(prefix, style="bright_black")
            text.append(f"{MARKS.get(state, '·')} {task.task_id}", style=STATE_STYLES.get(state, ""))
            if not again:
                text.append(f"  {said}", style="bright_black")
            text.append("\n")
        return text


def summary(instances: Mapping[int, InstanceRow]) -> tuple[str, str]:
    """The state that stands for all instances of a task, and what is said of them: `2 success, 1 failed`."""
    rows = list(instances.values())
    if not rows:
        return "none", ""
    if len(rows) == 1 and rows[0].map_index == UNMAPPED:
        return rows[0].state.value, f"{rows[0].state.value}{_took(rows[0])}"
    counts = Counter(row.state.value for row in rows)
    worst = next((state for state in WORST_FIRST if counts[state]), rows[0].state.value)
    return worst, ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _line(row: InstanceRow) -> str:
    index = f"[{row.map_index}]" if row.map_index >= 0 else ""
    return f"{MARKS.get(row.state.value, '·')} {row.task_id}{index} {row.state}{_took(row)}"


def _took(row: InstanceRow | None) -> str:
    if row is None or row.started_at is None or row.ended_at is None:
        return ""
    return f" {(row.ended_at - row.started_at).total_seconds():.2f} s"
