"""`tradewind standalone`, `run`, `scheduler` and `webserver`: the long-running processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tradewind.cli.options import config_of, database_option

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.daemon import FilesRead, ReadyInfo

ROLES: Final = ("scheduler", "web")


_PAGES: Final = (
    click.option("-p", "--port", type=click.IntRange(0, 65535), help="Port of the pages; 0 takes a free one."),
    click.option("-H", "--host", "--hostname", "host", help="Address to listen on; 0.0.0.0 for every interface."),
)
_FILES: Final = (
    click.option(
        "--dags", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the DAG files."
    ),
    click.option("--examples/--no-examples", default=None, help="Whether the example DAGs are loaded."),
)
_LOGS: Final = (
    click.option(
        "-A",
        "--access-logfile",
        "--access_logfile",
        "access_logfile",
        metavar="FILE",
        help="One line a request, from the home folder on; -: standard error.",
    ),
    click.option(
        "-E",
        "--error-logfile",
        "--error_logfile",
        "error_logfile",
        metavar="FILE",
        help="What the web server says of itself and its errors; -: standard error.",
    ),
)

_BACKGROUND: Final = click.option(
    "-D", "--daemon", "background", is_flag=True, help="Go on in the background; log and number are in the home folder."
)


def _with(*options: Callable[..., Any]) -> Callable[..., Any]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return decorate


_daemon_options: Final = _with(*_PAGES, *_FILES, database_option)


@click.command()
@_daemon_options
@click.pass_context
def standalone(ctx: click.Context, /, **given: Any) -> None:
    """Everything in one process: database, scheduler, pages.

    Ctrl-C lets running tasks end; a second Ctrl-C stops at once. A new start goes on where this one was.
    With --database it makes the tables in an empty database.
    """
    _serve(ctx, frozenset(ROLES), given, make_tables=True)


@click.command()
@click.option(
    "--roles", default=",".join(ROLES), show_default=True, help="What this process does, separated by commas."
)
@_daemon_options
@click.pass_context
def run(ctx: click.Context, /, roles: str, **given: Any) -> None:
    """A runtime with the roles that you choose; start as many as you like on one database."""
    wanted = frozenset(role.strip() for role in roles.split(",") if role.strip())
    unknown = sorted(wanted - set(ROLES))
    if unknown or not wanted:
        named = f"{', '.join(unknown)} is no role." if unknown else "No role is named."
        raise click.BadParameter(f"{named} Roles: {', '.join(ROLES)}.", param_hint="--roles")
    _serve(ctx, wanted, given)


@click.command()
@_with(*_FILES, database_option, _BACKGROUND)
@click.pass_context
def scheduler(ctx: click.Context, /, **given: Any) -> None:
    """A runtime without the pages: it reads the DAG files, plans runs and carries out their tasks.

    The same as `run --roles scheduler`. `db init` makes the tables first.
    """
    _serve(ctx, frozenset({"scheduler"}), given)


@click.command()
@_with(*_PAGES, *_LOGS, database_option, _BACKGROUND)
@click.pass_context
def webserver(ctx: click.Context, /, **given: Any) -> None:
    """The pages and the REST API alone, beside a `scheduler`.

    The same as `run --roles web`, with a line a request on standard error or in a file.
    """
    if given["access_logfile"] is None and config_of(ctx).web.access_logfile is None:
        given["access_logfile"] = "-"
    _serve(ctx, frozenset({"web"}), given)


def _serve(ctx: click.Context, roles: frozenset[str], given: dict[str, Any], *, make_tables: bool = False) -> None:
    config = config_of(
        ctx,
        web__port=given.get("port"),
        web__host=given.get("host"),
        web__access_logfile=given.get("access_logfile"),
        web__error_logfile=given.get("error_logfile"),
        dags__folder=given.get("dags"),
        dags__load_examples=given.get("examples"),
        database__url=given["database"],
    )
    if given.get("background") and _went_on(config.home, ctx.info_name or "tradewind"):
        return
    from tradewind.daemon import Announcements, serve

    for variable, reason in config.ignored.items():
        click.echo(f"{variable} changes nothing: {reason}.", err=True)
    click.echo("Starting Tradewind …")
    announcements = Announcements(
        on_ready=lambda ready: click.echo(welcome(config, ready)),
        on_files_read=lambda read: click.echo(_line("DAGs", dags_read(read))),
    )
    code = serve(config, roles, announcements, make_tables=make_tables)
    ctx.exit(code)


def _went_on(home: Path, name: str) -> bool:
    """Whether the command goes on elsewhere, in the background."""
    from tradewind.cli.background import go_on_in_background

    number = go_on_in_background(home, f"tradewind-{name}")
    if number:
        click.echo(f"Process {number} goes on in the background: {home}/tradewind-{name}.log. Stop: kill {number}")
    return number != 0


def welcome(config: Config, ready: ReadyInfo) -> str:
    """What is where, in a few lines."""
    import os

    from tradewind.config_values import show
    from tradewind.version import VERSION

    lines = [("Tradewind", f"{VERSION}, ready after {ready.seconds:.1f} s, process {os.getpid()}")]
    if ready.url is not None:
        lines.append(("Pages", ready.url))
        secret = ready.password or f"password in {ready.password_file}"
        lines.append(("Login", f"{ready.username} / {secret}" if ready.username else "your own"))
    lines += [
        ("DAG files", f"{config.dags.folder}" + (" and the examples" if config.dags.load_examples else "")),
        ("Logs", str(config.logging.folder)),
        ("Database", show(config.database.url, secret=True) or f"PostgreSQL in {config.home}"),
        ("Stop", "Ctrl-C (again: at once)"),
    ]
    return "\n".join(_line(name, text) for name, text in lines)


def dags_read(read: FilesRead) -> str:
    """How many DAGs there are once all files have been read, and what to type where a file is faulty."""
    text = f"{read.dags}, read after {read.seconds:.1f} s"
    if not read.faulty_files:
        return text
    files = "a file has an error" if read.faulty_files == 1 else f"{read.faulty_files} files have errors"
    return f"{text}; {files}: tradewind dags list-import-errors"


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
