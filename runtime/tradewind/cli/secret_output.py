"""Files that hold secrets: readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tradewind.cli.failures import Failure


def write_private(file: Path, text: str) -> None:
    """Writes a file with mode 600; `-` is standard output. Raises Failure."""
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
