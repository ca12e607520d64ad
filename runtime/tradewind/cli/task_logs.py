"""The log of a try on standard output."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import click

from tradewind.worker.log import LogRef
from tradewind.worker.log_reader import LogRecord, follow, read_log

STYLES: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


async def print_log(log_root: str, ref: LogRef, output: str, *, follow_on: bool) -> None:
    """Prints what is there; with `follow_on` also what comes, until the try has ended."""
    if follow_on:
        async for page in follow(log_root, ref):
            for record in page.records:
                click.echo(shown(record, output))
        return
    token: str | None = None
    printed = False
    while True:
        page = await asyncio.to_thread(read_log, log_root, ref, token)
        for record in page.records:
            click.echo(shown(record, output))
        printed = printed or bool(page.records)
        if page.finished or not page.records:
            break
        token = page.token
    if not printed:
        click.echo(f"Try {ref.try_number} of task {ref.task_id!r} has written nothing yet.", err=True)


def shown(record: LogRecord, output: str) -> str:
    """A record as a line for people, as a line of JSON, or as an entry of a YAML list."""
    from tradewind.cli.output import to_json, to_yaml

    if output == "json":
        return to_json(record._asdict(), indent=False)
    return to_yaml([record._asdict()]).rstrip("\n") if output == "yaml" else line_of(record)


def line_of(record: LogRecord) -> str:
    """`[time] LEVEL - message`; printed text stands as it was printed."""
    at = datetime.fromtimestamp(record.ts).astimezone()
    head = f"[{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}]"
    body = record.message if record.stream != "log" else f"{record.level} - {record.message}"
    return f"{head} " + click.style(body, fg=STYLES.get(record.level) if record.stream == "log" else None)
