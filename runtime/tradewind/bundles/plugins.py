"""The plug-ins folder: files whose `AirflowPlugin` classes bring macros, timetables and listeners.

It is read once in each process that loads DAG files, before the first of them, and by the runtime at its start; a
file that cannot be loaded leaves the others alone. The folder is on `sys.path`: DAG files import its modules by name.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any, Final, cast

from tradewind.authoring import macros
from tradewind.authoring.listeners import register_listener
from tradewind.authoring.plugin import AirflowPlugin
from tradewind.authoring.timetables import Timetable, register_timetable
from tradewind.bundles.traces import user_trace

_log = logging.getLogger(__name__)

REFUSED: Final = (
    *("flask_blueprints", "appbuilder_views", "appbuilder_menu_items", "admin_views", "menu_links"),
    *("fastapi_apps", "fastapi_root_middlewares", "external_views", "react_apps", "executors", "ti_deps"),
)
"""What a plug-in may list and Tradewind has no place for."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plug-in class, by the name it gives itself."""

    name: str
    file: str
    macros: tuple[str, ...] = ()
    timetables: tuple[str, ...] = ()
    listeners: tuple[Any, ...] = ()
    """Modules or objects with marked functions."""
    refused: tuple[str, ...] = ()


@dataclass(slots=True)
class Plugins:
    """What the folder has brought. `errors`: file to the traceback of what went wrong in it."""

    folder: str
    plugins: list[Plugin] = field(default_factory=list[Plugin])
    errors: dict[str, str] = field(default_factory=dict[str, str])


_loaded: dict[str, Plugins] = {}
_lock = RLock()


def load_plugins(folder: str | Path) -> Plugins:
    """Loads the folder's files, the first time this process asks; a folder that is not there brings nothing."""
    place = str(Path(folder).absolute())
    with _lock:
        found = _loaded.get(place)
        if found is None:
            found = _loaded[place] = Plugins(place)
            _load_all(found, Path(place))
        return found


def loaded_plugins() -> Mapping[str, Plugins]:
    """What this process has loaded, by folder."""
    return dict(_loaded)


def _load_all(plugins: Plugins, folder: Path) -> None:
    if not folder.is_dir():
        return
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    for file in _files(folder):
        try:
            module = _import(folder, file)
            plugins.plugins += [_taken_in(cls, file) for cls in _classes_of(module)]
        except (Exception, SystemExit) as error:
            plugins.errors[str(file)] = user_trace(error)
            _log.error("plug-in file %s cannot be loaded:\n%s", file, plugins.errors[str(file)])


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
        if path.name != "__init__.py" and not hidden:
            yield path


def _import(folder: Path, file: Path) -> ModuleType:
    """The file as the module that `import` of its name gives, so that its classes exist once."""
    name = ".".join(file.relative_to(folder).with_suffix("").parts)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(file):
        return known
    if known is not None or "-" in name:
        name = f"tradewind_plugin_{name.replace('.', '_').replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _classes_of(module: ModuleType) -> list[type[AirflowPlugin]]:
    """The plug-in classes that the module itself defines."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, AirflowPlugin)
        and value is not AirflowPlugin
        and value.__module__ == module.__name__
    ]


def _taken_in(cls: type[AirflowPlugin], file: Path) -> Plugin:
    """Registers what the class lists. Raises ValueError, AuthoringError for what cannot be."""
    cls.validate()
    name = str(cls.name)
    if cls.macros:
        namespace = ModuleType(f"{macros.__name__}.{name}", f"Macros of the plug-in {name}.")
        for function in cls.macros:
            setattr(namespace, function.__name__, function)
        setattr(macros, name, namespace)
    for timetable in cls.timetables:
        register_timetable(cast("type[Timetable]", timetable))
    for listener in cls.listeners:
        register_listener(listener)
    refused = tuple(kind for kind in REFUSED if getattr(cls, kind, None))
    if refused:
        _log.warning(
            "plug-in %r (%s): %s: Tradewind has no place for these; the rest of the plug-in is used",
            name,
            file,
            ", ".join(refused),
        )
    cls.on_load()
    return Plugin(
        name,
        str(file),
        tuple(function.__name__ for function in cls.macros),
        tuple(timetable.__name__ for timetable in cls.timetables),
        tuple(cls.listeners),
        refused,
    )
