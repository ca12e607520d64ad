"""`tradewind version` and `tradewind info`."""

from __future__ import annotations

import click

from tradewind.cli.options import config_of, output_option


@click.command()
@output_option
def version(output: str) -> None:
    """Print the version."""
    from tradewind.cli.output import emit_text
    from tradewind.version import VERSION

    emit_text(VERSION, {"version": VERSION}, output)


@click.command()
@output_option
@click.pass_context
def info(ctx: click.Context, output: str) -> None:
    """What is installed and where everything is."""
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, entry_points
    from importlib.metadata import version as version_of

    from tradewind.cli.output import emit_one
    from tradewind.config_values import show
    from tradewind.version import VERSION

    def installed(package: str) -> str:
        try:
            return version_of(package)
        except PackageNotFoundError:
            return "not installed"

    config = config_of(ctx)
    emit_one(
        {
            "version": VERSION,
            "python": f"{platform.python_version()} ({sys.executable})",
            "platform": platform.platform(),
            "home": str(config.home),
            "config_file": str(config.home / "tradewind.toml"),
            "dags_folder": str(config.dags.folder),
            "logs_folder": str(config.logging.folder),
            "database": show(config.database.url, secret=True) or "built-in PostgreSQL in the home folder",
            "pages": f"{'http' if config.web.ssl_cert is None else 'https'}://{config.web.host}:{config.web.port}",
            "executors": ", ".join(sorted(point.name for point in entry_points(group="tradewind.executors"))),
            "asyncpg": installed("asyncpg"),
            "aiohttp": installed("aiohttp"),
            "uvloop": installed("uvloop"),
            "apache_airflow": installed("apache-airflow"),
        },
        output,
    )


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes the shell complete commands and options on Tab.

    bash: eval "$(tradewind completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc; fish: tradewind
    completion fish > ~/.config/fish/completions/tradewind.fish
    """
    from click.shell_completion import get_completion_class

    from tradewind.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(found(cli, {}, "tradewind", "_TRADEWIND_COMPLETE").source())
