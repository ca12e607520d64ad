"""`tradewind generate-fernet-key` and `rotate-fernet-key`."""

from __future__ import annotations

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, database_option


@click.command("generate-fernet-key")
def generate_fernet_key() -> None:
    """Print a new key for core.fernet_key."""
    from tradewind.store.crypto import generate_key

    click.echo(generate_key())


@click.command("rotate-fernet-key")
@database_option
@click.pass_context
def rotate_fernet_key(ctx: click.Context, database: str | None) -> None:
    """Encrypt all connections and variables with the first key of core.fernet_key ("new,old").

    Can be broken off and repeated at any time; runtimes need both keys until it is done.
    """
    config = config_of(ctx, database__url=database)
    done = ask_store(config, lambda store: store.secrets_rotate())
    click.echo(f"{done.changed} encrypted anew, {done.unchanged} were under the first key already.")
    if done.unreadable:
        raise Failure(
            f"no key opens: {', '.join(done.unreadable)}. They are left as they are: give their key too "
            "(core.fernet_key, separated by commas) and repeat this, or store them again"
        )
