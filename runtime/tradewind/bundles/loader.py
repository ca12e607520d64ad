"""Imports one DAG file and collects the DAGs that it defines.

The file becomes a module with a private name, so that two files of one name never meet. It is compiled
from its source each time: cached bytecode is compared by whole seconds and would miss a quick edit.
The root of its bundle is put at the end of `sys.path`, so that modules beside the DAG files import and
none of them hides a module of the standard library.
"""

from __future__ import annotations

import hashlib
import importlib
import linecache
import pkgutil
import re
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Final
from zipimport import ZipImportError, zipimporter

from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import current_defaults, use_defaults
from tradewind.authoring.scope import collecting_dags
from tradewind.authoring.trigger_kinds import TriggerSource, collecting_kinds
from tradewind.authoring.written_for import written_for
from tradewind.bundles.packed import PackedError, is_packed, packed_modules
from tradewind.bundles.plugins import load_plugins
from tradewind.bundles.traces import user_trace
from tradewind.model.errors import AuthoringError

_import_lock = threading.RLock()
"""One DAG file at a time within a process: imports change `sys.modules` and `sys.path`."""

_roots: Final[list[str]] = []
"""Folders of bundles that this process has put on `sys.path`."""


class DagFileError(AuthoringError):
    """The DAG file could not be loaded. `trace` is the traceback, cut down to the user's own frames."""

    def __init__(self, fileloc: str, trace: str) -> None:
        super().__init__(f"{fileloc} could not be loaded:\n{trace}")
        self.fileloc = fileloc
        self.trace = trace


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """What loading one DAG file gave."""

    fileloc: str
    dags: dict[str, DAG]
    """By id, in order of definition."""
    module: ModuleType
    content: bytes
    helpers: tuple[str, ...]
    """Paths of the bundle's modules that the file has imported, sorted."""
    problems: tuple[str, ...] = ()
    """What is wrong though the file could be loaded, such as an id that is used twice."""


def load_file(
    fileloc: str | Path,
    *,
    root: str | Path | None = None,
    private_helpers: bool = False,
    catchup_by_file: bool = True,
) -> LoadedFile:
    """Imports the DAG file and returns its DAGs.

    Args:
        fileloc: the file.
        root: the folder of its bundle; by default the file's own.
        private_helpers: the file gets modules of the bundle for itself, newly imported, and they are
            taken out of `sys.modules` again: for processes that load several files or versions.
        catchup_by_file: files for Airflow 2 have its default for `catchup` (yes); off where the
            configuration says which holds.

    Raises:
        DagFileError: the file is missing, or its import failed.
    """
    path = Path(fileloc).absolute()
    folder = Path(root).absolute() if root is not None else path.parent
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DagFileError(str(path), f"{type(error).__name__}: {error}") from error
    defaults = current_defaults()
    prepare_imports(defaults.plugins_folder)
    version = written_for(content)
    if catchup_by_file and version == 2:
        defaults = replace(defaults, catchup=True)
    defaults = defaults.with_intervals(version != 3)
    module = ModuleType(module_name(path))
    module.__file__ = str(path)
    problems: list[str] = []
    with (
        _import_lock,
        _importing(module, folder, private=private_helpers) as helpers,
        use_defaults(defaults),
        collecting_kinds() as kinds,
    ):
        packed = is_packed(path)
        found = _execute_packed(module, path, content, problems) if packed else _execute(module, path, content)
    helpers = {helper for helper in helpers if not helper.startswith(f"{path}/")}
    dags = _collect(module, found, problems)
    source = TriggerSource(kinds, str(folder), partial(import_beside, folder))
    for dag in dags.values():
        dag.trigger_source = source
    return LoadedFile(str(path), dags, module, content, tuple(sorted(helpers)), tuple(problems))


def prepare_imports(plugins_folder: str) -> None:
    """Once a process: serves Airflow's names, and loads the plug-ins. Their mistakes are logged, none is raised."""
    serve_airflow_names()
    if plugins_folder:
        with _import_lock:
            load_plugins(plugins_folder)


def import_beside(folder: Path, name: str) -> ModuleType:
    """A module of the bundle, newly imported for the caller alone. Raises what importing it raises."""
    with _import_lock:
        top = name.partition(".")[0]
        others = [known for known in sys.modules if known == top or known.startswith(f"{top}.")]
        hidden = {known: sys.modules.pop(known) for known in {*others, *_modules_below(folder, list(sys.modules))}}
        before = set(sys.modules)
        sys.path.insert(0, str(folder))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(folder))
            for known in _modules_below(folder, sys.modules.keys() - before):
                del sys.modules[known]
            sys.modules.update(hidden)


@cache
def serve_airflow_names() -> None:
    """`import airflow…` works in DAG files and their helpers. By name: compat stands beside the layers."""
    pkgutil.resolve_name("tradewind.compat:install")()


