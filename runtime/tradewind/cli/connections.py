"""`tradewind connections`: see and change them. Files are read and written in `connection_files`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.connection_files import export_connections, import_connections
from tradewind.cli.failures import Failure, run_async
from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit

if TYPE_CHECKING:
    from tradewind.authoring.connection import Connection
    from tradewind.config import Config
    from tradewind.ports import Store

_COLUMNS: Final = ["conn_id", "conn_type", "description", "host", "schema", "login", "port", "is_readable"]
_FIELDS: Final = ("type", "host", "login", "password", "schema", "port", "extra")


@click.group()
def connections() -> None:
    """Keep addresses and credentials of other systems."""


@connections.command("list")
@click.option("--conn-id", help="Only this one.")
@output_option
@database_option
@click.pass_context
def list_connections(ctx: click.Context, conn_id: str | None, output: str, database: str | None) -> None:
    """List the stored connections, without their secrets."""
    from tradewind.authoring.connection import Connection

    config = config_of(ctx, database__url=database)
    rows: list[dict[str, object]] = []
    for row in ask_store(config, lambda store: store.connection_list()):
        if conn_id in (None, row.conn_id):
            found = Connection(row.conn_id) if row.value is None else Connection.from_text(row.conn_id, row.value)
            rows.append({**_public(found), "is_readable": row.value is not None})
    emit(rows, output, _COLUMNS)


@connections.command()
@click.argument("conn_id")
@output_option
@database_option
@click.pass_context
def get(ctx: click.Context, conn_id: str, output: str, database: str | None) -> None:
    """Show a connection with its secrets, looked up as tasks do: back ends, environment, database."""
    found = _look_up(config_of(ctx, database__url=database), conn_id)
    row = {
        **_public(found),
        "password": found.password,
        "extra_dejson": found.extra_dejson,
        "get_uri": found.get_uri(),
    }
    emit([row], output, [*_COLUMNS[:-1], "password", "extra_dejson", "get_uri"])


@connections.command()
@click.argument("conn_id")
@click.option("--conn-uri", help="All of it as a URI: TYPE://LOGIN:PASSWORD@HOST:PORT/SCHEMA?EXTRA.")
@click.option("--conn-json", help="All of it as a JSON object of the fields.")
@click.option("--conn-type", help="Such as postgres or http.")
@click.option("--conn-description", help="What it is for.")
@click.option("--conn-host")
@click.option("--conn-login")
@click.option("--conn-password")
@click.option("--conn-schema", help="The database's name; http or https for HTTP.")
@click.option("--conn-port", type=click.IntRange(0, 65535))
@click.option("--conn-extra", help="Further fields, a JSON object.")
@database_option
@click.pass_context
def add(ctx: click.Context, /, conn_id: str, database: str | None, **given: Any) -> None:
    """Store a new connection."""
    if not conn_id or len(conn_id) > 250:
        raise click.BadParameter("a connection's id has 1 to 250 characters.", param_hint="CONN_ID")
    connection = _given(conn_id, given)
    config = config_of(ctx, database__url=database)

    async def work(store: Store) -> None:
        if any(row.conn_id == conn_id for row in await store.connection_list()):
            raise Failure(
                f"A connection with `conn_id`={conn_id} already exists. Delete it first: "
                f"tradewind connections delete {conn_id}"
            )
        await store.connection_set(conn_id, connection.stored_text())

    ask_store(config, work)
    click.echo(f"Successfully added `conn_id`={conn_id} : {_masked_uri(connection)}")


@connections.command()
@click.argument("conn_id")
@database_option
@click.pass_context
def delete(ctx: click.Context, conn_id: str, database: str | None) -> None:
    """Delete a stored connection."""
    config = config_of(ctx, database__url=database)

    async def work(store: Store) -> None:
        if all(row.conn_id != conn_id for row in await store.connection_list()):
            raise Failure(f"Did not find a connection with `conn_id`={conn_id}")
        await store.connection_set(conn_id, None)

    ask_store(config, work)
    click.echo(f"Successfully deleted connection with `conn_id`={conn_id}")


@connections.command()
@click.argument("conn_id")
@database_option
@click.pass_context
def test(ctx: click.Context, conn_id: str, database: str | None) -> None:
    """Try whether the other side answers. Exit code 1 if not."""
    from tradewind.services.try_connection import try_connection

    found = _look_up(config_of(ctx, database__url=database), conn_id)
    tried = run_async(try_connection(found))
    if not tried.worked:
        raise Failure(f"Connection failed! {tried.message}")
    click.echo(f"Connection success! {tried.message}")


@connections.command("create-default-connections")
@database_option
@click.pass_context
def create_default_connections(ctx: click.Context, database: str | None) -> None:
    """Store Airflow's example connections (postgres_default and so on) where they are missing."""
    from tradewind.services.default_connections import make_default_connections

    config = config_of(ctx, database__url=database)
    made = ask_store(config, make_default_connections)
    click.echo(f"{len(made)} connections made" + (": " + ", ".join(made) if made else ""))


