"""Finds a DAG in the DAG files, without a database."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.folder import FolderBundle
from tradewind.bundles.loader import DagFileError, load_file, might_define_dags
from tradewind.bundles.traces import in_one_line
from tradewind.cli.stored_values import stored_values
from tradewind.config import Config
from tradewind.model.errors import NotFoundError
from tradewind.services.bundle_sources import bundles_of

SLOW_AFTER: Final = 5.0
"""Seconds of loading one file after which that is said."""


class DagFile(NamedTuple):
    """A file that may define DAGs, and the root of its bundle."""

    bundle: str
    root: Path
    path: Path


class FoundDags(NamedTuple):
    """DAGs by id with their files, and what the files raised that could not be loaded."""

    dags: dict[str, DAG]
    files: dict[str, DagFile]
    errors: list[tuple[DagFile, DagFileError]]
    place: Path

    def not_found(self, dag_id: str) -> NotFoundError:
        """Says that no file defines the DAG; names files that could not be loaded, those that have its id in full."""
        likely = self.errors_about(dag_id)
        broken = [
            f"{error.fileloc}:" + (f"\n{error.trace}" if error in likely else f" {in_one_line(error.trace)}")
            for _, error in self.errors
        ]
        return NotFoundError(_not_found(self.place, dag_id, set(self.dags), broken))

    def errors_about(self, dag_id: str) -> list[DagFileError]:
        """What went wrong in files whose text has the id, or in the only one that was looked into."""
        return [error for file, error in self.errors if file.path == self.place.absolute() or _has(file.path, dag_id)]


def find_dag(config: Config, dag_id: str, subdir: Path | None = None) -> tuple[DAG, DagFile]:
    """Loads DAG files until one defines the DAG; those whose text has the id come first.

    Raises:
        NotFoundError: no file defines it; the message names files that could not be loaded.
    """
    found = load_dags(config, subdir, [dag_id])
    if dag_id in found.dags:
        return found.dags[dag_id], found.files[dag_id]
    raise found.not_found(dag_id)


def load_dags(config: Config, subdir: Path | None = None, wanted: Sequence[str] = ()) -> FoundDags:
    """Loads DAG files: all of them, or until the wanted DAGs are there."""
    files = list(_files(config, subdir))
    likely = [file for file in files if any(_has(file.path, dag_id) for dag_id in wanted)]
    found = FoundDags({}, {}, [], subdir or config.dags.folder)
    for file in [*likely, *(file for file in files if file not in likely)]:
        if config.dags.safe_mode and subdir is None and not might_define_dags(file.path, file.path.read_bytes()):
            continue
        try:
            with _told_when_slow(file.path), use_defaults(config.authoring_defaults()), stored_values(config):
                loaded = load_file(file.path, root=file.root, catchup_by_file=config.core.catchup_by_default is None)
        except DagFileError as error:
            found.errors.append((file, error))
            continue
        found.dags.update(loaded.dags)
        found.files.update(dict.fromkeys(loaded.dags, file))
        if wanted and all(dag_id in found.dags for dag_id in wanted):
            break
    return found


@contextlib.contextmanager
def _told_when_slow(path: Path) -> Generator[None]:
    """Says what is being waited for: the file is loaded in this process, without a time limit."""
    text = f"Still loading {path} … (Ctrl-C ends this)"
    timer = threading.Timer(SLOW_AFTER, lambda: click.echo(text, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _files(config: Config, subdir: Path | None) -> Iterator[DagFile]:
    if subdir is not None and subdir.is_file():
        yield DagFile("dags", subdir.absolute().parent, subdir.absolute())
        return
    bundles = bundles_of(config) if subdir is None else [FolderBundle("dags", subdir.absolute())]
    for bundle in bundles:
        listing = bundle.list_files()
        for problem in listing.problems.values():
            click.echo(problem, err=True)
        for relative in listing.python:
            yield DagFile(bundle.name, bundle.root, bundle.root / relative)


def _has(path: Path, dag_id: str) -> bool:
    try:
        return dag_id.encode() in path.read_bytes()
    except OSError:
        return False


def _not_found(place: Path, dag_id: str, seen: set[str], broken: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(dag_id, sorted(seen), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    said = f"there is no DAG {dag_id!r} in {place}.{hint}"
    if broken:
        said += "\nThese files could not be loaded:\n" + "\n".join(broken)
    return said
