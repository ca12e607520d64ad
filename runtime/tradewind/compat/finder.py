"""The import hook: modules with Airflow's names, whose content is ours and loaded on first use."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

from tradewind.compat.moved_names import NOTHING, TWO_PARTS, advice
from tradewind.compat.names import ALL_MODULES

_ROOT: Final = "airflow"
_PROVIDERS: Final = f"{_ROOT}.providers."
_OURS: Final = f"{_PROVIDERS}common.messaging."
"""This package refuses to be imported by what is no Airflow 3; its trigger is served even where it is installed."""


class NotServed(ImportError):
    """A name of Airflow that Tradewind does not have."""


class ModuleNotServed(NotServed, ModuleNotFoundError):
    """A module of Airflow that Tradewind does not have: who guards against missing modules is heard."""


class AirflowFinder(MetaPathFinder, Loader):
    """Finds and makes the modules of the table; others below `airflow` come from the path, as provider packages do."""

    def __init__(self, modules: Mapping[str, Mapping[str, str]] = ALL_MODULES) -> None:
        self._modules = modules
        packages = {name.rpartition(".")[0] for name in modules}
        packages |= {f"{_PROVIDERS}{first}" for first in TWO_PARTS}
        self._packages = {parent for name in packages for parent in _parents(name)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of ours, or of one on the path. Raises NotServed for others below `airflow`."""
        if fullname != _ROOT and not fullname.startswith(f"{_ROOT}."):
            return None
        found = None if f"{fullname}.".startswith(_OURS) else PathFinder.find_spec(fullname, path)
        if found is not None and found.origin is not None and fullname.startswith(_PROVIDERS):
            return found  # an installed provider package knows its own names best
        if fullname in self._modules or fullname in self._packages:
            spec = ModuleSpec(fullname, self, is_package=fullname in self._packages)
            if spec.submodule_search_locations is not None and found is not None:
                spec.submodule_search_locations.extend(found.submodule_search_locations or ())
            return spec
        if found is None and not self._is_optional(fullname):
            raise ModuleNotServed(_sentence(fullname), name=fullname)
        return found

    def _is_optional(self, fullname: str) -> bool:
        """Whether only Python itself asks, so that a plain "not found" is the answer."""
        return fullname.rpartition(".")[2].startswith("__")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that looks its names up in the table."""
        return _ServedModule(spec.name, self._modules.get(spec.name, {}))

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _ServedModule(ModuleType):
    """One module of the table."""

    def __init__(self, name: str, content: Mapping[str, str]) -> None:
        super().__init__(name, f"Tradewind's answer to {name}.")
        self.__dict__["_content"] = content

    def __getattr__(self, name: str) -> Any:
        content: Mapping[str, str] = self.__dict__["_content"]
        if name == "__all__":
            return [known for known in sorted(content) if self._is_there(known)]
        home = content.get(name)
        if home is None:
            return self._submodule(name)
        module, _, attribute = home.partition(":")
        value: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            value = getattr(value, part)
        self.__dict__[name] = value
        return value

    def _is_there(self, name: str) -> bool:
        """Not where it would come from a provider package that is not installed: `import *` brings the others."""
        try:
            getattr(self, name)
        except NotServed:
            return False
        return True

    def _submodule(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        fullname = f"{self.__name__}.{name}"
        if fullname in ALL_MODULES or any(known.startswith(f"{fullname}.") for known in ALL_MODULES):
            return importlib.import_module(fullname)
        raise NotServed(_sentence_of_name(self.__name__, name, self.__dict__["_content"]), name=self.__name__)


def install(*, force: bool = False) -> bool:
    """Serves `airflow` from now on. False, and nothing done, where a real Airflow is installed and not `force`."""
    if any(isinstance(finder, AirflowFinder) for finder in sys.meta_path):
        return True
    if _real_airflow() and not force:
        return False
    sys.meta_path.insert(0, AirflowFinder())
    return True


def find_airflow() -> ModuleSpec | None:
    """Installs the hook and finds `airflow` with it; None where a real Airflow is there for the other finders."""
    if not install():
        return None
    return next(finder for finder in sys.meta_path if isinstance(finder, AirflowFinder)).find_spec(_ROOT, None)


def uninstall() -> None:
    """Takes the hook and the modules that it made away again."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AirflowFinder)]
    for name in [name for name, module in sys.modules.items() if isinstance(module, _ServedModule)]:
        del sys.modules[name]


def _real_airflow() -> bool:
    """Whether Airflow itself is importable (provider packages alone make only a namespace)."""
    loaded = sys.modules.get(_ROOT)
    if loaded is not None and not isinstance(loaded, _ServedModule):
        return getattr(loaded, "__file__", None) is not None
    found = PathFinder.find_spec(_ROOT)
    return found is not None and found.origin is not None


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1) if parts[0]]


def _sentence(name: str) -> str:
    return f"{name} is not available in Tradewind: {advice(name)}"


def _sentence_of_name(module: str, name: str, there: Iterable[str]) -> str:
    """The same of a name in a module that is served: where else it is, or which one was meant."""
    fullname = f"{module}.{name}"
    hint = advice(fullname)
    if hint == NOTHING:
        homes = [home for home, names in ALL_MODULES.items() if name in names]
        if homes:
            nearest = max(homes, key=lambda home: difflib.SequenceMatcher(None, home, module).ratio())
            hint = f"import it from {nearest}"
        elif close := difflib.get_close_matches(name, there, n=1, cutoff=0.8):
            hint = f"did you mean {close[0]!r}?"
    return f"{fullname} is not available in Tradewind: {hint}"