connections.add_command(import_connections)
connections.add_command(export_connections)


def _look_up(config: Config, conn_id: str) -> Connection:
    """As tasks do. Raises Failure where nobody has it or its text cannot be read."""
    from tradewind.authoring.connection import Connection
    from tradewind.authoring.defaults import use_defaults
    from tradewind.services.secrets import look_ups_of

    text = ask_store(config, lambda store: look_ups_of(config, store).connection(conn_id))
    if text is None:
        raise Failure(
            f"Connection not found: neither the environment (AIRFLOW_CONN_{conn_id.upper()}) nor the database has "
            f"{conn_id!r}. Store it with: tradewind connections add {conn_id} --conn-uri URI"
        )
    try:
        with use_defaults(config.authoring_defaults()):
            return Connection.from_text(conn_id, text)
    except ValueError as error:
        raise Failure(f"connection {conn_id!r} cannot be read: {error}") from error


def _given(conn_id: str, given: dict[str, Any]) -> Connection:
    """The connection that the options describe. Raises click.UsageError."""
    from tradewind.authoring.connection import Connection

    uri, text, about = given["conn_uri"], given["conn_json"], given["conn_description"]
    fields = {name: given[f"conn_{name}"] for name in _FIELDS if given[f"conn_{name}"] is not None}
    ways = [name for name, value in (("--conn-uri", uri), ("--conn-json", text), ("--conn-type", fields)) if value]
    if len(ways) != 1:
        raise click.UsageError(
            "Give --conn-uri, or --conn-json, or --conn-type with the single fields"
            + (f": {' and '.join(ways)} do not go together." if ways else ".")
        )
    if fields and "type" not in fields:
        raise click.UsageError("--conn-type is missing: which kind of system is it?")
    try:
        if uri:
            return Connection(conn_id, uri=uri, description=about)
        if text:
            found = Connection.from_json(text, conn_id)
            found.description = about or found.description
            return found
        fields["conn_type"] = fields.pop("type")
        found = Connection(conn_id, description=about, **fields)
        if found.extra and not isinstance(json.loads(found.extra), dict):
            raise ValueError("--conn-extra has to be a JSON object")
        return found
    except json.JSONDecodeError as error:
        option = "--conn-json" if text else "--conn-extra"
        raise click.UsageError(f"{option} is not JSON: {error}") from error
    except ValueError as error:
        raise click.UsageError(f"The connection cannot be read: {error}") from error


def _public(found: Connection) -> dict[str, object]:
    names = ("conn_id", "conn_type", "description", "host", "schema", "login", "port")
    return {name: getattr(found, name) for name in names}


def _masked_uri(connection: Connection) -> str:
    """The URI without the password and the extra."""
    login = connection.login or ""
    secret = ":******" if connection.password else ""
    at = f"{login}{secret}@" if login or secret else ""
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.conn_type}://{at}{connection.host or ''}{port}/{connection.schema or ''}"
