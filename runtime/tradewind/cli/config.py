"""`tradewind config`."""

from __future__ import annotations

import click

from tradewind.cli.options import config_of, output_option


@click.group()
def config() -> None:
    """Show the configuration and where each value comes from."""


@config.command("list")
@click.option("--section", help="Only this section.")
@click.option("--changed", is_flag=True, help="Only values that are not the default.")
@click.option("--docs", is_flag=True, help="With what each option means.")
@output_option
@click.pass_context
def list_values(ctx: click.Context, section: str | None, changed: bool, docs: bool, output: str) -> None:
    """Every option with its value and source. Secrets are masked."""
    from tradewind.cli.output import emit

    loaded = config_of(ctx)
    rows = [
        {
            "section": line.section,
            "key": line.key,
            "value": line.value,
            "source": str(line.source),
            **({"meaning": line.doc} if docs else {}),
        }
        for line in loaded.listing()
        if section in (None, line.section) and not (changed and line.source.kind == "default")
    ]
    emit(rows, output, ["section", "key", "value", "source", *(["meaning"] if docs else [])])
    for variable, reason in loaded.ignored.items():
        click.echo(f"{variable} changes nothing: {reason}.", err=True)


@config.command("get-value")
@click.argument("section")
@click.argument("key")
@click.pass_context
def get_value(ctx: click.Context, section: str, key: str) -> None:
    """Print one value, as it is (secrets too). Airflow's names are understood."""
    from tradewind.config_options import airflow_names
    from tradewind.config_values import show

    loaded = config_of(ctx)
    ours = airflow_names().get(f"{section}.{key}")
    if ours is not None:
        section, _, key = ours.rpartition(".")
    click.echo(show(loaded.value(section, key)))
