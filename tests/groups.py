"""The groups of tests that need a server or a program which PyPI does not hold.

A group is a pytest marker. Where what it needs is not installed its tests are skipped, and the run ends with a
line that says so and how to install it; with `--require-all-groups` the run fails instead.
To add one: an entry here, the marker in `pyproject.toml`, the package in `.ci/services`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SERVICES = "make services   (apt-get, as root)"


@dataclass(frozen=True, slots=True)
class Group:
    """One marker; `missing` says in words what is not there, or nothing."""

    marker: str
    missing: Callable[[], str | None]
    install: str = SERVICES


def chromium() -> Path | None:
    """A Chromium of the machine, or the one that TRADEWIND_TEST_CHROMIUM names."""
    named = os.environ.get("TRADEWIND_TEST_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = (shutil.which(name) for name in names)
    return next((Path(path) for path in found if path), None)


def postgres15_bin() -> Path | None:
    """The programs of the machine's PostgreSQL 15, where Debian puts them."""
    folder = Path("/usr/lib/postgresql/15/bin")
    return folder if (folder / "initdb").exists() and (folder / "postgres").exists() else None


GROUPS = (
    Group("browser", lambda: None if chromium() else "no Chromium"),
    Group("postgres15", lambda: None if postgres15_bin() else "no PostgreSQL 15"),
)
