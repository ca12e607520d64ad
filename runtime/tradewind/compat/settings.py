"""`airflow.settings`: the folders that DAG files ask for. They are looked up when they are asked for."""

from __future__ import annotations

from typing import Any

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.instants import zone_named
from tradewind.config import load_config


def get_airflow_home() -> str:
    """The home folder."""
    return str(load_config().home)


def __getattr__(name: str) -> Any:
    """Raises AttributeError for other names."""
    if name == "AIRFLOW_HOME":
        return get_airflow_home()
    if name == "DAGS_FOLDER":
        return str(load_config().dags.folder)
    if name == "PLUGINS_FOLDER":
        return str(load_config().dags.plugins_folder)
    if name == "TIMEZONE":
        return zone_named(current_defaults().timezone, "the default time zone")
    raise AttributeError(name)
