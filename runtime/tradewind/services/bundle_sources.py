"""From the configuration to what is watched and how it is parsed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import tradewind.model
from tradewind.bundles.bundle_list import BundleSource, bundle_list, module_folder, module_version
from tradewind.bundles.folder import FolderBundle, Listing, stamp_of
from tradewind.bundles.git import GitRepository
from tradewind.bundles.ignore import IGNORE_FILES, Syntax
from tradewind.bundles.parser import FileToParse, ParseSettings
from tradewind.config import Config
from tradewind.model.rows import ParsedFile

DAGS_BUNDLE: Final = "dags"
EXAMPLES_BUNDLE: Final = "examples"
PLUGINS_BUNDLE: Final = "plugins"
"""Loaded like DAG files so that what is wrong with a plug-in is an import error like any other."""
EXAMPLES_FOLDER: Final = Path(tradewind.model.__file__).parent.parent / "examples"


def parse_settings(config: Config) -> ParseSettings:
    """How DAG files are parsed under this configuration."""
    return ParseSettings(
        processes=config.dags.parse_processes,
        timeout=config.dags.import_timeout,
        safe_mode=config.dags.safe_mode,
        whole_bundles=(PLUGINS_BUNDLE,),
        catchup_by_file=config.core.catchup_by_default is None,
        defaults=config.authoring_defaults(),
    )


def sources_of(config: Config) -> list[BundleSource]:
    """The users' own bundles. Raises ConfigError."""
    return bundle_list(config.dags.bundles) if config.dags.bundles else [BundleSource(DAGS_BUNDLE)]


def repository_of(config: Config, source: BundleSource) -> GitRepository:
    """The copy of a git bundle's repository that this home keeps."""
    return GitRepository(source, config.home / "cache" / "bundles")


def bundles_of(config: Config) -> list[FolderBundle]:
    """The folders that hold DAG files: the users' own, and the examples if they are wanted. A git bundle is at the
    commit that was fetched last, and without a version before the first one. Raises ConfigError.
    """
    syntax = cast("Syntax", config.dags.ignore_file_syntax)
    bundles = [_bundle(config, source, syntax) for source in sources_of(config)]
    if config.dags.plugins_folder.is_dir():
        bundles.append(FolderBundle(PLUGINS_BUNDLE, config.dags.plugins_folder, syntax))
    if config.dags.load_examples:
        bundles.append(FolderBundle(EXAMPLES_BUNDLE, EXAMPLES_FOLDER, "glob"))
    return bundles


def _bundle(config: Config, source: BundleSource, syntax: Syntax) -> FolderBundle:
    if source.kind == "module":
        return FolderBundle(source.name, module_folder(source), syntax, version=module_version(source))
    if source.kind == "git":
        repository = repository_of(config, source)
        commit = repository.current() or ""
        return FolderBundle(source.name, repository.root_of(commit or "none"), syntax, version=commit, is_commit=True)
    return FolderBundle(source.name, source.path or config.dags.folder, syntax)


def versioned(parsed: ParsedFile, bundle: FolderBundle) -> ParsedFile:
    """The parsed file with the version that its bundle gives it. In a git bundle another content of the file, or of
    what it reads, is another version of its DAGs: a run keeps the commit it began with.
    """
    if not bundle.version:
        return parsed
    digest = parsed.source.bundle_version
    if not bundle.is_commit:
        return replace(parsed, source=replace(parsed.source, bundle_version=f"{bundle.version} {digest[:12]}"))
    dags = tuple(replace(spec, extra={**spec.extra, "code": digest}) for spec in parsed.dags)
    return replace(parsed, dags=dags, source=replace(parsed.source, bundle_version=bundle.version))


def file_of(bundle: FolderBundle, relative: str) -> FileToParse:
    """A file of the bundle as the parser takes it."""
    return FileToParse(bundle.name, str(bundle.root), relative)


def look(bundle: FolderBundle, before: Listing, hints: set[str] | None) -> Listing | None:
    """The bundle's files now (blocking). `hints` are paths that changed (None: any may have); edits of
    known files cost a look at these only. None where no hint is about this bundle.
    """
    if hints is None:
        return bundle.list_files()
    paths = {path for hint in hints if (path := bundle.relative(hint)) is not None}
    if not paths:
        return None
    stamps = {path: stamp_of(bundle.root / path) for path in paths}
    for path, stamp in stamps.items():
        known = path in before.python or path in before.data
        if stamp is None or not known or path.rpartition("/")[2] in IGNORE_FILES:
            return bundle.list_files()
    seen = {path: stamp for path, stamp in stamps.items() if stamp is not None}
    return Listing(
        before.python | {path: stamp for path, stamp in seen.items() if path in before.python},
        before.data | {path: stamp for path, stamp in seen.items() if path in before.data},
        before.problems,
    )
