"""`tradewind bundles`."""

from __future__ import annotations

import click

from tradewind.cli.failures import Failure
from tradewind.cli.options import config_of, output_option
from tradewind.cli.output import emit


@click.group()
def bundles() -> None:
    """Look at where DAG files come from, and fetch them anew."""


@bundles.command("list")
@output_option
@click.pass_context
def list_bundles(ctx: click.Context, output: str) -> None:
    """List the bundles with their folders and versions."""
    from tradewind.config_values import without_password
    from tradewind.services.bundle_sources import bundles_of, sources_of

    config = config_of(ctx)
    sources = {source.name: source for source in sources_of(config)}
    rows: list[dict[str, object]] = []
    for bundle in bundles_of(config):
        source = sources.get(bundle.name)
        place = str(bundle.root)
        if source is not None and source.kind == "git":
            place = f"{without_password(source.url)} {source.ref}" + (f" {source.subdir}" if source.subdir else "")
        kind = source.kind if source is not None else "folder"
        version = bundle.version or ("not fetched yet" if bundle.is_commit else "")
        rows.append({"bundle": bundle.name, "kind": kind, "from": place, "version": version})
    emit(rows, output, ["bundle", "kind", "from", "version"])


@bundles.command()
@click.argument("bundle", required=False)
@click.pass_context
def refresh(ctx: click.Context, bundle: str | None) -> None:
    """Have the running runtime fetch a git bundle (or all of them) now; for a hook of the repository, say."""
    from tradewind.services.bundle_sources import repository_of, sources_of

    config = config_of(ctx)
    sources = sources_of(config)
    named = [source for source in sources if bundle in (None, source.name)]
    if not named:
        names = ", ".join(source.name for source in sources)
        raise Failure(f"There is no bundle {bundle!r}. Configured: {names}. See: tradewind bundles list")
    if bundle is not None and named[0].kind != "git":
        raise Failure(f"Bundle {bundle!r} is a {named[0].kind}: its changes are seen at once, without a refresh.")
    for source in named:
        if source.kind == "git":
            repository = repository_of(config, source)
            repository.cache.mkdir(parents=True, exist_ok=True)
            repository.refresh_file.touch()
            click.echo(f"Bundle {source.name}: the runtime of this home folder fetches it now, if it is running.")
