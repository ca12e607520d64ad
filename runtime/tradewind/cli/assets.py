"""`tradewind assets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from tradewind.cli.connected import ask_control, ask_store
from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit, emit_one
from tradewind.cli.running_server import ask_server, url_option, username_option

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.model.assets import AssetRow

_COLUMNS: Final = ["name", "uri", "group", "consuming_dags", "producing_tasks"]
_WATCHERS: Final = [
    "asset_uri",
    "name",
    "kind",
    "state",
    "dag_ids",
    "events",
    "last_event_at",
    "failures",
    "last_error",
]

_name_option = click.option("--name", help="The asset's name.")
_uri_option = click.option("--uri", help="The asset's URI.")


@click.group()
def assets() -> None:
    """Look at assets, and have them made."""


@assets.command("list")
@output_option
@database_option
@click.pass_context
def list_assets(ctx: click.Context, output: str, database: str | None) -> None:
    """List the assets that DAGs name or tasks have sent events of."""
    rows = [_shown(row) for row in _known(config_of(ctx, database__url=database))]
    emit(rows, output, _COLUMNS, empty="No assets yet: DAGs name them in schedule=, inlets= and outlets=.")


@assets.command()
@_name_option
@_uri_option
@output_option
@database_option
@click.pass_context
def details(ctx: click.Context, name: str | None, uri: str | None, output: str, database: str | None) -> None:
    """Show one asset."""
    emit_one(_shown(_one(_known(config_of(ctx, database__url=database)), name, uri)), output)


@assets.command()
@_name_option
@_uri_option
@output_option
@database_option
@click.pass_context
def materialize(ctx: click.Context, name: str | None, uri: str | None, output: str, database: str | None) -> None:
    """Run the DAG that makes an asset."""
    from tradewind.control_ports import TriggerRequest
    from tradewind.model.assets import OUTLET

    config = config_of(ctx, database__url=database)
    row = _one(_known(config), name, uri)
    makers = sorted({dag_id for dag_id, use in row.uses if use.role == OUTLET})
    if len(makers) != 1:
        why = (
            f"{len(makers)} DAGs make it ({', '.join(makers)}): use `tradewind dags trigger`"
            if makers
            else ("no DAG makes it: none has a task with this asset in outlets=")
        )
        raise Failure(f"asset {row.name!r} cannot be materialized: {why}.")

    run = ask_control(config, lambda control: control.run_trigger(TriggerRequest(makers[0])))
    emit_one({"dag_id": run.dag_id, "dag_run_id": run.dag_run_id, "state": run.state.value}, output)


@assets.command()
@url_option
@username_option
@output_option
@database_option
@click.pass_context
def watchers(ctx: click.Context, url: str | None, username: str, output: str, database: str | None) -> None:
    """Show the watchers that the running server carries out, and how they get on.

    Run it with the home folder of the server: its key signs the request.
    """
    report = ask_server(config_of(ctx, database__url=database), "assets/watchers", url, username)
    rows = [{**row, "last_error": _last_line(row["last_error"], output)} for row in report["watchers"]]
    emit(rows, output, _WATCHERS, empty="No watchers: name them in Asset(…, watchers=[…]) of a DAG.")


def _last_line(error: str | None, output: str) -> str | None:
    """Tables have room for what has happened, not for where."""
    return error if error is None or output in ("json", "yaml") else error.rstrip().rpartition("\n")[2]


def _known(config: Config) -> list[AssetRow]:
    return ask_store(config, lambda store: store.asset_list())


def _one(rows: list[AssetRow], name: str | None, uri: str | None) -> AssetRow:
    if (name is None) == (uri is None):
        raise click.UsageError("Give either --name or --uri.")
    found = [row for row in rows if name in (None, row.name) and uri in (None, row.uri)]
    if not found:
        raise Failure(f"there is no asset {name or uri!r}. See: tradewind assets list")
    if len(found) > 1:
        raise Failure(f"{len(found)} assets are called {name!r}: give --uri, one of {', '.join(r.uri for r in found)}")
    return found[0]


def _shown(row: AssetRow) -> dict[str, object]:
    import orjson

    from tradewind.model.assets import OUTLET, SCHEDULE

    return {
        "name": row.name,
        "uri": row.uri,
        "group": row.group,
        "extra": orjson.loads(row.extra),
        "aliases": list(row.aliases),
        "consuming_dags": sorted({dag_id for dag_id, use in row.uses if use.role == SCHEDULE}),
        "producing_tasks": sorted({f"{dag_id}.{use.task_id}" for dag_id, use in row.uses if use.role == OUTLET}),
        "updated_at": row.updated_at,
    }
