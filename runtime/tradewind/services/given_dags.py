"""DAGs that a program hands to its runtime: objects, functions that make them, and folders of DAG files.

Their code is in this process, so only a runtime that was given a DAG can carry it: no other one takes it over,
and what stands in the store as its current version is what its owner was given.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from tradewind.authoring.dag import DAG
from tradewind.config import Config
from tradewind.model.errors import AuthoringError, ConfigError
from tradewind.model.rows import DagRow, ParsedFile
from tradewind.model.specs import DagSource, DagSpec
from tradewind.version import VERSION

EMBEDDED_BUNDLE: Final = "embedded"
"""The bundle of DAGs that are handed over as objects; those of folders have names that begin with it and a dot."""

GivenDag: TypeAlias = DAG | str | Path | Callable[[], DAG | Iterable[DAG]]
"""A DAG, a folder of DAG files, or a function without arguments that makes DAGs (one under `@dag`, for example)."""


def is_handed_over(bundle: str) -> bool:
    """Whether a bundle is what a program has given to its runtime."""
    return bundle == EMBEDDED_BUNDLE or bundle.startswith(f"{EMBEDDED_BUNDLE}.")


class GivenDags:
    """What one runtime was given. None: nothing was said, so it carries what its configuration names."""

    def __init__(self, given: Sequence[GivenDag] | None, adapt: Callable[[DagSpec], DagSpec] | None = None) -> None:
        """`adapt` has the last word on the specs of the DAGs. Raises AuthoringError for what is no DAG, ConfigError for
        a folder that is not there.
        """
        self._adapt = adapt
        self.dags: dict[str, DAG] = {}
        self.folders: dict[str, Path] = {}
        self.says_nothing = given is None
        for thing in given or ():
            if isinstance(thing, (str, Path)):
                self._add_folder(Path(thing))
                continue
            for dag in _made_by(thing):
                if self.dags.setdefault(dag.dag_id, dag) is not dag:
                    raise AuthoringError(f"two DAGs with the id {dag.dag_id!r} were given to the runtime")

    def _add_folder(self, folder: Path) -> None:
        folder = folder.expanduser().absolute()
        if not folder.is_dir():
            raise ConfigError(f"dags: there is no folder {folder}")
        digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in folder.name)[:60]
        self.folders[f"{EMBEDDED_BUNDLE}.{name}.{digest}"] = folder

    def configured(self, config: Config) -> Config:
        """The configuration with the given folders in the place of its own."""
        if not self.folders:
            return config
        bundles = [{"name": name, "kind": "folder", "path": str(path)} for name, path in self.folders.items()]
        return dataclasses.replace(
            config, dags=dataclasses.replace(config.dags, bundles=orjson.dumps(bundles).decode(), load_examples=False)
        )

    def can_carry(self, row: DagRow) -> bool:
        """Whether the code of this DAG is here."""
        if row.dag_id in self.dags:
            return True
        bundle = row.source.bundle
        return bundle in self.folders if is_handed_over(bundle) else self.says_nothing

    def files(self, dag_ids: Iterable[str], executors: AbstractSet[str]) -> list[ParsedFile]:
        """These DAGs as if parsed from files, for a runtime with these executors. Reads the texts of the files that
        define them: not for the loop.
        """
        return [self._parsed(self.dags[dag_id], executors) for dag_id in dag_ids]

    def _parsed(self, dag: DAG, executors: AbstractSet[str]) -> ParsedFile:
        spec = dag.to_spec()
        if spec.is_paused_upon_creation is None:  # who hands over a DAG wants it to run
            spec = dataclasses.replace(spec, is_paused_upon_creation=False)
        if self._adapt is not None:
            spec = self._adapt(spec)
        elif "inline" in executors:
            spec = _in_threads(dag, spec)
        code = _text_of(dag.fileloc)
        version = VERSION if code is None else hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        source = DagSource(EMBEDDED_BUNDLE, version, dag.fileloc or dag.dag_id, dag.dag_id)
        return ParsedFile(source, (spec,), code=code)


def _made_by(thing: DAG | Callable[[], DAG | Iterable[DAG]]) -> list[DAG]:
    if isinstance(thing, DAG):
        return [thing]
    if not callable(thing):
        raise AuthoringError(
            f"dags: {thing!r} is no DAG, no folder and no function that makes DAGs; put these into the list"
        )
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", repr(thing))
    try:
        made = thing()
    except TypeError as error:
        raise AuthoringError(f"dags: {name}() cannot be called without arguments: {error}") from error
    try:
        found: list[Any] = [made] if isinstance(made, DAG) else list(made)
    except TypeError:
        found = []
    if not found or not all(isinstance(dag, DAG) for dag in found):
        raise AuthoringError(f"dags: {name}() has to return a DAG, or several; it returned {made!r}")
    return found


def _in_threads(dag: DAG, spec: DagSpec) -> DagSpec:
    """Sync tasks for which nobody chose an executor run in threads of this process: the functions are here, and
    need not be importable anywhere else.
    """
    tasks = tuple(
        dataclasses.replace(task, executor="inline")
        if task.executor == "local" and getattr(dag.get_task(task.task_id), "executor", None) is None
        else task
        for task in spec.tasks
    )
    return dataclasses.replace(spec, tasks=tasks)


def _text_of(fileloc: str | None) -> str | None:
    if not fileloc:
        return None
    try:
        return Path(fileloc).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