def module_name(path: Path) -> str:
    """The private name under which the file is imported."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    return f"tradewind_dag_{digest}_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}"


def mentions_dag(content: bytes) -> bool:
    """Whether the text of a file looks like one that defines DAGs (safe mode): it has the word
    `dag`, and `tradewind` or `airflow`, in any case; or like one that defines a plug-in.
    """
    low = content.lower()
    if b"airflowplugin" in low:
        return True
    return b"dag" in low and (b"tradewind" in low or b"airflow" in low)


def might_define_dags(path: Path | str, content: bytes) -> bool:
    """Whether the file is to be loaded in safe mode, from its text; of an archive one of its modules decides."""
    if not is_packed(path):
        return mentions_dag(content)
    try:
        return any(mentions_dag(text) for text in packed_modules(content).values())
    except PackedError:
        return True  # what is wrong with it is to be told


def _execute_packed(module: ModuleType, path: Path, content: bytes, problems: list[str]) -> list[DAG]:
    """Each module of the archive that mentions a DAG; one that fails is a problem and leaves the others. Whatever
    their names are bound to in the end can be found in `module`.
    """
    try:
        modules = packed_modules(content)
    except PackedError as error:
        raise DagFileError(str(path), str(error)) from error
    sys.path.insert(0, str(path))
    for place in [place for place in sys.path_importer_cache if f"{place}/".startswith(f"{path}/")]:
        del sys.path_importer_cache[place]
    with suppress(ZipImportError):
        zipimporter(str(path)).invalidate_caches()  # its directory of the last time
    found: list[DAG] = []
    try:
        for name, text in modules.items():
            if mentions_dag(text):
                part = ModuleType(module_name(path / name))
                part.__file__ = str(path / name)
                sys.modules[part.__name__] = part
                try:
                    found += _execute(part, path / name, text)
                except DagFileError as error:
                    problems.append(error.trace)
                vars(module).update({f"{name}:{key}": value for key, value in vars(part).items()})
    finally:
        sys.path.remove(str(path))
    return found


def _execute(module: ModuleType, path: Path, content: bytes) -> list[DAG]:
    linecache.checkcache(str(path))
    with collecting_dags() as found:
        try:
            code = compile(content, str(path), "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - importing the user's file is the purpose
        except (Exception, SystemExit) as error:
            raise DagFileError(str(path), user_trace(error)) from error
    return [dag for dag in found if isinstance(dag, DAG)]


@contextmanager
def _importing(module: ModuleType, folder: Path, *, private: bool) -> Generator[set[str], None, None]:
    """The module stands in `sys.modules` (for good, unless this raises). Afterwards the yielded set
    holds the files of the bundle's modules that were imported meanwhile.
    """
    _put_on_path(str(folder))
    hidden: dict[str, ModuleType] = {}
    for root in {str(folder), *_roots} if private else ():
        hidden.update({name: sys.modules.pop(name) for name in _modules_below(root, list(sys.modules))})
    before = set(sys.modules)
    earlier = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    helpers: set[str] = set()
    try:
        yield helpers
    except BaseException:
        del sys.modules[module.__name__]
        if earlier is not None:
            sys.modules[module.__name__] = earlier
        raise
    finally:
        for name in _modules_below(folder, sys.modules.keys() - before):
            if name != module.__name__:
                helpers.add(str(sys.modules[name].__file__))
                if private:
                    del sys.modules[name]
        sys.modules.update(hidden)


def _put_on_path(folder: str) -> None:
    """The folder comes after all that is not ours and before other bundles, whose modules may have the same names."""
    if folder in _roots:
        _roots.remove(folder)
    elif folder in sys.path:
        return
    _roots.insert(0, folder)
    sys.path[:] = [place for place in sys.path if place not in _roots] + _roots


def _modules_below(folder: Path | str, among: Iterable[str]) -> list[str]:
    """Those of the imported modules whose files lie in the folder (virtual environments apart)."""
    prefix = f"{folder}/"
    names: list[str] = []
    for name in among:
        file = getattr(sys.modules.get(name), "__file__", None)
        if (
            isinstance(file, str)
            and file.startswith(prefix)
            and "site-packages" not in file
            and not name.startswith("tradewind_dag_")
            and name.partition(".")[0] != "tradewind"
        ):
            names.append(name)
    return names


def _collect(module: ModuleType, found: Sequence[DAG], problems: list[str]) -> dict[str, DAG]:
    """DAGs from `with` blocks and `@dag` calls, then those that are only bound to a name."""
    candidates = list(found)
    for value in list(vars(module).values()):
        if isinstance(value, DAG) and not any(value is known for known in candidates):
            candidates.append(value)
    dags: dict[str, DAG] = {}
    for dag in candidates:
        if dag.is_subdag:
            continue
        if dag.dag_id in dags:
            problems.append(f"DAG id {dag.dag_id!r} is used by two DAGs of this file; the last one counts.")
        dags[dag.dag_id] = dag
    return dags
