"""The command `tradewind`: its groups, each imported when it is used."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.failures import failing_clearly

if TYPE_CHECKING:
    from io import TextIOWrapper

COMMANDS: Final = {
    "standalone": ("tradewind.cli.daemon:standalone", "Everything in one process: database, scheduler, pages."),
    "run": ("tradewind.cli.daemon:run", "A runtime with the roles that you choose; start as many as you like."),
    "scheduler": ("tradewind.cli.daemon:scheduler", "A runtime without the pages."),
    "webserver": ("tradewind.cli.daemon:webserver", "The pages and the REST API alone."),
    "dags": ("tradewind.cli.dags:dags", "List, show, trigger, test and pause DAGs."),
    "tasks": ("tradewind.cli.tasks:tasks", "List, test, render, look into and signal tasks."),
    "inputs": ("tradewind.cli.human_inputs:inputs", "See what tasks ask people, and answer."),
    "bundles": ("tradewind.cli.bundles:bundles", "See where DAG files come from, and fetch them."),
    "assets": ("tradewind.cli.assets:assets", "Look at assets, and have them made."),
    "connections": ("tradewind.cli.connections:connections", "Keep addresses and credentials of other systems."),
    "variables": ("tradewind.cli.variables:variables", "Keep settings that DAGs share."),
    "pools": ("tradewind.cli.pools:pools", "Limit how many tasks of a kind run at once."),
    "db": ("tradewind.cli.db:db", "Prepare and check the database."),
    "config": ("tradewind.cli.config:config", "Show the configuration and where each value comes from."),
    "users": ("tradewind.cli.users:users", "Make logins for the pages and the REST API."),
    "completion": ("tradewind.cli.system:completion", "Completion on Tab for bash, zsh or fish."),
    "generate-fernet-key": ("tradewind.cli.fernet:generate_fernet_key", "Make a key that encrypts secrets."),
    "rotate-fernet-key": ("tradewind.cli.fernet:rotate_fernet_key", "Encrypt all secrets with the newest key."),
    "loop": ("tradewind.cli.loop:loop", "Who uses the running server's event loop, and who has blocked it."),
    "info": ("tradewind.cli.system:info", "What is installed and where everything is."),
    "version": ("tradewind.cli.system:version", "Print the version."),
}
"""Name to where it is and what it does: `--help` of the whole imports none of them."""


_WHILE_STARTING: Final = (50_000, 20, 100)
"""Thresholds of the garbage collector: what is imported stays, and looking through it takes a tenth of the time."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, with its module imported."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name for a typing error."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], list(COMMANDS), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; our errors become one sentence and an exit code."""
        with failing_clearly():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="The home folder; by default $TRADEWIND_HOME, $AIRFLOW_HOME or ~/.tradewind.",
)
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """Tradewind runs workflows.

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the database cannot be reached.
    """
    ctx.obj = home


def main() -> None:
    """The console script. Threads that a DAG file has started do not hold up its end."""
    gc.set_threshold(*_WHILE_STARTING)
    _make_streams_usable()
    try:
        cli(prog_name="tradewind")
    except SystemExit as end:
        if all(thread is threading.main_thread() or thread.daemon for thread in threading.enumerate()):
            raise
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _make_streams_usable() -> None:
    """What the console's encoding does not have is written as an escape, and a closed standard stream leads nowhere.

    A number below three that is free is given to the next file that is opened, and the loop refuses to close it again.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    with contextlib.suppress(AttributeError):  # no stream of the interpreter's own
        cast("TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")
