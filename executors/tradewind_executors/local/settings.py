"""Settings of the local executor."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import tradewind
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The executor's section of the configuration. Durations are seconds."""

    slots: int = 16
    """How many attempts run at once."""
    start_method: str = "fork"
    """`fork` of a process that has imported the file, or `spawn` of a new interpreter for each attempt."""
    zygotes_max: int = 16
    """How many DAG files stay loaded while nothing of them runs."""
    zygote_idle: float = 60.0
    """After this long without an attempt a zygote goes."""
    kill_grace: float = 5.0
    """How long after its `execution_timeout` a task that does not stop by itself is killed."""
    import_deaths_max: int = 5
    """So many deaths in a row while importing a file are an import error."""
    import_timeout: float = 30.0
    """What a file may take to be imported, once its process has started."""
    log_level: str = "INFO"
    authoring_defaults: str = ""
    """What holds where a DAG file says nothing, as `bundles.parse_protocol` writes it."""

    @staticmethod
    def of(section: Mapping[str, Json]) -> LocalSettings:
        """Reads the section; names of others are ignored. Raises ConfigError for values that cannot be."""
        values: dict[str, Json] = {}
        for field in fields(LocalSettings):
            given = section.get(field.name)
            if given is None:
                continue
            values[field.name] = _checked(field.name, given)
        return LocalSettings(**values)


def _checked(name: str, given: Json) -> Json:
    if name == "log_level":
        return str(given).upper()
    if name == "authoring_defaults":
        return str(given)
    if name == "start_method":
        if given not in ("fork", "spawn"):
            raise ConfigError(f"executors.local.start_method: fork or spawn, not {given!r}")
        return given
    return _number(name, given)


def _number(name: str, given: Json) -> float | int:
    whole = name in ("slots", "zygotes_max", "import_deaths_max")
    try:
        value = int(given) if whole else float(given)
    except (TypeError, ValueError):
        value = -1
    if value < 0 or (whole and value < 1):
        raise ConfigError(f"executors.local.{name}: a number above 0 is needed, not {given!r}")
    return value


def worker_environment() -> dict[str, str]:
    """What a zygote inherits: everything, and the way to our own package where that is not installed."""
    environment = dict(os.environ)
    environment.setdefault("PYTHONUNBUFFERED", "1")
    root = str(Path(tradewind.__path__[0]).parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = root if not before else f"{root}{os.pathsep}{before}"
    return environment
