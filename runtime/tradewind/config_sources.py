"""Sources of the configuration beside variables and our own file: commands, secrets back ends, Airflow's file."""

from __future__ import annotations

import configparser
import importlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from tradewind.config_values import Source
from tradewind.model.errors import ConfigError

COMMAND_SECONDS: Final = 60.0
AIRFLOW_FILE: Final = "airflow.cfg"


def output_of(command: str, source: Source) -> str:
    """What the shell command prints, without white space at its ends. Raises ConfigError."""
    try:
        done = subprocess.run(  # noqa: S602 - the user's own configuration asks for a shell
            command, shell=True, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{source}: the command did not end within {COMMAND_SECONDS:g} s: {command}") from error
    if done.returncode != 0:
        raise ConfigError(f"{source}: the command ended with {done.returncode}: {command}\n{done.stderr.strip()}")
    return done.stdout.strip()


def secret_of(name: str, backend: str | None, arguments: str | None, source: Source) -> str:
    """What the secrets back end has under this name. Raises ConfigError."""
    if not backend:
        raise ConfigError(f"{source}: {name!r} is to be looked up, and no secrets back end is set ([secrets] backend)")
    module, _, cls = backend.rpartition(".")
    try:
        made: Any = getattr(importlib.import_module(module), cls)(**(orjson.loads(arguments) if arguments else {}))
        found: str | None = made.get_config(name)
    except Exception as error:
        raise ConfigError(
            f"{source}: {backend} cannot be asked for {name!r}: {type(error).__name__}: {error}"
        ) from error
    if found is None:
        raise ConfigError(f"{source}: {backend} has nothing under {name!r}")
    return found


def airflow_file(environ: Mapping[str, str]) -> Path | None:
    """`$AIRFLOW_CONFIG`, else `airflow.cfg` in `$AIRFLOW_HOME`; None where neither is set."""
    if given := environ.get("AIRFLOW_CONFIG"):
        return Path(given).expanduser()
    home = environ.get("AIRFLOW_HOME")
    return Path(home).expanduser() / AIRFLOW_FILE if home else None


def read_airflow_file(file: Path | None) -> Mapping[str, str]:
    """`section.key` to its text; empty values are left out. Raises ConfigError where the file cannot be read."""
    if file is None:
        return {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    rows: dict[str, str] = {}
    for section in parser.sections():
        rows |= {f"{section.lower()}.{key.lower()}": text for key, text in parser.items(section) if text.strip()}
    return rows
