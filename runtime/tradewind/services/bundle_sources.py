"""From the configuration to what is watched and how it is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import tradewind.model
from tradewind.bundles.folder import FolderBundle, Listing, stamp_of
from tradewind.bundles.ignore import IGNORE_FILES, Syntax
from tradewind.bundles.parser import FileToParse, ParseSettings
from tradewind.config import Config

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
        catchup_by_file=config.core.catchup_by_default is None,
        defaults=config.authoring_defaults(),
    )


def bundles_of(config: Config) -> list[FolderBundle]:
    """The folders that hold DAG files: the users' own, and the examples if they are wanted."""
    syntax = cast("Syntax", config.dags.ignore_file_syntax)
    bundles = [FolderBundle(DAGS_BUNDLE, config.dags.folder, syntax)]
    if config.dags.plugins_folder.is_dir():
        bundles.append(FolderBundle(PLUGINS_BUNDLE, config.dags.plugins_folder, syntax))
    if config.dags.load_examples:
        bundles.append(FolderBundle(EXAMPLES_BUNDLE, EXAMPLES_FOLDER, "glob"))
    return bundles


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
    )
