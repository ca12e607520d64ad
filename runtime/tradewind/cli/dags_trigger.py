"""`tradewind dags trigger`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tradewind.cli.connected import ask_control
from tradewind.cli.failures import EXIT_FAILED, Failure
from tradewind.cli.options import FOR_PROGRAMS, config_of, database_option, json_object, moment, output_option

if TYPE_CHECKING:
    from tradewind.control_ports import Control, TriggerRequest
    from tradewind.model.rows import DagRow, RunRow

T = TypeVar("T")

UNOWNED_SECONDS: Final = 1.5
"""How long a request for a DAG without an owner waits for an answer."""


@click.command()
@click.argument("dag_id")
@click.option("-c", "--conf", type=json_object, metavar="JSON", help="JSON for the run's conf, or @file.")
@click.option("-r", "--run-id", help="By default manual__<logical date>.")
@click.option(
    "-e", "--exec-date", "--logical-date", "logical_date", type=moment, metavar="DATE", help="By default now."
)
@click.option("--partition-key", help="Which part of the data the run is about.")
@click.option("--note", help="A note that is shown with the run.")
@click.option("--unpause", is_flag=True, help="Unpause the DAG if it is paused.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit code 1 if the run fails.")
@click.option("--timeout", type=float, help="With --wait: seconds to wait at most.")
@output_option
@database_option
@click.pass_context
def trigger(ctx: click.Context, /, dag_id: str, **given: Any) -> None:
    """Start a run of a DAG."""
    from tradewind.control_ports import TriggerRequest

    request = TriggerRequest(
        dag_id,
        conf=given["conf"],
        dag_run_id=given["run_id"],
        logical_date=given["logical_date"],
        unpause=given["unpause"],
        note=given["note"],
        partition_key=given["partition_key"],
    )
    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> None:
        from tradewind.cli.runs import need_dag

        row = await need_dag(control.reads, dag_id)
        wish = _with_unpause(row, request)
        run = await asked(control, dag_id, control.run_trigger(wish))
        if run is None:
            _say_it_waits(dag_id, given["output"], wait=given["wait"])
            return
        if given["wait"]:
            click.echo(_created(run), err=given["output"] in FOR_PROGRAMS)
            await _await_end(control, run, given["timeout"], given["output"])
        else:
            _say_created(run, given["output"])

    ask_control(config, work)


def _with_unpause(row: DagRow, request: TriggerRequest) -> TriggerRequest:
    """Asks 'unpause and run?' where the DAG is paused and someone is there to answer."""
    if not row.is_paused or request.unpause:
        return request
    if not sys.stdin.isatty():
        raise Failure(f"DAG {row.dag_id!r} is paused: its run would not start. Add --unpause to switch it on.")
    if click.confirm(f"DAG {row.dag_id!r} is paused. Unpause and run?", default=True):
        return replace(request, unpause=True)
    raise Failure("nothing was triggered")


async def asked(control: Control, dag_id: str, wish: Coroutine[Any, Any, T]) -> T | None:
    """The answer to a wish; None where no runtime is there to give one: then it is kept for the next start."""
    from tradewind.services.mailed_wishes import MailPending

    row = await control.reads.dag_get(dag_id)
    patience = UNOWNED_SECONDS if row is not None and row.owner is None else None
    try:
        async with asyncio.timeout(patience):
            return await wish
    except (TimeoutError, MailPending):
        return None


def _say_it_waits(dag_id: str, output: str, *, wait: bool) -> None:
    from tradewind.cli.output import emit_text

    said = (
        f"No runtime is there to start DAG {dag_id!r} now. The request is kept in the database and carried out as soon "
        "as one runs: tradewind standalone"
    )
    if wait:
        raise Failure(said)
    emit_text(said, {"dag_id": dag_id, "dag_run_id": None, "state": None, "message": said}, output)


def _created(run: RunRow) -> str:
    at = f"{run.logical_date:%Y-%m-%d %H:%M:%S%z}"
    return f"Created <DagRun {run.dag_id} @ {at[:-2]}:{at[-2:]}: {run.dag_run_id}, externally triggered: True>"


def _say_created(run: RunRow, output: str) -> None:
    from tradewind.cli.output import emit_text

    emit_text(
        _created(run),
        {
            "dag_id": run.dag_id,
            "dag_run_id": run.dag_run_id,
            "logical_date": run.logical_date,
            "data_interval_start": run.interval_start,
            "data_interval_end": run.interval_end,
            "state": run.state.value,
            "external_trigger": run.external_trigger,
        },
        output,
    )


async def _await_end(control: Control, run: RunRow, timeout: float | None, output: str) -> None:
    from tradewind.model.states import RunState, TaskState

    began = datetime.now(tz=run.queued_at.tzinfo)
    try:
        ended = await control.run_wait(run.run_id, timeout)
    except TimeoutError:
        raise Failure(f"run {run.dag_run_id} has not ended within {timeout:g} s; it goes on") from None
    if output in FOR_PROGRAMS:
        _say_created(ended, output)
    seconds = ((ended.ended_at or began) - (ended.started_at or began)).total_seconds()
    click.echo(f"Run {ended.dag_run_id}: {ended.state} after {seconds:.2f} s", err=output in FOR_PROGRAMS)
    if ended.state is not RunState.SUCCESS:
        bad = [row for row in await control.reads.instance_list(ended.run_id) if row.state is TaskState.FAILED]
        for row in bad[:10]:
            which = f" --map-index {row.map_index}" if row.map_index >= 0 else ""
            command = f"tradewind tasks logs {ended.dag_id} {row.task_id} {ended.dag_run_id}{which}"
            click.echo(f"  failed: {row.task_id}   {command}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED)
