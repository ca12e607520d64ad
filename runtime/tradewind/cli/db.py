"""`tradewind db`."""

from __future__ import annotations

import click

from tradewind.cli.failures import run_async
from tradewind.cli.options import config_of, database_option


@click.group()
def db() -> None:
    """Prepare and check the database."""


@db.command()
@database_option
@click.pass_context
def migrate(ctx: click.Context, database: str | None) -> None:
    """Make the tables, or bring them to this version. Does nothing where they are."""
    from tradewind.config_values import show
    from tradewind.database import database_url
    from tradewind.store.migrate import migrate_url, migrations

    config = config_of(ctx, database__url=database)

    async def work() -> list[int]:
        async with database_url(config) as url:
            return await migrate_url(url)

    click.echo(f"DB: {show(config.database.url, secret=True) or f'built-in PostgreSQL in {config.home}'}")
    applied = run_async(work())
    names = {step.number: step.name for step in migrations()}
    for number in applied:
        before = f"{number - 1:04}" if number > 1 else ""
        click.echo(f"Running upgrade {before} -> {number:04}, {names[number].replace('_', ' ')}")
    click.echo("Database migrating done!" if applied else "The database is up to date.")


db.add_command(migrate, "init")
db.add_command(migrate, "upgrade")


@db.command()
@database_option
@click.pass_context
def check(ctx: click.Context, database: str | None) -> None:
    """Say whether the database can be reached and has this version's tables. Exit code 3 if not."""
    from tradewind.database import database_url
    from tradewind.store.migrate import check_url

    config = config_of(ctx, database__url=database)

    async def work() -> None:
        async with database_url(config) as url:
            await check_url(url)

    run_async(work())
    click.echo("Connection successful.")


@db.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@database_option
@click.pass_context
def reset(ctx: click.Context, yes: bool, database: str | None) -> None:
    """Delete everything that Tradewind keeps in the database, and make the tables anew."""
    from tradewind.config_values import show
    from tradewind.database import database_url
    from tradewind.store.migrate import reset_url

    config = config_of(ctx, database__url=database)
    place = show(config.database.url, secret=True) or f"built-in PostgreSQL in {config.home}"
    if not yes:
        click.confirm(f"This deletes all DAG runs, logins, connections and variables in {place}. Go on?", abort=True)

    async def work() -> None:
        async with database_url(config) as url:
            await reset_url(url)

    run_async(work())
    click.echo("The database is empty and ready.")
