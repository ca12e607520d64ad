"""`tradewind users`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, database_option

if TYPE_CHECKING:
    from tradewind.ports import Store


@click.group()
def users() -> None:
    """Make logins for the pages and the REST API."""


@users.command()
@click.option("-u", "--username", required=True)
@click.option("-p", "--password", help="Asked for where it is not given.")
@click.option("-r", "--role", default="Viewer", show_default=True, help="Admin, Op, User or Viewer.")
@click.option("-f", "--firstname", help="Understood for Airflow's sake; not kept.")
@click.option("-l", "--lastname", help="Understood for Airflow's sake; not kept.")
@click.option("-e", "--email", help="Understood for Airflow's sake; not kept.")
@database_option
@click.pass_context
def create(ctx: click.Context, /, **given: str | None) -> None:
    """Make a login, or give an existing one a new password and role."""
    from tradewind.model.rows import UserRow
    from tradewind.web.auth.passwords import hash_password
    from tradewind.web.roles import Role

    username, role = str(given["username"]), str(given["role"])
    known = {item.value.lower(): item.value for item in Role}
    if role.lower() not in known:
        raise click.BadParameter(f"{role!r} is not one of {', '.join(known.values())}.", param_hint="--role")
    password = given["password"] or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    config = config_of(ctx, database__url=given["database"])

    async def work(store: Store) -> bool:
        before = await store.user_get(username)
        await store.user_set(UserRow(username, await hash_password(str(password)), known[role.lower()]))
        return before is not None

    existed = ask_store(config, work)
    click.echo(f'User "{username}" {"changed" if existed else "created"} with role "{known[role.lower()]}"')


@users.command()
@click.argument("username")
@database_option
@click.pass_context
def show(ctx: click.Context, username: str, database: str | None) -> None:
    """Say whether there is such a login, and its role."""
    config = config_of(ctx, database__url=database)

    async def work(store: Store) -> tuple[str, bool] | None:
        row = await store.user_get(username)
        return (row.role, row.is_active) if row is not None else None

    found = ask_store(config, work)
    if found is None:
        raise Failure(f"there is no user {username!r}")
    click.echo(f"{username}\t{found[0]}\t{'active' if found[1] else 'locked'}")
