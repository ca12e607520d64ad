"""What installed provider packages for Airflow say of themselves: hooks by the type of connection, dialects."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

PROVIDERS_GROUP: Final = "apache_airflow_provider"
"""Entry points of such packages: functions that give their description."""


class DialectInfo(NamedTuple):
    """A dialect of SQL and the class for it."""

    name: str
    dialect_class_name: str
    provider_name: str


@cache
def descriptions() -> Mapping[str, Mapping[str, Any]]:
    """Package name to its description."""
    found: dict[str, Mapping[str, Any]] = {}
    for point in importlib.metadata.entry_points(group=PROVIDERS_GROUP):
        info: Mapping[str, Any] = point.load()()
        found[str(info.get("package-name", point.value))] = info
    return found


def hook_class(conn_type: str) -> Any:
    """The hook class that a package has for connections of this type; None where none has."""
    for info in descriptions().values():
        kinds: Sequence[Mapping[str, Any]] = info.get("connection-types", ())
        for kind in kinds:
            if kind.get("connection-type") == conn_type:
                return named(str(kind["hook-class-name"]))
        older: Sequence[str] = info.get("hook-class-names", ())  # packages of before 2022 say no types
        for path in older:
            found = named(path)
            if getattr(found, "conn_type", None) == conn_type:
                return found
    return None


def task_decorator(name: str) -> Any:
    """What a package has for `@task.name`; None where none has."""
    for info in descriptions().values():
        listed: Sequence[Mapping[str, Any]] = info.get("task-decorators", ())
        for item in listed:
            if item.get("name") == name:
                return named(str(item["class-name"]))
    return None


@cache
def config_defaults() -> Mapping[tuple[str, str], str]:
    """Section and key to the value that a package's own settings have where nobody sets them."""
    found: dict[tuple[str, str], str] = {}
    for info in descriptions().values():
        sections: Mapping[str, Mapping[str, Any]] = info.get("config", {})
        for section, content in sections.items():
            options: Mapping[str, Mapping[str, Any]] = content.get("options", {})
            for key, option in options.items():
                if option.get("default") is not None:
                    found[section.lower(), key.lower()] = str(option["default"])
    return found


def named(path: str) -> Any:
    """The class or function of a dotted path. Raises ImportError, with the package's own words."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


class ProvidersManager:
    """`airflow.providers_manager.ProvidersManager`, as far as hooks of SQL databases and triggers of queues ask it."""

    @property
    def providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Package name to its description."""
        return descriptions()

    @property
    def dialects(self) -> Mapping[str, DialectInfo]:
        """Dialects of SQL by name."""
        found: dict[str, DialectInfo] = {}
        for package, info in descriptions().items():
            listed: Sequence[Mapping[str, Any]] = info.get("dialects", ())
            for item in listed:
                name = str(item["dialect-type"])
                found[name] = DialectInfo(name, str(item["dialect-class-name"]), package)
        return found

    def initialize_providers_queues(self) -> None:
        """Nothing has to be done before they are asked for."""

    @property
    def queue_class_names(self) -> list[str]:
        """What packages have for `MessageQueueTrigger`, by path."""
        found: set[str] = set()
        for info in descriptions().values():
            listed: Sequence[str] = info.get("queues", ())
            found.update(listed)
        return sorted(found)
