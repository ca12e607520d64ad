"""The executors that are installed, and what each is told of the configuration."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.config import Config
from tradewind.executor_ports import Executor
from tradewind.model.errors import ConfigError
from tradewind.model.specs import Json

EXECUTORS_GROUP: Final = "tradewind.executors"


def load_executors() -> dict[str, Executor]:
    """Every executor that is installed, by the kind it registers as. Raises ConfigError."""
    found: dict[str, Executor] = {}
    for entry in entry_points(group=EXECUTORS_GROUP):
        try:
            found[entry.name] = entry.load()()
        except Exception as error:
            raise ConfigError(f"executor {entry.name!r} ({entry.value}): {error}") from error
    return found


def executor_settings(config: Config, kind: str, *, own_process: bool) -> dict[str, Json]:
    """What an executor is told: its section, and what it needs of others. `own_process`: see `host.Parts`."""
    settings: dict[str, Json] = dict(config.executors.settings(kind))
    settings.setdefault("log_level", config.logging.level)
    settings["authoring_defaults"] = defaults_to_json(config.authoring_defaults())
    settings["import_timeout"] = config.dags.import_timeout
    if kind == "inline":
        settings["max_in_flight"] = settings.pop("in_flight")
        settings["block_warn"] = config.scheduler.block_report
        settings["block_kill"] = config.scheduler.block_kill
        if not own_process:
            settings |= {"capture_output": False, "own_process": False}
    if kind == "local" and settings.get("slots") is None:
        settings["slots"] = config.core.parallelism
    return settings
