"""Under which kind a class of triggers is stored, and how the class is found again from its kind.

What is stored is the kind, a name, so that classes can move and versions of a DAG file stay apart. A class has the
kind that its author gave it, else the path by which its DAG file sees it: `<file or module>.<class>`. A kind is looked
up for a DAG: among the classes that came with its own file first, so that two versions of one class never meet.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tradewind.model.errors import AuthoringError

ENTRY_POINTS: Final = "tradewind.triggers"
"""Installed packages name their kinds here: `acme.queue = "acme_flow.triggers:QueueMessage"`."""

CORE: Final[Mapping[str, str]] = {
    "tradewind.moment": "tradewind.standard.moment_triggers:DateTimeTrigger",
    "tradewind.delta": "tradewind.standard.moment_triggers:TimeDeltaTrigger",
    "tradewind.file": "tradewind.standard.file_triggers:FileTrigger",
    "tradewind.file_delete": "tradewind.standard.file_triggers:FileDeleteTrigger",
    "tradewind.folder_file_delete": "tradewind.standard.file_triggers:DirectoryFileDeleteTrigger",
    "tradewind.folder": "tradewind.standard.folder_trigger:FolderTrigger",
    "tradewind.dag_run": "tradewind.standard.run_triggers:DagStateTrigger",
    "tradewind.task_instances": "tradewind.standard.run_triggers:WorkflowTrigger",
    "tradewind.process": "tradewind.standard.process_trigger:ProcessTrigger",
    "tradewind.asset": "tradewind.standard.asset_trigger:AssetEventTrigger",
}
"""Kinds of our own, imported on first use."""

_MAY_BE_IMPORTED: Final = ("tradewind.", "tradewind_providers.", "airflow.")
_DAG_FILE: Final = re.compile(r"^tradewind_dag_[0-9a-f]{12}_")
_KIND: Final = re.compile(r"[^\W\d][\w.:<>-]*")
_LONGEST: Final = 250

TriggerClass = type[Any]


@dataclass(frozen=True, slots=True)
class TriggerSource:
    """Where the trigger classes of one version of a DAG file come from."""

    kinds: dict[str, TriggerClass] = field(default_factory=dict[str, TriggerClass])
    """Classes that were defined while the file was imported, by kind."""
    folder: str = ""
    """The root of its bundle."""
    load: Callable[[str], ModuleType] | None = None
    """Imports a module of the bundle, for modules that the file only imports while a task runs."""
    absent: set[str] = field(default_factory=set[str])
    """Kinds that no module of the bundle has."""


_collecting: ContextVar[dict[str, TriggerClass] | None] = ContextVar("tradewind_trigger_kinds", default=None)
_named: dict[str, TriggerClass] = {}
"""Classes outside of DAG files whose authors gave them a kind."""


@contextmanager
def collecting_kinds() -> Generator[dict[str, TriggerClass], None, None]:
    """The trigger classes that are defined inside, by kind."""
    found: dict[str, TriggerClass] = {}
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def module_seen(module: str) -> str:
    """The module's name as its author knows it: DAG files are imported under private names."""
    return _DAG_FILE.sub("", module)


def path_of(cls: TriggerClass) -> str:
    """`module.Class`, with the author's name of the module."""
    return f"{module_seen(cls.__module__)}.{cls.__qualname__}"


def register(cls: TriggerClass, kind: str | None) -> str:
    """Makes the class known under `kind`, by default its path, and returns that.

    Raises AuthoringError for a kind that cannot be, or that another class has.
    """
    if kind is not None and (_KIND.fullmatch(kind) is None or len(kind) > _LONGEST):
        raise AuthoringError(
            f"trigger {path_of(cls)}: {kind!r} cannot be a kind, which is a name such as 'acme.queue': letters, digits "
            f"and '_', '-', '.' and ':', beginning with a letter, at most {_LONGEST} of them"
        )
    name = kind if kind is not None else path_of(cls)
    collected = _collecting.get()
    if collected is not None:
        _reject_second(collected.get(name), cls, name)
        collected[name] = cls
    if kind is not None and _DAG_FILE.match(cls.__module__) is None:
        known = _named.get(name)
        if known is None or not _is_live(known):
            _named[name] = cls
        elif collected is None:
            _reject_second(known, cls, name)
            _named[name] = cls
    return name


