"""`tradewind db`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradewind.cli.failures import run_async
from tradewind.cli.options import FOR_PROGRAMS, config_of, database_option, output_option

if TYPE_CHECKING:
    from tradewind.config import Config


@click.group()
def db() -> None:
    """Prepare and check the database."""


@db.command()
@output_option
@database_option
@click.pass_context
def migrate(ctx: click.Context, database: str | None, output: str) -> None:
    """Make the tables, or bring them to this version. Does nothing where they are."""
    from tradewind.cli.output import emit_text
    from tradewind.database import database_url
    from tradewind.store.migrate import migrate_url, migrations

    config = config_of(ctx, database__url=database)

    async def work() -> list[int]:
        async with database_url(config) as url:
            return await migrate_url(url)

    place = _place(config)
    if output in ("table", "plain"):
        click.echo(f"DB: {place}")
    applied = run_async(work())
    names = {step.number: step.name.replace("_", " ") for step in migrations()}
    lines = [
        f"Running upgrade {f'{number - 1:04}' if number > 1 else ''} -> {number:04}, {names[number]}"
        for number in applied
    ]
    lines.append("Database migrating done!" if applied else "The database is up to date.")
    done = [{"number": number, "name": names[number]} for number in applied]
    emit_text("\n".join(lines), {"database": place, "applied": done}, output)


def _place(config: Config) -> str:
    from tradewind.config_values import show

    return show(config.database.url, secret=True) or f"built-in PostgreSQL in {config.home}"


db.add_command(migrate, "init")
db.add_command(migrate, "upgrade")


@db.command()
@output_option
@database_option
@click.pass_context
def check(ctx: click.Context, database: str | None, output: str) -> None:
    """Say whether the database can be reached and has this version's tables. Exit code 3 if not."""
    from tradewind.cli.output import emit_text
    from tradewind.database import database_url
    from tradewind.store.migrate import check_url

    config = config_of(ctx, database__url=database)

    async def work() -> None:
        async with database_url(config) as url:
            await check_url(url)

    run_async(work())
    emit_text("Connection successful.", {"database": _place(config), "status": "healthy"}, output)


@db.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
@database_option
@click.pass_context
def reset(ctx: click.Context, yes: bool, database: str | None, output: str) -> None:
    """Delete everything that Tradewind keeps in the database, and make the tables anew."""
    from tradewind.cli.output import emit_text
    from tradewind.database import database_url
    from tradewind.store.migrate import reset_url

    config = config_of(ctx, database__url=database)
    place = _place(config)
    if not yes:
        question = f"This deletes all DAG runs, logins, connections and variables in {place}. Go on?"
        click.confirm(question, abort=True, err=output in FOR_PROGRAMS)

    async def work() -> None:
        async with database_url(config) as url:
            await reset_url(url)

    run_async(work())
    emit_text("The database is empty and ready.", {"database": place, "status": "empty"}, output)
