"""`tradewind pools`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, database_option, output_option
from tradewind.cli.output import emit

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.model.rows import PoolRow
    from tradewind.ports import Store

_COLUMNS: Final = ["pool", "slots", "running", "queued", "scheduled", "deferred", "open", "description"]


@click.group()
def pools() -> None:
    """Limit how many tasks of a kind run at once."""


@pools.command("list")
@output_option
@database_option
@click.pass_context
def list_pools(ctx: click.Context, output: str, database: str | None) -> None:
    """List the pools and their use."""
    emit(_rows(config_of(ctx, database__url=database)), output, _COLUMNS)


@pools.command()
@click.argument("pool")
@output_option
@database_option
@click.pass_context
def get(ctx: click.Context, pool: str, output: str, database: str | None) -> None:
    """Show a pool and its use."""
    rows = [row for row in _rows(config_of(ctx, database__url=database)) if row["pool"] == pool]
    if not rows:
        raise Failure(f"Pool {pool} does not exist. See: tradewind pools list")
    emit(rows, output, _COLUMNS)


@pools.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("pool")
@click.argument("slots", type=click.IntRange(min=-1))
@click.argument("description", default="")
@click.option("--include-deferred", is_flag=True, help="Deferred tasks keep their slots.")
@database_option
@click.pass_context
def set_pool(
    ctx: click.Context, pool: str, slots: int, description: str, include_deferred: bool, database: str | None
) -> None:
    """Make or change a pool; SLOTS of -1 are no limit. It counts at once, in every runtime."""
    from tradewind.model.rows import PoolRow

    if not pool or len(pool) > 250:
        raise click.BadParameter("a pool's name has 1 to 250 characters.", param_hint="POOL")
    config = config_of(ctx, database__url=database)
    ask_store(config, lambda store: store.pool_set(PoolRow(pool, slots, description, include_deferred)))
    click.echo(f"Pool {pool} created")


@pools.command()
@click.argument("pool")
@database_option
@click.pass_context
def delete(ctx: click.Context, pool: str, database: str | None) -> None:
    """Delete a pool that no task uses just now."""
    from tradewind.services.pool_usage import delete_pool

    config = config_of(ctx, database__url=database)
    ask_store(config, lambda store: delete_pool(store, store, pool))
    click.echo(f"Pool {pool} deleted. Tasks that name it wait until it is made again.")


@pools.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@database_option
@click.pass_context
def import_pools(ctx: click.Context, file: Path, database: str | None) -> None:
    """Make or change the pools of a JSON file: {"name": {"slots": 3, "description": "…"}}."""
    from tradewind.model.rows import PoolRow

    config = config_of(ctx, database__url=database)
    good, bad = _read(file)

    async def work(store: Store) -> None:
        for name, fields in good.items():
            about, deferred = str(fields.get("description") or ""), bool(fields.get("include_deferred", False))
            await store.pool_set(PoolRow(name, int(fields["slots"]), about, deferred))

    ask_store(config, work)
    click.echo(f"Uploaded {len(good)} pool(s)")
    if bad:
        raise Failure("Failed to update pool(s): " + "; ".join(bad))


@pools.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@database_option
@click.pass_context
def export(ctx: click.Context, file: Path, database: str | None) -> None:
    """Write all pools to a JSON file (- for standard output) that `import` reads."""
    config = config_of(ctx, database__url=database)
    rows = {
        row.name: {"slots": row.slots, "description": row.description, "include_deferred": row.include_deferred}
        for row in ask_store(config, lambda store: store.pool_list())
    }
    text = json.dumps(rows, indent=4, sort_keys=True) + "\n"
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"Exported {len(rows)} pools to {file}")


def _rows(config: Config) -> list[dict[str, object]]:
    from tradewind.services.pool_usage import PoolUsage, pool_usage

    async def work(store: Store) -> list[dict[str, object]]:
        usage = await pool_usage(store)
        return [_row(pool, usage.get(pool.name, PoolUsage())) for pool in await store.pool_list()]

    def _row(pool: PoolRow, used: PoolUsage) -> dict[str, object]:
        return {
            "pool": pool.name,
            "slots": pool.slots,
            "description": pool.description,
            "include_deferred": pool.include_deferred,
            "running": used.running,
            "queued": used.queued,
            "scheduled": used.scheduled,
            "deferred": used.deferred,
            "occupied": used.occupied(pool),
            "open": used.open(pool),
        }

    return ask_store(config, work)


def _read(file: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Pools of the file, and why others are none."""
    try:
        found: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Failure(f'{file} holds no object such as {{"name": {{"slots": 3}}}}')
    good: dict[str, dict[str, Any]] = {}
    bad: list[str] = []
    for name, given in cast("dict[str, Any]", found).items():
        fields: dict[str, Any] = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        slots = fields.get("slots")
        if isinstance(slots, int) and not isinstance(slots, bool) and slots >= -1 and name:
            good[name] = fields
        else:
            bad.append(f"{name!r} has no whole number of -1 or more as slots")
    return good, bad
