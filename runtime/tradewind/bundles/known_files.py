"""What is known of each file of a bundle since it was last parsed, and what must be parsed again when
something changes.

A DAG file is parsed again when it changes, when a file of the bundle that it imported or read changes,
appears or goes (exact: the parse child listens to Python's own audit events), when a folder that it listed
gets or loses an entry, and, where its last parse failed, when any `.py` file of the bundle changes. A new
data file, such as a `.yaml`, also has the DAG files of its own folder parsed again: they may have looked
for it in a way that leaves no trace.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import site
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, cast

import orjson

from tradewind.bundles.folder import Changes, Listing, Stamp
from tradewind.bundles.parser import ParseResult, ParseSettings

_PARSING_PARTS: Final = ("authoring", "bundles", "model", "rules", "standard")
"""The packages of ours that say what a DAG file becomes."""

_PASSING: Final = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "TERM", "COLUMNS", "LINES", "PYTEST_CURRENT_TEST"})
_PASSING_PREFIXES: Final = ("SSH_", "XDG_", "INVOCATION_", "JOURNAL_", "SYSTEMD_", "TRADEWIND_", "DBUS_", "TMUX")
"""Variables of the environment that differ from start to start and that no DAG file goes by."""


@dataclass(slots=True)
class KnownFile:
    """One parsed file. `reads` holds the stamps, at that time, of what it looked into (None: missing)."""

    stamp: Stamp
    version: str = ""
    dag_ids: tuple[str, ...] = ()
    reads: dict[str, Stamp | None] = field(default_factory=dict[str, Stamp | None])
    lists: tuple[str, ...] = ()
    failed: bool = False
    external: bool = False


class KnownFiles:
    """The files of one bundle by relative path, with the last listing."""

    def __init__(self) -> None:
        self.listing = Listing({}, {}, {})
        self._files: dict[str, KnownFile] = {}

    def __getitem__(self, relative: str) -> KnownFile:
        return self._files[relative]

    def __len__(self) -> int:
        return len(self._files)

    def failing(self) -> int:
        """How many of them do not load."""
        return sum(known.failed for known in self._files.values())

    def get(self, relative: str) -> KnownFile | None:
        """The file, if it has been parsed."""
        return self._files.get(relative)

    def learn(self, result: ParseResult) -> KnownFile:
        """Takes in what a parse has found. Stamps are those of the last listing."""
        relative = result.file.relative
        known = KnownFile(
            stamp=self.stamp(relative) or Stamp(0, 0, 0),
            version=result.parsed.source.bundle_version,
            dag_ids=tuple(spec.dag_id for spec in result.parsed.dags),
            reads={path: self.stamp(path) for path in sorted(result.reads)},
            lists=tuple(sorted(result.lists)),
            failed=result.parsed.error is not None,
            external=result.external,
        )
        self._files[relative] = known
        return known

    def forget(self, relative: str) -> KnownFile | None:
        """The file is gone."""
        return self._files.pop(relative, None)

    def external_files(self) -> list[str]:
        """Files whose DAGs depend on something outside."""
        return [relative for relative, known in self._files.items() if known.external]

    def stamp(self, relative: str) -> Stamp | None:
        """The stamp of any file of the bundle in the last listing."""
        return self.listing.python.get(relative) or self.listing.data.get(relative)

    def touched_by(self, python: Changes, data: Changes) -> set[str]:
        """DAG files that did not change and still must be parsed again."""
        moved = python.added | python.removed | data.added | data.removed
        paths = moved | python.changed | data.changed
        folders = {_folder_of(path) for path in moved}
        beside_new_data = {_folder_of(path) for path in data.added if not path.endswith((".py", ".pyc"))}
        found: set[str] = set()
        for relative, known in self._files.items():
            if (
                not paths.isdisjoint(known.reads)
                or not folders.isdisjoint(known.lists)
                or (known.failed and any(path.endswith(".py") for path in paths))
                or _folder_of(relative) in beside_new_data
            ):
                found.add(relative)
        return found & self.listing.python.keys()

    def unchanged(self, relative: str) -> bool:
        """Whether what is known of the file (from the cache) still holds by the present listing."""
        known = self._files.get(relative)
        return (
            known is not None
            and not (known.failed or known.external or known.lists)
            and known.stamp == self.stamp(relative)
            and all(self.stamp(path) == stamp for path, stamp in known.reads.items())
        )

    def to_json(self) -> Mapping[str, Any]:
        """For the cache."""
        return {relative: _plain(known) for relative, known in self._files.items()}

    def restore(self, files: Mapping[str, Any]) -> None:
        """From the cache. Raises KeyError, TypeError or ValueError where it is not as `to_json` wrote it."""
        for relative, fields in files.items():
            values = dict(fields)
            values["stamp"] = Stamp(*values["stamp"])
            values["reads"] = {path: Stamp(*at) if at is not None else None for path, at in values["reads"].items()}
            values["dag_ids"], values["lists"] = tuple(values["dag_ids"]), tuple(values["lists"])
            self._files[relative] = KnownFile(**values)


def _plain(known: KnownFile) -> dict[str, Any]:
    """Orjson does not take named tuples."""
    fields = {f.name: getattr(known, f.name) for f in dataclasses.fields(known)}
    fields["stamp"] = list(known.stamp)
    fields["reads"] = {path: list(at) if at is not None else None for path, at in known.reads.items()}
    return fields


def read_cache(file: Path, fingerprint: str) -> dict[str, Mapping[str, Any]]:
    """Bundle key to its files as the last process left them; empty where anything differs that matters."""
    try:
        data = cast("dict[str, Any]", orjson.loads(file.read_bytes()))
        return data["bundles"] if data["fingerprint"] == fingerprint else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_cache(file: Path, fingerprint: str, bundles: Mapping[str, Mapping[str, Any]]) -> None:
    """Replaces the cache in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.new")
    draft.write_bytes(orjson.dumps({"fingerprint": fingerprint, "bundles": bundles}))
    draft.replace(file)


def fingerprint_of(settings: ParseSettings) -> str:
    """Stands for everything besides the files that a parse depends on: this package and its Python, the
    packages installed, the configuration and the environment.
    """
    try:
        own = version("tradewind")
    except PackageNotFoundError:
        own = "source"
    parts = [own, platform.python_version(), repr(settings), str(_tree_time(Path(__file__).parent.parent))]
    parts += [f"{folder} {_mtime(folder)}" for folder in sorted(set(site.getsitepackages()))]
    parts += [f"{name}={value}" for name, value in sorted(os.environ.items()) if not _is_passing(name)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _tree_time(package: Path) -> int:
    """The latest time of our own modules: a checkout that is being worked on changes without a version."""
    files = (file for part in _PARSING_PARTS for file in (package / part).rglob("*.py"))
    return max((_mtime(file) for file in files), default=0)


def _mtime(path: Path | str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _is_passing(name: str) -> bool:
    return name in _PASSING or name.startswith(_PASSING_PREFIXES)


def _folder_of(relative: str) -> str:
    return relative.rpartition("/")[0]
