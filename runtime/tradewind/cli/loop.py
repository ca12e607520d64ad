"""`tradewind loop`: asks a running server, for what a loop is used for is in its memory alone."""

from __future__ import annotations

from typing import Any, Final, cast

import click

from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit, emit_one
from tradewind.cli.running_server import ask_server, url_option, username_option

_KINDS: Final = ("dag_id", "task_id", "what", "place", "started", "running", "loop_seconds")
_HOSTS: Final = ("pid", "state", "running", "fileloc", "only")
_OFFENCES: Final = ("timestamp", "offence", "dag_id", "task_id", "seconds", "place", "where", "interrupted")


@click.command()
@url_option
@username_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Lines of each table.")
@output_option
@database_option
@click.pass_context
def loop(ctx: click.Context, url: str | None, username: str, limit: int, output: str, database: str | None) -> None:
    """Show who uses the event loop of the running server, who has blocked it, and its async hosts.

    Run it with the home folder of the server: its key signs the request.
    """
    report = ask_server(config_of(ctx, database__url=database), f"loop?limit={limit}", url, username)
    if output in ("json", "yaml"):
        emit_one(report, output)
        return
    counters = cast("dict[str, float]", report["counters"])
    isolated = [f"{kind['dag_id']}.{kind['task_id']}" for kind in report["isolated"]]
    emit_one({"isolation": report["isolation"], **counters, "isolated": isolated}, output)
    for title, name, columns in (
        ("Use of the loop", "kinds", _KINDS),
        ("Async hosts", "hosts", _HOSTS),
        ("Offences, the newest first", "offences", _OFFENCES),
    ):
        rows = [_row(row) for row in report[name]]
        if rows:
            click.echo(f"\n{title}")
            emit(rows, output, columns)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    if "offence" in row:
        place = f"{row['file']}:{row['line']} in {row['function']}"
        return {**row, "where": ", ".join(row["tasks"]) if row["tasks"] else place}
    if row.get("only"):
        return {**row, "only": f"{row['only']['dag_id']}.{row['only']['task_id']}"}
    return row
