"""Rows on standard output: a table for people, JSON, YAML and tab-separated text for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import click

from tradewind.cli.options import FOR_PROGRAMS

Row = Mapping[str, object]

STATE_STYLES: Final = {
    "success": "green",
    "running": "bright_green",
    "failed": "red",
    "queued": "bright_black",
    "scheduled": "bright_black",
    "skipped": "magenta",
    "upstream_failed": "yellow",
    "up_for_retry": "yellow",
    "up_for_reschedule": "cyan",
    "deferred": "cyan",
}


def emit(rows: Sequence[Row], output: str, columns: Sequence[str], *, empty: str = "No data found") -> None:
    """Prints the rows. `columns` name the keys of the table and of plain text; JSON and YAML have all keys."""
    if output == "json":
        click.echo(to_json(list(rows)))
    elif output == "yaml":
        click.echo(to_yaml(list(rows)), nl=False)
    elif output == "plain":
        for row in rows:
            click.echo("\t".join(cell(row.get(column)) for column in columns))
    elif not rows:
        click.echo(empty)
    elif sys.stdout.isatty():
        _rich_table(rows, columns)
    else:
        _plain_table(rows, columns)


def emit_one(row: Row, output: str) -> None:
    """Prints one thing, a line for each of its values."""
    if output == "json":
        click.echo(to_json(row))
    elif output == "yaml":
        click.echo(to_yaml(row), nl=False)
    else:
        width = max(len(name) for name in row)
        for name, value in row.items():
            click.echo(f"{name}\t{cell(value)}" if output == "plain" else f"{name:{width}}  {cell(value)}")


def emit_text(text: str, row: Row, output: str) -> None:
    """Prints the text for people, for programs what it says as one JSON or YAML object."""
    if output in FOR_PROGRAMS:
        emit_one(row, output)
    else:
        click.echo(text)


def cell(value: object) -> str:
    """A value in one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in cast("Sequence[object]", value))
    if isinstance(value, Mapping):
        return to_json(cast("Mapping[str, object]", value), indent=False)
    return " ".join(str(value).split("\n"))


def to_json(value: object, *, indent: bool = True) -> str:
    """Canonical JSON text."""
    import orjson

    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 if indent else None).decode()


def to_yaml(value: object) -> str:
    """YAML text in the order of the keys."""
    import orjson
    import yaml

    return yaml.safe_dump(orjson.loads(orjson.dumps(value, default=str)), sort_keys=False, allow_unicode=True)


def _rich_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text := cell(row.get(column)), style=STATE_STYLES.get(text, "")) for column in columns))
    Console().print(table)


def _plain_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[n]) for line in [list(columns), *cells]) for n in range(len(columns))]
    click.echo(" | ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip())
    click.echo("=+=".join("=" * width for width in widths))
    for line in cells:
        click.echo(" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
