"""`airflow.configuration.conf`: settings by Airflow's names, from the environment and the configuration."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any, Final

from tradewind.authoring.configuration import MISSING, ConfigurationView
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.provider_packages import config_defaults
from tradewind.compat.words import import_string
from tradewind.config import Config, load_config
from tradewind.config_options import airflow_names
from tradewind.config_values import show
from tradewind.model.errors import ConfigError

_FIXED: Final = {
    "core.executor": "LocalExecutor",
    "core.unit_test_mode": "False",
    "core.load_examples": "False",
    "kubernetes_executor.worker_container_repository": "",
    "kubernetes_executor.worker_container_tag": "",
}
"""What DAG files ask for that has no option here, as Airflow answers without a configuration."""


class AirflowConfiguration(ConfigurationView):
    """Settings by section and key; those that Tradewind has under another name are found under Airflow's."""

    __slots__ = ()

    def get(self, section: str, key: str, fallback: Any = MISSING, **unused: Any) -> Any:
        """The setting's text. Raises ConfigError where it is not set and there is no `fallback`."""
        found = super().get(section, key, None)
        if found is None:
            found = _configured(section.lower(), key.lower())
        if found is not None:
            return found
        if fallback is MISSING:
            found = config_defaults().get((section.lower(), key.lower()))
            if found is not None:
                return found
            raise ConfigError(
                f"section/key [{section}/{key}] not found in config: set AIRFLOW__{section.upper()}__{key.upper()}, "
                "or give a fallback"
            )
        return fallback

    def get_mandatory_value(self, section: str, key: str, **unused: Any) -> str:
        """The setting's text. Raises ConfigError where it is not set."""
        return str(self.get(section, key))

    def getjson(self, section: str, key: str, fallback: Any = MISSING) -> Any:
        """The setting as JSON. Raises ValueError where it is none."""
        found = self.get(section, key, fallback)
        return json.loads(found) if isinstance(found, str) else found

    def getlist(self, section: str, key: str, fallback: Any = MISSING, delimiter: str = ",") -> list[str]:
        """The setting's parts."""
        found = self.get(section, key, fallback)
        return [part.strip() for part in found.split(delimiter)] if isinstance(found, str) else found

    def getimport(self, section: str, key: str, fallback: Any = None, **unused: Any) -> Any:
        """What the setting's dotted path names. Raises ConfigError where that cannot be imported."""
        path = self.get(section, key, fallback)
        if not path or not isinstance(path, str):
            return path or None
        try:
            return import_string(path)
        except ImportError as error:
            raise ConfigError(f"the setting [{section}/{key}], {path!r}, cannot be imported: {error}") from error

    def getsection(self, section: str) -> dict[str, str] | None:
        """What the environment sets of a section; None where it sets nothing."""
        found: dict[str, str] = {}
        for prefix in ("AIRFLOW", "TRADEWIND"):
            start = f"{prefix}__{section.upper()}__"
            found |= {
                name.removeprefix(start).lower(): text for name, text in os.environ.items() if name.startswith(start)
            }
        return found or None

    def has_section(self, section: str) -> bool:
        """Whether anything of it is set."""
        return self.getsection(section) is not None


def _configured(section: str, key: str) -> str | None:
    name = airflow_names().get(f"{section}.{key}")
    if name is not None:
        ours, _, option = name.rpartition(".")
        if name == "web.base_url":
            return current_defaults().base_url or _config().base_url()
        value = _config().value(ours, option)
        return None if value is None else show(value)
    return _FIXED.get(f"{section}.{key}")


@cache
def _config() -> Config:
    return load_config()


conf: Final = AirflowConfiguration()
"""The one configuration."""