def forget(cls: TriggerClass, kind: str) -> None:
    """Takes back a kind that the class was given before its author named another."""
    for table in (_collecting.get(), _named):
        if table is not None and table.get(kind) is cls:
            del table[kind]


def _reject_second(known: TriggerClass | None, cls: TriggerClass, kind: str) -> None:
    if known is not None and path_of(known) != path_of(cls):
        raise AuthoringError(
            f"trigger {path_of(cls)}: the kind {kind!r} belongs to {path_of(known)} already; give one of them another"
        )


def found_class(kind: str, source: TriggerSource | None) -> TriggerClass | None:
    """The class of this kind for a DAG with this source; None where there is none, or it may not be imported.

    It may import a module. Raises what that raises.
    """
    if kind not in CORE and source is not None:
        own = source.kinds.get(kind) or _of_bundle(kind, source)
        if own is not None:
            return own
    named = _named.get(kind)
    if named is not None and _is_live(named):
        return named
    home = CORE.get(kind)
    if home is None:
        at_hand = _attribute(kind, importing=kind.startswith(_MAY_BE_IMPORTED))
        if at_hand is not None:
            return at_hand
        home = next((point.value for point in entry_points(group=ENTRY_POINTS, name=kind)), None)
    if home is None:
        return None
    module, _, name = home.partition(":")
    found: TriggerClass = getattr(importlib.import_module(module), name)
    return found


def is_at_hand(kind: str, source: TriggerSource | None) -> bool:
    """Whether `found_class` finds it without looking at files or importing anything, so that a loop may call it."""
    home = CORE.get(kind)
    if home is not None:
        return home.partition(":")[0] in sys.modules
    if source is not None:
        if kind in source.kinds:
            return True
        if source.folder and source.load is not None and kind not in source.absent:
            return False
    named = _named.get(kind)
    return (named is not None and _is_live(named)) or _attribute(kind, importing=False) is not None


def _of_bundle(kind: str, source: TriggerSource) -> TriggerClass | None:
    """A class of a module of the bundle that the file had not imported."""
    if not source.folder or source.load is None or kind in source.absent:
        return None
    for module, names in _splits(kind):
        place = Path(source.folder, *module.split("."))
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            found = _inner(source.load(module), names)
            if found is not None:
                source.kinds[kind] = found
            return found
    source.absent.add(kind)
    return None


def _attribute(path: str, *, importing: bool) -> TriggerClass | None:
    """The class that a path of Python's names, in a module that is imported, or with `importing` may be."""
    for module, names in _splits(path):
        loaded = sys.modules.get(module)
        if loaded is None and importing:
            try:
                loaded = importlib.import_module(module)
            except ModuleNotFoundError as why:
                if why.name is None or not f"{module}.".startswith(f"{why.name}."):
                    raise
            except ImportError as why:  # compat's answer for a module of Airflow that is not served
                if why.name != module:
                    raise
        if loaded is not None:
            return _inner(loaded, names)
    return None


def _splits(path: str) -> list[tuple[str, Sequence[str]]]:
    """Module and names within it, the longest module first; `a.b.C.D`: (a.b.C, [D]), (a.b, [C, D]), (a, …)."""
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        return []
    return [(".".join(parts[:count]), parts[count:]) for count in range(len(parts) - 1, 0, -1)]


def _inner(module: ModuleType, names: Sequence[str]) -> TriggerClass | None:
    found: Any = module
    for name in names:
        try:
            found = getattr(found, name, None)
        except ImportError:
            return None
    return found if isinstance(found, type) else None


def _is_live(cls: TriggerClass) -> bool:
    """Whether its module's name leads to it: not to a later version of it, nor to nothing."""
    module = sys.modules.get(cls.__module__)
    return module is not None and _inner(module, cls.__qualname__.split(".")) is cls
