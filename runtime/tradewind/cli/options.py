"""Options and arguments that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.model.specs import Json

F = TypeVar("F", bound=Callable[..., Any])


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


class Instant(click.ParamType):
    """A date or date and time, `2024-01-31` or ISO 8601; UTC where no zone is given."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The aware moment."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2024-01-31 or 2024-01-31T06:00:00+00:00.", param, ctx)


def parse_instant(text: str) -> datetime:
    """The moment that the text names. Raises ValueError."""
    from datetime import UTC

    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class JsonObject(click.ParamType):
    """A JSON object such as '{"n": 3}', or @file for the text of a file."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The object."""
        import orjson

        if isinstance(value, dict):
            return value
        try:
            text = Path(value[1:]).read_text() if str(value).startswith("@") else str(value)
            found = orjson.loads(text)
        except OSError as error:
            self.fail(f"{value[1:]!r} cannot be read: {error.strerror}.", param, ctx)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}.", param, ctx)
        if not isinstance(found, dict):
            self.fail(f'{value!r} is JSON, but not an object such as {{"n": 3}}.', param, ctx)
        return found


INSTANT = Instant()
JSON_OBJECT = JsonObject()
