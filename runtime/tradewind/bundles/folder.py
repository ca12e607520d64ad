"""A folder of DAG files: what is in it, and what has changed since.

Hidden folders and `__pycache__` are left out. Links are followed, each real folder once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.bundles.ignore import IGNORE_FILES, IgnoreRules, Syntax, is_ignored, read_rules

DAG_FILES: Final = (".py", ".zip")
"""Endings of the names of files that may define DAGs."""


class Stamp(NamedTuple):
    """What a file's entry says about its content: cheap to compare, never equal after an edit."""

    mtime_ns: int
    size: int
    inode: int


class Listing(NamedTuple):
    """The bundle's files by path relative to the root, with `/`."""

    python: dict[str, Stamp]
    """Files that may define DAGs: `.py` and `.zip`, not ignored."""
    data: dict[str, Stamp]
    """All other files: what DAG files may read, and ignored or helper `.py` files too."""
    problems: dict[str, str]
    """What is wrong with ignore files and with names, in words."""

    def has(self, path: str) -> bool:
        """Whether this file is there and may be told of: as a DAG file, or for what is wrong with it."""
        return path in self.python or path in self.problems


class Changes(NamedTuple):
    """What differs between two listings, by relative path."""

    added: frozenset[str]
    changed: frozenset[str]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class FolderBundle:
    """A named folder whose `.py` files are DAG files, unless an ignore file says otherwise."""

    name: str
    root: Path
    ignore_syntax: Syntax = "regexp"
    version: str = ""
    """What all files of it are versioned by besides their content: a commit, or a distribution's version."""
    is_commit: bool = False
    """The files belong to the commit `version` and never change; another commit is another folder."""

    def list_files(self) -> Listing:
        """Walks the folder (blocking). A missing folder is empty."""
        listing = Listing({}, {}, {})
        seen: set[str] = set()
        self._walk(self.root, "", [], seen, listing)
        return listing

    def _walk(self, folder: Path, base: str, rules: list[IgnoreRules], seen: set[str], listing: Listing) -> None:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        entries = list(_scan(folder))
        if any(entry.name in IGNORE_FILES for entry in entries):
            more, problems = read_rules(folder, base, self.ignore_syntax)
            rules = [*rules, *more]
            listing.problems.update(problems)
        for entry in entries:
            path = base + entry.name
            if not is_utf8(entry.name):
                if _is_folder(entry) or entry.name.endswith(DAG_FILES):
                    shown = path.encode(errors="backslashreplace").decode()
                    listing.problems[shown] = f"{shown} is left out: its name is no UTF-8; rename it"
            elif _is_folder(entry):
                if not is_skipped(entry.name) and not is_ignored(path + "/", rules):
                    self._walk(folder / entry.name, path + "/", rules, seen, listing)
            elif (stamp := stamp_of(Path(entry.path))) is not None:
                wanted = entry.name.endswith(DAG_FILES) and not is_ignored(path, rules)
                (listing.python if wanted else listing.data)[path] = stamp

    def relative(self, path: str) -> str | None:
        """The path below the root with `/`, or None where it lies elsewhere or in a folder that is left out."""
        try:
            parts = Path(path).relative_to(self.root).parts
        except ValueError:
            return None
        return None if any(is_skipped(part) for part in parts[:-1]) else "/".join(parts)


def is_utf8(name: str) -> bool:
    """Whether a name can be written down: of one that is no UTF-8 Python makes halves of surrogate pairs."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_skipped(name: str) -> bool:
    """Whether a folder of this name is left out."""
    return name.startswith(".") or name == "__pycache__"


def stamp_of(path: Path) -> Stamp | None:
    """The file's stamp, or None where it is gone or no file."""
    try:
        entry = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(entry.st_mode):
        return None  # to read a pipe or a device may take for ever
    return Stamp(entry.st_mtime_ns, entry.st_size, entry.st_ino)


def compare(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> Changes:
    """What happened between two listings of the same kind."""
    return Changes(
        added=frozenset(after.keys() - before.keys()),
        changed=frozenset(path for path in after.keys() & before.keys() if after[path] != before[path]),
        removed=frozenset(before.keys() - after.keys()),
    )


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries by name, so that two walks of the same folder give the same order."""
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
