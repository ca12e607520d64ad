"""`tradewind assets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from tradewind.cli.connected import ask_control, ask_store
from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit, emit_one

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.model.assets import AssetRow

_COLUMNS: Final = ["name", "uri", "group", "consuming_dags", "producing_tasks"]

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
