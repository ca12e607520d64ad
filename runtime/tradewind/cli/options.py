"""Options and arguments that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.model.specs import Json

F = TypeVar("F", bound=Callable[..., Any])

FOR_PROGRAMS: Final = ("json", "yaml")
"""With these nothing but the answer goes to standard output; what else there is to say, to standard error."""


def output_option(command: F) -> F:
    """`--output table|json|yaml|plain`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "yaml", "plain"]),
        default="table",
        show_default=True,
        help="How rows are printed. plain: tab-separated, without a heading.",
    )(command)


def database_option(command: F) -> F:
    """`--database URL`."""
    return click.option("--database", metavar="URL", help="Your own PostgreSQL instead of the built-in one.")(command)


def files_option(command: F) -> F:
    """`--subdir PATH`, Airflow's name for where the DAG file is."""
    return click.option(
        "-S",
        "--subdir",
        "--file",
        "subdir",
        type=click.Path(exists=True, path_type=Path),
        help="The DAG file, or a folder to look in, instead of the DAG folder.",
    )(command)


def config_of(ctx: click.Context, **overrides: Json) -> Config:
    """The configuration for this command. `overrides` are `section__key` to values; None: not given.

    Raises ConfigError.
    """
    from tradewind.config import load_config

    root = ctx.find_root().obj
    named = {name.replace("__", ".", 1): value for name, value in overrides.items() if value is not None}
    return load_config(root if isinstance(root, Path) else None, named)


def moment(text: str) -> datetime:
    """The type of options and arguments that are dates: `2024-01-31` or ISO 8601; UTC where no zone is given."""
    try:
        return parse_instant(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date such as 2024-01-31 or 2024-01-31T06:00:00+00:00.") from None


def parse_instant(text: str) -> datetime:
    """The moment that the text names. Raises ValueError."""
    from datetime import UTC

    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def json_value(text: str) -> Any:
    """The type of arguments that are any JSON value, or @file for the text of a file."""
    import orjson

    try:
        return orjson.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as error:
        raise click.BadParameter(f"{text[1:]!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}.") from error


def json_object(text: str) -> dict[str, Any]:
    """The type of options that are a JSON object such as '{"n": 3}', or @file for the text of a file."""
    found: object = json_value(text)
    if not isinstance(found, dict):
        raise click.BadParameter(f'{text!r} is JSON, but not an object such as {{"n": 3}}.')
    return cast("dict[str, Any]", found)
