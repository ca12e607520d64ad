"""`tradewind connections import` and `export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure, failing_clearly
from tradewind.cli.options import config_of, database_option

if TYPE_CHECKING:
    from tradewind.authoring.connection import Connection
    from tradewind.ports import Store

_FORMATS: Final = ("json", "yaml", "env")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace connections that are there already.")
@database_option
@click.pass_context
def import_connections(ctx: click.Context, file: Path, overwrite: bool, database: str | None) -> None:
    """Store the connections of a JSON, YAML or env file."""
    from tradewind.services.secret_files import read_connections

    config = config_of(ctx, database__url=database)
    with failing_clearly():
        entries = read_connections(file)

    async def work(store: Store) -> tuple[list[str], list[str]]:
        known = set[str]() if overwrite else {row.conn_id for row in await store.connection_list()}
        fresh = [conn_id for conn_id in entries.good if conn_id not in known]
        for conn_id in fresh:
            await store.connection_set(conn_id, entries.good[conn_id].stored_text())
        return fresh, [conn_id for conn_id in entries.good if conn_id in known]

    fresh, there = ask_store(config, work)
    for conn_id in fresh:
        click.echo(f"Imported connection {conn_id}")
    for conn_id in there:
        click.echo(f"Could not import connection {conn_id}: connection already exists (--overwrite).", err=True)
    for conn_id, why in entries.bad.items():
        click.echo(f"Could not import connection {conn_id}: {why}", err=True)
    click.echo(f"{len(fresh)} of {len(entries.good) + len(entries.bad)} connections imported.")
    if entries.bad:
        raise Failure(f"{len(entries.bad)} connection(s) of {file} cannot be read")


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--file-format", "--format", "file_format", type=click.Choice(_FORMATS), help="Else by the file's name.")
@click.option(
    "--serialization-format",
    type=click.Choice(["uri", "json"]),
    help="How env files write a connection; uri where nothing is said.",
)
@database_option
@click.pass_context
def export_connections(
    ctx: click.Context, file: Path, file_format: str | None, serialization_format: str | None, database: str | None
) -> None:
    """Write all stored connections, with their secrets, to a file (- for standard output) that `import` reads."""
    from tradewind.authoring.connection import Connection
    from tradewind.cli.secret_output import write_private

    if file_format is None:
        file_format = _format_of(file)
    if serialization_format and file_format != "env":
        raise click.UsageError("--serialization-format is for env files only.")
    config = config_of(ctx, database__url=database)
    rows = ask_store(config, lambda store: store.connection_list())
    found = {row.conn_id: Connection.from_text(row.conn_id, row.value) for row in rows if row.value is not None}
    write_private(file, _text(found, file_format, serialization_format or "uri"))
    unreadable = [row.conn_id for row in rows if row.value is None]
    click.echo(f"{len(found)} connections successfully exported to {file}.", err=True)
    if unreadable:
        raise Failure(f"left out, for no configured key opens them (core.fernet_key): {', '.join(unreadable)}")


def _format_of(file: Path) -> str:
    from tradewind.services.secret_files import format_of

    if str(file) == "-":
        return "json"
    with failing_clearly():
        return format_of(file)


def _text(found: dict[str, Connection], file_format: str, serialization: str) -> str:
    if file_format == "env":
        lines = [
            f"{conn_id}={each.get_uri() if serialization == 'uri' else each.as_json()}\n"
            for conn_id, each in found.items()
        ]
        return "".join(lines)
    fields = {conn_id: _fields(each) for conn_id, each in found.items()}
    if file_format == "json":
        return json.dumps(fields, indent=2) + "\n"
    import yaml

    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _fields(each: Connection) -> dict[str, object]:
    names = ("conn_type", "description", "login", "password", "host", "port", "schema", "extra")
    return {name: getattr(each, name) for name in names}
