"""Environments with official provider packages: which versions, how they are made, what is run in them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
ELSEWHERE: Final = HERE / "elsewhere"
"""Files that are run by the Pythons of these environments, and not by the one of the tests."""

SETS: Final = ("2.11", "recent")
"""Packages of the time of Airflow 2.11.0 (May 2025), and those of October 2026: `versions/` has the lists."""

PACKAGES: Final = (
    *(
        "http",
        "common.sql",
        "common.compat",
        "sqlite",
        "postgres",
        "ssh",
        "sftp",
        "slack",
        "amazon",
        "google",
        "hashicorp",
    ),
)
"""The packages of each set, as their modules are named."""

CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
INSTALL_WITHIN: Final = 600.0
RUN_WITHIN: Final = 240.0
IMPORT_WITHIN: Final = 1200.0
"""Thousands of modules: half a minute on two free processors, and many on busy ones."""


@dataclass(frozen=True, slots=True)
class TrialRun:
    """What `tradewind dags test` answered."""

    state: str
    states: Mapping[str, str]
    xcoms: Mapping[str, Any]
    """By task id the return value; by `task.key` all others."""
    errors: Mapping[str, str]
    """By task id the class of what its last try raised."""
    log: str


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder with a Python of its own."""

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs its Python on files, seeing no more of these tests' environment than it needs."""
        return self._run(arguments, variables, RUN_WITHIN)

    def _run(
        self, arguments: Sequence[str | Path], variables: Mapping[str, str], within: float
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return subprocess.run(
            [self.python, *arguments],
            env={**kept, "HOME": str(self.folder), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )

    def import_all(self) -> Mapping[str, Any]:
        """Imports every module of the packages; what came of it, by package."""
        done = self._run((ELSEWHERE / "import_modules.py", *PACKAGES), {}, IMPORT_WITHIN)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def try_dag(self, dag_id: str, file: str, **variables: str) -> TrialRun:
        """Runs a DAG of `elsewhere/dags` once, for 2026-01-05; sensors do not wait."""
        command = ("-m", "tradewind", "dags", "test", dag_id, "2026-01-05", "--file", ELSEWHERE / "dags" / file)
        done = self.run(*command, "--output", "json", "--no-wait", "--timeout", "90", **variables)
        lines = done.stdout.splitlines()
        assert lines, done.stderr
        answer: dict[str, Any] = json.loads(lines[-1])
        return TrialRun(
            answer["state"],
            {task_id: state for task_id, _, state, _ in answer["tis"]},
            {
                (task_id if key == "return_value" else f"{task_id}.{key}"): value
                for task_id, _, key, value in answer["xcoms"]
            },
            {name.partition("[")[0]: error for name, error in answer["errors"].items()},
            done.stderr,
        )


def make_all(folder: Path) -> dict[str, Environment]:
    """An environment for each set, with this checkout in it, and one (`servers`) for what plays the other sides."""
    made = {name: Environment(name, folder / name) for name in (*SETS, "servers")}
    with ThreadPoolExecutor(len(made)) as at_once:
        list(at_once.map(_make, made.values()))
    return made


def versions_digest() -> str:
    """Changes with the lists of versions, and with what this checkout itself needs."""
    files = [*sorted((HERE / "versions").glob("*.txt")), ROOT / "pyproject.toml"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _make(environment: Environment) -> None:
    _uv("venv", "--python", sys.executable, str(environment.folder))
    install = ("pip", "install", "--python", str(environment.python))
    _uv(*install, "--no-deps", "--requirement", str(HERE / "versions" / f"{environment.name}.txt"))
    if environment.name in SETS:
        _uv(*install, "--editable", f"{ROOT}[airflow-providers]")


def _uv(*arguments: str) -> None:
    """Runs uv of the tests' environment. Raises AssertionError with its words."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments],
        env=_uv_variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_WITHIN,
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}: {done.stderr}"


def _uv_variables() -> dict[str, str]:
    """uv brings certificates of its own and does not read pip's configuration: what this machine has, counts."""
    variables = {**os.environ, "TRADEWIND_UI": "skip"}
    if CERTIFICATES.exists():
        variables.setdefault("SSL_CERT_FILE", str(CERTIFICATES))
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    index = variables.get("PIP_INDEX_URL") or asked.stdout.strip()
    if index:
        variables.setdefault("UV_DEFAULT_INDEX", index)
    return variables
