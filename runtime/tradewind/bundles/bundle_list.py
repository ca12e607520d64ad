"""The configured bundles: a JSON list, in Airflow's form or in ours, as values.

Ours: ``{"name": "team", "kind": "git", "url": "https://…", "ref": "main", "subdir": "dags"}``, kind ``folder``
with ``path``, kind ``module`` with ``module``. Airflow's: ``{"name", "classpath", "kwargs"}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeGuard, cast

import orjson

from tradewind.model.errors import ConfigError

Kind = Literal["folder", "git", "module"]

_KINDS: Final[Mapping[str, Kind]] = {
    "airflow.dag_processing.bundles.local.LocalDagBundle": "folder",
    "airflow.providers.git.bundles.git.GitDagBundle": "git",
    "folder": "folder",
    "git": "git",
    "module": "module",
}
_ARGUMENTS: Final[Mapping[Kind, frozenset[str]]] = {
    "folder": frozenset({"path", "refresh_interval"}),
    "git": frozenset({"url", "ref", "subdir", "refresh_interval"}),
    "module": frozenset({"module", "refresh_interval"}),
}
_AIRFLOW_NAMES: Final = {"repo_url": "url", "tracking_ref": "ref"}
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
TAKEN: Final = frozenset({"embedded", "examples", "plugins"})
"""Names that the runtime's own bundles have."""

REFRESH_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class BundleSource:
    """Where the files of one bundle come from. What does not belong to its kind is empty."""

    name: str
    kind: Kind = "folder"
    path: Path | None = None
    """None: the DAG folder of the configuration."""
    module: str = ""
    url: str = ""
    ref: str = "main"
    """A branch or tag."""
    subdir: str = ""
    refresh_interval: float = REFRESH_SECONDS
    """Seconds between two looks at the repository."""


def bundle_list(text: str) -> list[BundleSource]:
    """The bundles that the option names. Raises ConfigError: what is wrong with which entry."""
    try:
        entries: Any = orjson.loads(text)
    except ValueError as error:
        raise ConfigError(f"dags.bundles is not JSON ({error}). It must be a list of objects.") from error
    if not _is_list(entries) or not entries:
        raise ConfigError('dags.bundles must be a JSON list such as [{"name": "dags", "kind": "folder"}].')
    found = [_source(entry) for entry in entries]
    names = [source.name for source in found]
    for name in names:
        if names.count(name) > 1 or name in TAKEN:
            raise ConfigError(f"dags.bundles: the name {name!r} is taken; give each bundle a name of its own.")
    return found


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _source(entry: Any) -> BundleSource:
    if not isinstance(entry, dict) or not isinstance(cast("dict[str, Any]", entry).get("name"), str):
        raise ConfigError(f'dags.bundles: {entry!r} is no bundle. Each is an object with a "name".')
    values = dict(cast("dict[str, Any]", entry))
    name: str = values.pop("name")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"dags.bundles: {name!r} is no name; letters, digits, '_', '-' and '.' are possible.")
    said = values.pop("classpath", None) or values.pop("kind", "folder")
    kind = _KINDS.get(str(said))
    if kind is None:
        raise ConfigError(f"dags.bundles: {name!r}: {said!r} is unknown. Possible: {', '.join(sorted(_KINDS))}.")
    for optional in ("team_name", "kind"):
        values.pop(optional, None)
    values |= values.pop("kwargs", None) or {}
    values = {_AIRFLOW_NAMES.get(key, key): value for key, value in values.items()}
    unknown = sorted(values.keys() - _ARGUMENTS[kind])
    if unknown:
        raise ConfigError(
            f"dags.bundles: {name!r}: {unknown[0]!r} is unknown for a {kind} bundle; "
            f"possible: {', '.join(sorted(_ARGUMENTS[kind]))}. (A login stands in the url, or use ssh keys.)"
        )
    return _checked(name, kind, values)


def _checked(name: str, kind: Kind, values: Mapping[str, Any]) -> BundleSource:
    interval: Any = values.get("refresh_interval", REFRESH_SECONDS)
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or interval < 1:
        raise ConfigError(f"dags.bundles: {name!r}: refresh_interval must be a number of seconds from 1.")
    texts = {key: value for key, value in values.items() if key != "refresh_interval" and value is not None}
    for key, value in texts.items():
        if not isinstance(value, str) or not value or value.startswith("-"):
            raise ConfigError(f"dags.bundles: {name!r}: {key} = {value!r} is not possible; it must be a text.")
    needed = {"git": "url", "module": "module"}.get(kind)
    if needed is not None and needed not in texts:
        raise ConfigError(f"dags.bundles: {name!r}: a {kind} bundle needs {needed}.")
    subdir = PurePosixPath(texts.get("subdir", "."))
    if subdir.is_absolute() or ".." in subdir.parts:
        raise ConfigError(f"dags.bundles: {name!r}: subdir must lie within the repository.")
    path = texts.pop("path", None)
    return BundleSource(
        name,
        kind,
        path=Path(path).expanduser().absolute() if path else None,
        module=texts.get("module", ""),
        url=texts.get("url", ""),
        ref=texts.get("ref", "main"),
        subdir="" if str(subdir) == "." else str(subdir),
        refresh_interval=float(interval),
    )


def module_folder(source: BundleSource) -> Path:
    """The folder of an installed package; nothing of it is imported. Raises ConfigError where there is none."""
    parts = source.module.replace(":", ".").split(".")
    folders: list[str] | None = None
    for n in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: n + 1]), folders)
        if spec is None or spec.submodule_search_locations is None:
            raise ConfigError(
                f"dags.bundles: {source.name!r}: there is no installed package {'.'.join(parts[: n + 1])!r}. "
                "Install the distribution that has it into this Python environment."
            )
        folders = list(spec.submodule_search_locations)
    if not folders:
        raise ConfigError(f"dags.bundles: {source.name!r}: {source.module!r} has no folder.")
    return Path(folders[0])


def module_version(source: BundleSource) -> str:
    """Name and version of the distribution that the package comes with; `''` where none is known."""
    names = packages_distributions().get(source.module.replace(":", ".").partition(".")[0], [])
    try:
        return f"{names[0]} {version(names[0])}" if names else ""
    except PackageNotFoundError:
        return ""
