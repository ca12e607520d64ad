"""`tradewind variables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure, failing_clearly
from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit

if TYPE_CHECKING:
    from tradewind.ports import Store
    from tradewind.services.secret_files import Entries

_ON_EXISTING: Final = ("overwrite", "skip", "fail")


@click.group()
def variables() -> None:
    """Keep settings that DAGs share."""


@variables.command("list")
@output_option
@database_option
@click.pass_context
def list_variables(ctx: click.Context, output: str, database: str | None) -> None:
    """List the stored variables: their keys and what they are for. JSON and YAML show values too."""
    from tradewind.authoring.masking import is_sensitive

    config = config_of(ctx, database__url=database)
    rows = ask_store(config, lambda store: store.variable_list())
    shown = [
        {
            "key": row.key,
            "description": row.description or None,
            "is_sensitive": is_sensitive(row.key),
            "is_readable": row.value is not None,
        }
        for row in rows
    ]
    emit(shown, output, ["key", "description"])
    _warn_of([row.key for row in rows if row.value is None])


@variables.command()
@click.argument("key")
@click.option("-d", "--default", help="Printed where there is no such variable.")
@click.option("-j", "--json", "as_json", is_flag=True, help="The text is JSON: print the value that it stands for.")
@database_option
@click.pass_context
def get(ctx: click.Context, key: str, default: str | None, as_json: bool, database: str | None) -> None:
    """Print a variable, looked up as tasks do: secrets back ends, environment, database."""
    from tradewind.services.secrets import look_ups_of

    config = config_of(ctx, database__url=database)
    text = ask_store(config, lambda store: look_ups_of(config, store).variable(key))
    if text is None:
        if default is None:
            raise Failure(f"Variable {key} does not exist. Store it with: tradewind variables set {key} VALUE")
        click.echo(default)
    elif as_json:
        try:
            click.echo(json.dumps(json.loads(text)))
        except ValueError as error:
            raise Failure(f"variable {key!r} is not JSON ({error}): leave --json away, or store JSON") from error
    else:
        click.echo(text)


@variables.command("set")
@click.argument("key")
@click.argument("value")
@click.option("-j", "--json", "as_json", is_flag=True, help="VALUE is JSON: refuse what is not.")
@click.option("--description", help="What it is for. Not encrypted.")
@database_option
@click.pass_context
def set_variable(
    ctx: click.Context, key: str, value: str, as_json: bool, description: str | None, database: str | None
) -> None:
    """Store a variable, in place of one with this key."""
    if not key or len(key) > 250:
        raise click.BadParameter("a variable's key has 1 to 250 characters.", param_hint="KEY")
    if as_json:
        try:
            value = json.dumps(json.loads(value))
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not JSON: {error}.", param_hint="VALUE") from error
    config = config_of(ctx, database__url=database)
    ask_store(config, lambda store: store.variable_set(key, value, description))
    click.echo(f"Variable {key} created")


@variables.command()
@click.argument("key")
@database_option
@click.pass_context
def delete(ctx: click.Context, key: str, database: str | None) -> None:
    """Delete a stored variable."""
    config = config_of(ctx, database__url=database)

    async def work(store: Store) -> bool:
        existed = any(row.key == key for row in await store.variable_list())
        await store.variable_set(key, None)
        return existed

    if not ask_store(config, work):
        raise Failure(f"Variable {key} does not exist")
    click.echo(f"Variable {key} deleted")


@variables.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-a",
    "--action-on-existing-key",
    "existing",
    type=click.Choice(_ON_EXISTING),
    default="overwrite",
    show_default=True,
    help="What becomes of variables that are there already.",
)
@database_option
@click.pass_context
def import_variables(ctx: click.Context, file: Path, existing: str, database: str | None) -> None:
    """Store the variables of a JSON, YAML or env file."""
    from tradewind.services.secret_files import read_variables

    config = config_of(ctx, database__url=database)
    with failing_clearly():
        entries = read_variables(file)
    done, trouble = ask_store(config, lambda store: _import(store, entries, existing))
    click.echo(f"{done} of {done + len(trouble)} variables successfully updated.")
    if trouble:
        for line in trouble:
            click.echo(line, err=True)
        skipped_only = existing == "skip" and all(line.endswith("skipped.") for line in trouble)
        if not skipped_only:
            raise Failure(f"{len(trouble)} variable(s) failed to be updated.")


async def _import(store: Store, entries: Entries, existing: str) -> tuple[int, list[str]]:
    """How many were stored, and a line for each that was not."""
    known = {row.key for row in await store.variable_list()} if existing != "overwrite" else set[str]()
    trouble = [f"variable {key!r}: {why}" for key, why in entries.bad.items()]
    there = sorted(known & entries.good.keys())
    if there and existing == "fail":
        raise Failure(
            f"Failed. These keys: {', '.join(there)} already exist. Nothing was stored: "
            "use --action-on-existing-key overwrite or skip"
        )
    trouble += [f"variable {key!r} is there already: skipped." for key in there]
    done = 0
    for key, entry in entries.good.items():
        if key not in known:
            await store.variable_set(key, entry.value, entry.description)
            done += 1
    return done, trouble


@variables.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@database_option
@click.pass_context
def export(ctx: click.Context, file: Path, database: str | None) -> None:
    """Write all stored variables, decrypted, to a JSON file (- for standard output) that `import` reads."""
    from tradewind.cli.secret_output import write_private

    config = config_of(ctx, database__url=database)
    rows = ask_store(config, lambda store: store.variable_list())
    values: dict[str, object] = {}
    for row in rows:
        if row.value is not None:
            value = _decoded(row.value)
            values[row.key] = {"value": value, "description": row.description} if row.description else value
    write_private(file, json.dumps(values, indent=4, sort_keys=True) + "\n")
    click.echo(f"{len(values)} variables successfully exported to {file}", err=str(file) == "-")
    _warn_of([row.key for row in rows if row.value is None])


def _decoded(text: str) -> object:
    """What is exported: the JSON value where importing that gives the same text again, else the text."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value if not isinstance(value, str) and json.dumps(value) == text else text


def _warn_of(unreadable: list[str]) -> None:
    if unreadable:
        click.echo(
            f"Encrypted with a key that is not configured: {', '.join(unreadable)}. Give that key too, after a comma "
            "(core.fernet_key), or store them again.",
            err=True,
        )
